package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/engine"
	"postroom/server/internal/link"
	"postroom/server/internal/settings"
	"postroom/server/internal/store"
)

// originalName is what Mattermost's own settings are sealed under.
const originalName = "relay/original"

// RelayPort is this node's relay, as Mattermost reaches it.
type RelayPort struct {
	Port     int
	Username string
	Password string // secret
}

// settings are what Mattermost's must be to reach it.
func (r RelayPort) settings() link.EmailSettings {
	return link.EmailSettings{
		SMTPServer: "127.0.0.1", SMTPPort: strconv.Itoa(r.Port), ConnectionSecurity: "TLS", EnableSMTPAuth: true,
		SMTPUsername: r.Username, SMTPPassword: r.Password, SkipServerCertificateVerification: true,
	}
}

// settingsWithin is how long new settings may take from Mattermost to here.
const settingsWithin = 3 * time.Second

// ErrNoRelay is the answer of a node whose relay is not listening yet.
var ErrNoRelay = errors.New("the relay of this node is not listening yet; try again in a moment, or look for the reason in the log")

// Switching points Mattermost's mail at the relay and back. Mattermost's configuration is the truth: the relay is on
// where it names the relay, whoever wrote that.
type Switching struct {
	Engine *engine.Engine
	Store  *store.Store
	Node   string // this one, as it names itself among the nodes
	// Port is this node's relay; ErrNoRelay before it listens.
	Port func() (RelayPort, error)
}

// RelayStatus is the answer of GET /api/v1/relay.
type RelayStatus struct {
	Enabled bool     `json:"enabled"`
	Healthy bool     `json:"healthy"`
	Address string   `json:"address"` // host:port, "" while it is not listening
	Nodes   []string `json:"nodes"`
	Direct  []string `json:"direct"`  // the nodes whose Mattermost does not send to the relay
	Problem string   `json:"problem"` // why it is not healthy, in plain words
}

// PointsAtRelay is whether Mattermost's settings are the relay's.
func (s *Switching) PointsAtRelay(raw json.RawMessage) bool {
	how, _ := s.standing(raw)
	return how == on
}

// Is is whether a connection leads to the relay.
func (s *Switching) Is(connection core.Connection) bool {
	port, err := s.Port()
	return err == nil && connection.Server == "127.0.0.1" && connection.Port == port.Port
}

// Upstream puts the settings from before the relay in the place of the relay's own, so that mail goes on to where it
// went before. Settings that do not name the relay stay as they are.
func (s *Switching) Upstream(ctx context.Context, snapshot *settings.Snapshot) (*settings.Snapshot, error) {
	// Until it is known where mail went before, it waits: sent on by the relay's own settings it would go in a circle.
	waiting := *snapshot
	waiting.Email, waiting.Connection = json.RawMessage(`{}`), settings.ConnectionMattermost
	original, err := s.before(ctx, snapshot)
	switch {
	case snapshot.UsesOwn() && (err != nil || original == nil): // where Mattermost's mail went before does not matter
		return snapshot, nil
	case err != nil:
		return &waiting, err
	case original == nil:
		return snapshot, nil
	}
	var all map[string]json.RawMessage
	seven, err := json.Marshal(original)
	if err := errors.Join(err, json.Unmarshal(snapshot.Email, &all), json.Unmarshal(seven, &all)); err != nil {
		return &waiting, fmt.Errorf("the settings from before the relay could not be put in place: %w", err)
	}
	email, err := json.Marshal(all)
	if err != nil {
		return &waiting, err
	}
	upstream := *snapshot
	upstream.Email = email
	return &upstream, nil
}

func (s *Switching) original(ctx context.Context, snapshot *settings.Snapshot) (link.EmailSettings, error) {
	var original link.EmailSettings
	state, err := s.Store.RelayState(ctx)
	if err != nil {
		return original, err
	}
	if state == nil || state.Original == nil {
		return original, errors.New("the settings from before the relay are not known; set the SMTP server in System Console > Environment > SMTP")
	}
	var opened core.OpenSecretResult
	err = s.Engine.Call(ctx, core.OpOpenSecret, time.Now(), core.OpenSecretArgs{Key: snapshot.AtRestKey, Name: originalName, Sealed: state.Original}, &opened)
	var refused *engine.CoreError
	switch {
	case errors.As(err, &refused) && refused.Code == "wrong_key":
		return original, errOriginalKey
	case err != nil:
		return original, fmt.Errorf("the settings from before the relay can't be opened (%w); set the SMTP server in System Console > Environment > SMTP", err)
	}
	return original, json.Unmarshal(opened.Secret, &original)
}

