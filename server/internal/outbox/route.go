package outbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/settings"
)

// way is a connection that mail may go by, and what all nodes together may have of it; connection is nil for capture.
type way struct {
	name        string
	connection  *core.Connection
	connections int
	perMinute   int    // 0 for no limit
	mark        string // of the connection's settings, by which its health is kept
	share       *upstream
}

// markOf tells a connection's settings from others, and nobody what they are: it is made with the key that mails are
// sealed under.
func markOf(key string, connection *core.Connection) string {
	settings := *connection
	settings.Name = "" // a form's that is tested has another
	raw, err := json.Marshal(settings)
	if err != nil {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(raw)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// leave gives a place back, where one was needed.
func (w *way) leave(class string) {
	if w.share != nil {
		w.share.leave(class)
	}
}

// routeError is settings by which no mail can go, in words that name the mend. Mail waits.
type routeError struct{ mend string }

// Error is those words.
func (e *routeError) Error() string { return e.mend }

var errNoServer = &routeError{"the connection is set to Mattermost's own, and EmailSettings.SMTPServer is not set; set it, or choose another connection"}

// ways are those that mail may go by, the preferred first; there is always one where there is no error.
func (o *Outbox) ways(ctx context.Context, in *current) ([]*way, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ways != nil {
		return in.ways, nil
	}
	ways, err := o.findWays(ctx, in)
	if err != nil {
		return nil, err
	}
	for _, it := range ways {
		if it.connection != nil {
			it.mark, it.share = markOf(in.AtRestKey, it.connection), o.shareOf(it.name)
		}
	}
	in.ways = ways
	return ways, nil
}

func (o *Outbox) findWays(ctx context.Context, in *current) ([]*way, error) {
	captured := []*way{{name: settings.ConnectionCapture}}
	switch {
	case in.Connection == settings.ConnectionCapture:
		return captured, nil
	case in.UsesOwn():
		return ownWays(in.Connections)
	}
	mattermost, err := o.mattermostWay(ctx, in)
	switch {
	case err != nil:
		return nil, err
	case mattermost != nil:
		return []*way{mattermost}, nil
	case in.Connection == settings.ConnectionMattermost:
		return nil, errNoServer
	}
	return captured, nil
}

// ownWays are Postroom's own connections. While something is wrong with the primary its mail waits: nobody has said that
// it should go elsewhere for that.
func ownWays(own *core.ConnectionsResult) ([]*way, error) {
	if own == nil {
		return nil, &routeError{"the settings of Postroom's own connections can't be read, as the core fails at them; the log tells more"}
	}
	var ways []*way
	for i := range own.Connections {
		it := &own.Connections[i]
		ways = append(ways, &way{name: it.Connection.Name, connection: &it.Connection, connections: it.Connections, perMinute: it.PerMinute})
	}
	if len(ways) > 0 && ways[0].name == primary {
		return ways, nil
	}
	if len(own.Problems) == 0 {
		return nil, &routeError{"no primary connection is set; set PrimaryHost, or choose another Connection"}
	}
	return nil, &routeError{own.Problems[0].Mend + " (" + own.Problems[0].Field + ")"}
}

// primary is the name of the connection that the other one stands in for.
const primary = "primary"

// mattermostWay is the server that Mattermost's settings name; nil where they name none.
func (o *Outbox) mattermostWay(ctx context.Context, in *current) (*way, error) {
	email := in.Email
	if len(email) == 0 {
		email = json.RawMessage("{}")
	}
	var out core.MattermostConnectionResult
	err := o.engine.Call(ctx, core.OpMattermostConnection, time.Now(), core.MattermostConnectionArgs{Settings: email}, &out)
	if err != nil || out.Connection == nil {
		return nil, err
	}
	it := &way{name: settings.ConnectionMattermost, connection: out.Connection, connections: in.UpstreamConnections, perMinute: in.UpstreamPerMinute}
	if it.connections < 1 {
		it.connections = settings.DefaultUpstreamConnections
	}
	return it, nil
}

// ConnectionStatus is one connection at a glance, without its secrets.
type ConnectionStatus struct {
	Name        string     `json:"name"` // mattermost, primary, fallback
	Server      string     `json:"server"`
	Port        int        `json:"port"`
	Security    string     `json:"security"`
	Auth        []string   `json:"auth"`
	Username    string     `json:"username"`
	PasswordSet bool       `json:"password_set"`
	State       string     `json:"state"`  // ok, paused, failing; unused where the settings name another
	Since       *time.Time `json:"since"`  // nil where it was never otherwise
	Reason      string     `json:"reason"` // why it is not ok, in plain words
	// Active: mail goes by it now.
	Active bool `json:"active"`
}

// Connections are those that the settings name, used or not.
func (o *Outbox) Connections(ctx context.Context) []ConnectionStatus {
	in := o.current.Load()
	course, err := o.steer(ctx, in)
	if err != nil {
		course = nil // nothing is used
	}
	all := []*way{}
	if it, err := o.mattermostWay(ctx, in); err == nil && it != nil {
		all = append(all, it)
	}
	if in.Snapshot.Connections != nil {
		for i := range in.Snapshot.Connections.Connections {
			own := &in.Snapshot.Connections.Connections[i].Connection
			all = append(all, &way{name: own.Name, connection: own})
		}
	}
	list := []ConnectionStatus{}
	for _, it := range all {
		c := it.connection
		status := ConnectionStatus{Name: it.name, Server: c.Server, Port: c.Port, Security: c.Security, Auth: c.Auth, Username: c.Username,
			PasswordSet: c.Password != "" || c.OAuth != nil && c.OAuth.ClientSecret != "", State: "unused"}
		if course != nil {
			o.addHealth(&status, course)
		}
		list = append(list, status)
	}
	return list
}

func (o *Outbox) addHealth(status *ConnectionStatus, now *course) {
	it := named(now.all, status.Name)
	if it == nil {
		return
	}
	status.State, status.Active = core.HealthOK, len(now.ways) > 0 && now.ways[0] == it
	o.steering.mu.Lock()
	health := o.steering.rows[it.is()].Health
	o.steering.mu.Unlock()
	if health == nil {
		return
	}
	status.State, status.Reason = health.State, health.Reason
	if health.Since != nil {
		status.Since = ref(time.UnixMilli(*health.Since).UTC())
	}
}
