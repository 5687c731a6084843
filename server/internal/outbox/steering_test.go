package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier/peer"
)

// heardOf are the incidents that are open, and all that were opened.
type heardOf struct {
	mu     sync.Mutex
	open   map[string]map[string]string
	opened []string
}

func (h *heardOf) Open(_ context.Context, kind, key string, facts map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[kind+"/"+key] == nil {
		h.opened = append(h.opened, kind+"/"+key)
	}
	h.open[kind+"/"+key] = facts
}

func (h *heardOf) Close(_ context.Context, kind, key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, kind+"/"+key)
}

// now are the open ones.
func (h *heardOf) now() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var keys []string
	for key := range h.open {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

// twoWays is a world with connections of Postroom's own, and who hears of what is the matter with them.
type twoWays struct {
	*world
	fallback *peer.Peer
	heard    *heardOf
	own      map[string]string
}

// withLogin has a peer ask for a login, on this machine also in clear.
func withLogin(p *peer.Peer) { p.Extensions = append(p.Extensions, "AUTH PLAIN") }

func newTwoWays(t *testing.T, withFallback bool) *twoWays {
	w := &twoWays{world: newWorld(t), heard: &heardOf{open: map[string]map[string]string{}}}
	w.peer = peer.Start(t, withLogin)
	w.own = map[string]string{"PrimaryHost": "127.0.0.1", "PrimaryPort": fmt.Sprint(w.peer.Port), "PrimarySecurity": "none",
		"PrimaryUsername": "u", "PrimaryPassword": "p"}
	if withFallback {
		w.fallback = peer.Start(t)
		w.own["FallbackHost"], w.own["FallbackPort"], w.own["FallbackSecurity"] = "127.0.0.1", fmt.Sprint(w.fallback.Port), "none"
	}
	w.read()
	return w
}

// read has the core make connections of the settings.
func (w *twoWays) read() {
	w.t.Helper()
	var out core.ConnectionsResult
	args := core.ConnectionsArgs{Settings: w.own, Missing: []core.Missing{}}
	if err := realEngine(w.t).Call(w.t.Context(), core.OpConnections, time.Now(), &args, &out); err != nil || len(out.Problems) > 0 {
		w.t.Fatal(err, out.Problems)
	}
	w.settings.Own, w.settings.Connections = w.own, &out
}

func (w *twoWays) begin() *Outbox {
	w.t.Helper()
	return w.start(func(o *Options) { o.Incidents = w.heard })
}

// all is whether that many mails are in that state.
func (w *twoWays) all(state string, n int) bool {
	return w.text(`SELECT concat(count(*) FILTER (WHERE state = '`+state+`'), '/', count(*)) FROM postroom.mails`) == fmt.Sprintf("%d/%d", n, n)
}

// probeNow has the next probe come at once: the core's waits are longer than a test.
func (w *twoWays) probeNow() {
	w.exec(`UPDATE postroom.connections SET health = jsonb_set(health, '{probe_at}', '0'), revision = revision + 1 WHERE health->>'state' <> 'ok'`)
}

func (w *twoWays) state(name string) string {
	return w.text(`SELECT health->>'state' FROM postroom.connections WHERE name = '` + name + `' ORDER BY changed_at DESC LIMIT 1`)
}

// logins are how often somebody tried at the primary.
func (w *twoWays) logins() int {
	n := 0
	for _, command := range w.peer.Commands() {
		if strings.HasPrefix(command, "AUTH") {
			n++
		}
	}
	return n
}

// R14: a login that is refused pauses the connection, once and for all nodes; no mail spends an attempt on it, and when the
// login is taken again all go.
func TestARefusedLoginSpendsNoMailsAttempts(t *testing.T) {
	const mails = 50
	w := newTwoWays(t, false)
	w.peer.At(peer.AUTH, peer.Say("535 5.7.8 Authentication credentials invalid"))
	one, two := w.begin(), w.start(w.otherStore, func(o *Options) { o.Incidents = w.heard })
	w.relay(one, mails/2)
	for i := mails / 2; i < mails; i++ {
		if err := two.Commit(t.Context(), w.notification(keyOne, i)); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually("all wait for the connection", func() bool {
		return w.text(`SELECT count(*) FROM postroom.mails WHERE waits AND attempts = 0 AND reason LIKE '%535%'`) == fmt.Sprint(mails)
	})
	if w.state("primary") != "paused" {
		t.Error(w.state("primary"))
	}
	w.eventually("it is told", func() bool { return w.heard.now() == "connection_paused/primary" })
	if facts := w.heard.open["connection_paused/primary"]; !strings.Contains(facts["reason"], "535") || !strings.HasSuffix(facts["server"], w.own["PrimaryPort"]) {
		t.Error(facts)
	}
	logins := w.logins()
	time.Sleep(10 * quick.SteerPeriod)
	if again := w.logins(); again != logins {
		t.Errorf("%d more logins before the next probe is due", again-logins)
	}
	w.probeNow()
	w.eventually("it is probed, in vain", func() bool { return w.text(`SELECT health->>'rounds' FROM postroom.connections`) == "2" })
	if again := w.logins(); again != logins+1 {
		t.Errorf("%d logins for one probe of two nodes", again-logins)
	}
	w.peer.At(peer.AUTH, nil)
	w.probeNow()
	w.eventually("all are sent", func() bool { return w.all("sent", mails) })
	if attempts := w.text(`SELECT max(attempts) FROM postroom.mails`); attempts != "1" {
		t.Errorf("%s attempts", attempts)
	}
	w.eventually("it is over", func() bool { return w.heard.now() == "" })
	if !slices.Equal(w.heard.opened, []string{"connection_paused/primary"}) {
		t.Error(w.heard.opened)
	}
}

// A setting that was mended counts at once.
func TestAMendedSettingEndsAPause(t *testing.T) {
	w := newTwoWays(t, false)
	w.peer.At(peer.AUTH, func(s *peer.Session) bool {
		if !strings.Contains(s.Line(), "AHUAcmlnaHQ=") { // \0u\0right
			return peer.Say("535 5.7.8 no")(s)
		}
		return peer.Say("235 2.7.0 yes")(s)
	})
	o := w.begin()
	w.ask(o, "reset", "anna")
	w.eventually("it waits", func() bool { return w.text(`SELECT waits FROM postroom.mails`) == "true" })
	w.own["PrimaryPassword"] = "right"
	w.read()
	snapshot := w.settings
	o.Apply(&snapshot)
	w.eventually("it is sent", func() bool { return w.states() == "sent" })
	if n := w.text(`SELECT attempts FROM postroom.mails`); n != "1" {
		t.Errorf("%s attempts", n)
	}
}

// R14: what the primary has nothing of goes by the fallback at once, in the same attempt; after a few such mails the primary is
// not asked any more, and when it is back it is used again.
func TestFailingOverAndBack(t *testing.T) {
	for name, broken := range map[string]func(*peer.Peer){
		"refused":       func(p *peer.Peer) { p.At(peer.Greeting, peer.Reset()) },
		"silent":        func(p *peer.Peer) { p.At(peer.Greeting, peer.Stall()) },
		"421":           func(p *peer.Peer) { p.At(peer.EHLO, peer.SayAndClose("421 4.3.2 closing")) },
		"535":           func(p *peer.Peer) { p.At(peer.AUTH, peer.Say("535 5.7.8 no")) },
		"reset at RCPT": func(p *peer.Peer) { p.At(peer.RCPT, peer.Reset()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			w := newTwoWays(t, true)
			broken(w.peer)
			o := w.begin()
			for i, name := range []string{"anna", "ben", "cleo"} {
				w.ask(o, "reset", name)
				w.eventually("it is sent", func() bool { return w.all("sent", i+1) })
			}
			if row := w.text(`SELECT string_agg(DISTINCT concat(attempts, connection), ' ') FROM postroom.mails`); row != "1fallback" || len(w.fallback.Mails()) != 3 {
				t.Error(row)
			}
			w.eventually("the primary is given up", func() bool { return w.state("primary") != "ok" })
			w.eventually("it is told", func() bool { return strings.Contains(w.heard.now(), "failed_over/primary") })
			status := o.Connections(t.Context())
			if len(status) != 3 || status[1].State == "ok" || status[1].Active || !status[2].Active || status[1].Reason == "" || status[0].State != "unused" {
				t.Errorf("%+v", status)
			}
			for _, step := range []string{peer.Greeting, peer.EHLO, peer.AUTH, peer.RCPT} {
				w.peer.At(step, nil)
			}
			w.probeNow()
			w.eventually("the primary is back", func() bool { return w.state("primary") == "ok" && w.heard.now() == "" })
			w.exec(`DELETE FROM postroom.mails`, `DELETE FROM postroom.tokens`)
			w.ask(o, "reset", "anna")
			w.eventually("it goes by the primary", func() bool { return w.text(`SELECT connection FROM postroom.mails WHERE state = 'sent'`) == "primary" })
			if w.text(`SELECT health->>'rounds' FROM postroom.connections WHERE name = 'primary'`) != "0" {
				t.Error("it is on trial for ever")
			}
		})
	}
}

// R14: a server that puts off one mail after another is left; one mail alone may be greylisted.
func TestAServerThatPutsOffEverything(t *testing.T) {
	w := newTwoWays(t, true)
	w.peer.At(peer.RCPT, peer.Say("451 4.7.1 Try again later"))
	o := w.begin()
	w.relay(o, 4)
	w.eventually("they wait for the same server", func() bool { return w.all("deferred", 4) })
	if w.state("primary") != "ok" || len(w.fallback.Mails()) != 0 {
		t.Error(w.state("primary"))
	}
	w.ask(o, "reset", "anna")
	w.eventually("the fifth goes by the fallback", func() bool { return w.text(`SELECT connection FROM postroom.mails WHERE state = 'sent'`) == "fallback" })
	w.hurry()
	w.eventually("so do the others", func() bool { return w.all("sent", 5) })
	if n := len(w.fallback.Mails()); n != 5 {
		t.Errorf("%d by the fallback", n)
	}
}

// Where both are dead mail is tried again by its schedule, by both, and nothing is lost; where one is back it goes by that one
// sooner.
func TestBothAreDead(t *testing.T) {
	w := newTwoWays(t, true)
	w.peer.At(peer.Greeting, peer.Reset())
	w.fallback.At(peer.Greeting, peer.Reset())
	o := w.begin()
	for _, name := range []string{"anna", "ben", "cleo"} {
		w.ask(o, "reset", name)
	}
	w.eventually("both fail", func() bool {
		return w.all("deferred", 3) && w.state("primary") == "failing" && w.state("fallback") == "failing"
	})
	if strings.Contains(w.heard.now(), "failed_over") {
		t.Error("nothing was failed over to")
	}
	if n := w.text(`SELECT concat(min(attempts), max(attempts)) FROM postroom.mails`); n != "11" {
		t.Errorf("attempts %s", n)
	}
	w.exec(`UPDATE postroom.mails SET next_attempt_at = now() + interval '1 hour'`, `UPDATE postroom.river_job SET scheduled_at = now() + interval '1 hour' WHERE state = 'scheduled'`)
	w.fallback.At(peer.Greeting, nil)
	w.probeNow()
	w.eventually("what waits for a connection goes", func() bool { return w.text(`SELECT count(*) FROM postroom.mails WHERE state = 'sent'`) >= "1" })
}

// What is known of a connection is known to a node that was not there.
func TestHealthIsAllNodes(t *testing.T) {
	w := newTwoWays(t, true)
	w.peer.At(peer.AUTH, peer.Say("535 5.7.8 no"))
	one := w.begin()
	w.ask(one, "reset", "anna")
	w.eventually("it is sent", func() bool { return w.states() == "sent" })
	logins := w.logins()
	two := w.start(w.otherStore)
	w.eventually("the other knows", func() bool { s := two.Connections(t.Context()); return s[1].State == "paused" && s[2].Active })
	w.ask(two, "reset", "ben")
	w.eventually("it is sent", func() bool { return w.all("sent", 2) })
	if again := w.logins(); again != logins {
		t.Errorf("%d more logins", again-logins)
	}
}

// With something wrong with the primary its mail waits, and does not go elsewhere.
func TestAPrimaryThatIsWrongSendsNothingElsewhere(t *testing.T) {
	w := newTwoWays(t, true)
	w.settings.Connections.Connections = w.settings.Connections.Connections[1:]
	w.settings.Connections.Problems = []core.Problem{{Field: "PrimaryPassword", Mend: "type it again"}}
	o := w.begin()
	w.ask(o, "reset", "anna")
	w.eventually("it is told", func() bool { return strings.Contains(w.log.String(), "type it again (PrimaryPassword)") })
	if w.states() != "queued" || len(w.fallback.Mails())+len(w.peer.Mails()) != 0 {
		t.Error(w.states())
	}
}

// Each connection has a rate of its own.
func TestEachConnectionHasItsRate(t *testing.T) {
	w := newTwoWays(t, true)
	w.own["PrimaryPerMinute"], w.own["FallbackPerMinute"] = "1", "3"
	w.read()
	w.peer.At(peer.AUTH, peer.Say("535 5.7.8 no"))
	o := w.begin()
	w.relay(o, 3)
	w.eventually("all wait or are sent", func() bool { return w.text(`SELECT count(*) FROM postroom.mails WHERE state = 'sent'`) != "0" })
	if rows := w.text(`SELECT string_agg(connection, ' ' ORDER BY connection) FROM postroom.upstream WHERE tat > now()`); !strings.Contains(rows, "fallback") {
		t.Errorf("turns at %s", rows)
	}
}