// errOriginalKey: mail waits meanwhile, and is not lost.
var errOriginalKey = errors.New("SqlSettings.AtRestEncryptKey has changed since the relay was switched on, and the settings from before it can't be opened: mail is taken and waits. Put the key back, or set the SMTP server in System Console > Environment > SMTP, which switches the relay off and lets the mail go")

// Status looks at this node and the others.
func (s *Switching) Status(ctx context.Context, raw json.RawMessage) RelayStatus {
	status := RelayStatus{Enabled: s.PointsAtRelay(raw), Nodes: []string{}, Direct: []string{}}
	port, err := s.Port()
	if err != nil {
		status.Problem = err.Error()
		return status
	}
	status.Address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port.Port))
	nodes, err := s.Store.Nodes(ctx)
	state, stateErr := s.Store.RelayState(ctx)
	if err != nil || stateErr != nil || state == nil {
		status.Problem = "the nodes can't be listed: the database is out of reach"
		return status
	}
	status.Healthy = len(nodes) > 0
	for _, node := range nodes {
		status.Nodes = append(status.Nodes, node.Name)
		// What this node knows of itself is newer than what it has said.
		pointed := node.Pointed
		if node.Name == s.Node {
			pointed = status.Enabled
		}
		if !pointed {
			status.Direct = append(status.Direct, node.Name)
		}
		problem := node.Problem
		if problem == "" && node.Relay != state.Mark() {
			problem = "it has not taken up the relay's new port and password yet"
		}
		if problem != "" {
			status.Healthy, status.Problem = false, node.Name+": "+problem
		}
	}
	return status
}

// On keeps the current settings and says what to write in their place. Its error is in words for an admin.
func (s *Switching) On(ctx context.Context, snapshot *settings.Snapshot) (*link.Switch, error) {
	port, err := s.Port()
	if err != nil {
		return nil, err
	}
	if status := s.Status(ctx, snapshot.Email); !status.Healthy {
		return nil, fmt.Errorf("not every node takes mail: %s", status.Problem)
	}
	var original link.EmailSettings
	if err := json.Unmarshal(snapshot.Email, &original); err != nil {
		return nil, errors.New("the current SMTP settings can't be read")
	}
	if err := s.agrees(ctx, snapshot, original); err != nil {
		return nil, err
	}
	// What is the relay's in part is no original.
	switch before, err := s.before(ctx, snapshot); {
	case err != nil:
		return nil, err
	case before != nil:
		original = *before
	}
	secret, err := json.Marshal(original)
	if err != nil {
		return nil, err
	}
	var sealed core.SealSecretResult
	err = s.Engine.Call(ctx, core.OpSealSecret, time.Now(), core.SealSecretArgs{Key: snapshot.AtRestKey, Name: originalName, Secret: secret}, &sealed)
	if err != nil {
		return nil, err
	}
	// A row that still says "on" from before, where the configuration says otherwise, is out of date.
	if err := s.Store.SetEnabled(ctx, false); err != nil {
		return nil, err
	}
	if _, err := s.Store.SaveOriginal(ctx, sealed.Sealed); err != nil {
		return nil, err
	}
	return &link.Switch{On: true, Settings: port.settings()}, nil
}

// agrees is nil unless the mail of another node's Mattermost goes on by other settings than this one has. There is one
// upstream for all.
func (s *Switching) agrees(ctx context.Context, snapshot *settings.Snapshot, own link.EmailSettings) error {
	if how, _ := s.standing(snapshot.Email); how != off {
		return nil
	}
	nodes, err := s.Store.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if node.Name == s.Node || !node.Pointed {
			continue
		}
		upstream, err := s.original(ctx, snapshot)
		if err != nil {
			return err
		}
		if names := differing(own, upstream); len(names) > 0 {
			return fmt.Errorf("mail of %s goes through the relay already, and on by settings that differ from this node's in %s. Give all nodes the same SMTP settings first, or have that one read the shared configuration again", node.Name, strings.Join(names, ", "))
		}
	}
	return nil
}

