package specs

import (
	"fmt"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// connection is what an admin sees of one.
type connection struct {
	Name, State, Reason string
	Active              bool
}

func (u *unlucky) connections(t *testing.T) map[string]connection {
	t.Helper()
	var list struct{ Connections []connection }
	check(t, u.admin.Must("GET", harness.Plugin+"/api/v1/connections", nil, &list))
	all := map[string]connection{}
	for _, it := range list.Connections {
		all[it.Name] = it
	}
	return all
}

// unpause has connections that are not well be probed now, and waits until they are well.
func (u *unlucky) unpause(t *testing.T) {
	t.Helper()
	check(t, harness.Eventually(time.Minute, func() error {
		left, err := house.postgres.Rows(u.database, `WITH hurried AS (UPDATE postroom.connections SET health = jsonb_set(health, '{probe_at}', '0'), revision = revision + 1
			WHERE health->>'state' <> 'ok' AND health->>'probe_at' <> '0' RETURNING name) SELECT name FROM postroom.connections WHERE health->>'state' <> 'ok'`)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("not well yet: %v", left)
		}
		return err
	}))
}

// fallback: R14. Mattermost's mail goes through the relay and on by Postroom's own primary connection; by the fallback while that
// is dead, at once and in the same attempt; and by the primary again.
func (u *unlucky) fallback(t *testing.T) {
	primary, fallback := must(house.stage.StartSink())(t), must(house.stage.StartSink())(t)
	settings := map[string]any{
		"PrimaryHost": "127.0.0.1", "PrimaryPort": primary.Port, "PrimarySecurity": "none",
		"FallbackHost": "localhost", "FallbackPort": fmt.Sprint(fallback.Port), "FallbackSecurity": "none",
	}
	for name, value := range noLimits {
		settings[name] = value
	}
	check(t, u.admin.Settings(settings))
	t.Cleanup(func() { check(t, u.admin.Settings(noLimits)); settleSettings() })
	check(t, harness.Eventually(mailWithin, func() error {
		if all := u.connections(t); !all["primary"].Active || all["mattermost"].State != "unused" {
			return fmt.Errorf("the settings are not taken up: %+v", all)
		}
		return nil
	}))
	goes := func(id string, by *harness.Sink) {
		t.Helper()
		u.hand(t, id)
		if mail := u.becomes(t, id, "sent", "deferred", "failed"); mail.State != "sent" || mail.Attempts != 1 || len(arrivals(by, faultAddress(id))) != 1 {
			t.Errorf("%s: %+v", id, mail)
		}
	}
	goes("own1", primary)
	primary.Down()
	for _, id := range []string{"own2", "own3", "own4"} {
		goes(id, fallback)
	}
	if all := u.connections(t); all["primary"].State != "failing" || all["primary"].Reason == "" || !all["fallback"].Active {
		t.Errorf("%+v", all)
	}
	check(t, primary.Up())
	check(t, harness.Eventually(time.Minute, func() error { // the first probe comes after 10 s
		if all := u.connections(t); !all["primary"].Active || all["primary"].State != "ok" {
			return fmt.Errorf("the primary is not used again: %+v", all)
		}
		return nil
	}))
	goes("own5", primary)
}