// Off is the way back; nil where Mattermost's settings do not name the relay.
func (s *Switching) Off(ctx context.Context, snapshot *settings.Snapshot) (*link.Switch, error) {
	before, err := s.before(ctx, snapshot)
	if err != nil || before == nil {
		return nil, err
	}
	return &link.Switch{On: false, Settings: *before}, nil
}

// RelayStatus answers GET /api/v1/relay.
func (f *Flows) RelayStatus(ctx context.Context) (Answer, error) {
	return Answer{JSON: f.Relaying(ctx)}, nil
}

// Relaying is how the relay does.
func (f *Flows) Relaying(ctx context.Context) RelayStatus {
	in := f.current.Load()
	status := f.Switching.Status(ctx, in.saved)
	switch trouble := f.Switching.notAsRelay(in.saved); {
	case in.upstreamErr != nil:
		status.Healthy, status.Problem = false, in.upstreamErr.Error()
	case trouble != "":
		status.Problem = trouble
	case status.Enabled && status.Healthy && len(status.Direct) > 0:
		status.Problem = "The Mattermost of " + strings.Join(status.Direct, ", ") + " still sends its mail by itself. Have it read the shared configuration again (mmctl config reload, or a restart), or, where each node has a configuration of its own, enable the relay there too"
	}
	return status
}

// RelayIsOn is whether Mattermost's settings are the relay's.
func (f *Flows) RelayIsOn() bool { return f.Switching.PointsAtRelay(f.current.Load().saved) }

// WayBack is what the shim writes when the plugin is switched off; nil while the relay is off.
func (f *Flows) WayBack(ctx context.Context) (*link.Switch, error) {
	return f.Switching.Off(ctx, f.current.Load().asSaved())
}

// SwitchRelay answers POST /api/v1/relay/enable and /disable: it asks the shim for the act, and Switched gives the
// answer. What is as wished already is answered at once.
func (f *Flows) SwitchRelay(ctx context.Context, on bool) (Answer, error) {
	saved := f.current.Load().asSaved()
	if on && f.Switching.PointsAtRelay(saved.Email) {
		return f.RelayStatus(ctx)
	}
	ask := f.Switching.Off
	if on {
		ask = f.Switching.On
	}
	switch order, err := ask(ctx, saved); {
	case err != nil:
		return f.switchFailed(ctx, on, err.Error())
	case order == nil:
		return f.RelayStatus(ctx)
	default:
		return Answer{Switch: order, JSON: statusOK}, nil
	}
}

// Switched answers what became of a switch that the shim carried out.
func (f *Flows) Switched(ctx context.Context, outcome link.Switched) (Answer, error) {
	name := map[bool]string{true: "postroomRelayOn", false: "postroomRelayOff"}[outcome.On]
	audit := &link.Audit{Event: name, Success: outcome.Error == "", Params: map[string]string{"error": outcome.Error}}
	if outcome.Error != "" {
		answer, err := f.switchFailed(ctx, outcome.On, outcome.Error)
		answer.Audit = audit
		return answer, err
	}
	if err := f.Store.SetEnabled(ctx, outcome.On); err != nil { // the configuration is the truth, this a note beside it
		f.Log.Warn("that the relay was switched could not be noted", "on", outcome.On, "error", err)
	}
	f.Log.Info("Mattermost's mail was pointed elsewhere", "relay", outcome.On)
	if outcome.UserID != "" { // somebody waits for the answer; a shim at its end is told no new settings
		f.awaitSettings(ctx, outcome.On)
	}
	answer, err := f.RelayStatus(ctx)
	answer.Audit = audit
	return answer, err
}

// awaitSettings waits a little for the new settings, which Mattermost tells the plugin on a way of their own, so that
// the answer speaks of them.
func (f *Flows) awaitSettings(ctx context.Context, on bool) {
	for deadline := time.Now().Add(settingsWithin); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(pause) {
		if f.Switching.PointsAtRelay(f.current.Load().saved) == on {
			return
		}
	}
}

func (f *Flows) switchFailed(ctx context.Context, on bool, why string) (Answer, error) {
	f.Log.Warn("the relay could not be switched", "on", on, "why", why)
	answer, err := f.appError(ctx, "relay")
	if answer.AppError != nil {
		answer.AppError.DetailedError = why
		answer.AppError.Message += " " + why
	}
	return answer, err
}
