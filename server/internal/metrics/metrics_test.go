package metrics

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"postroom/server/internal/engine"
	"postroom/server/internal/store"
)

func sources(queue store.Queue, err error) Sources {
	return Sources{
		Queue:       func(context.Context) (store.Queue, error) { return queue, err },
		Working:     func() (bool, bool) { return true, false },
		Relay:       func(context.Context) (bool, bool) { return true, false },
		Connections: func() int { return 3 },
		Instances:   func() int { return 2 },
	}
}

func scraped(t *testing.T, m *Metrics) string {
	t.Helper()
	reply := httptest.NewRecorder()
	m.Handler().ServeHTTP(reply, httptest.NewRequest("GET", "/metrics", nil))
	if reply.Code != 200 {
		t.Fatalf("status %d: %s", reply.Code, reply.Body)
	}
	return reply.Body.String()
}

func expect(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
}

func TestWhatIsCounted(t *testing.T) {
	m := New(Build{Version: "1.2.3", Core: "0.1.0", Restarts: 4})
	m.Watch(sources(store.Queue{
		Mails:    []store.Waiting{{Class: "account", Kind: "reset", State: "deferred", Mails: 2}},
		Requests: 5, OldestAccount: 90 * time.Second,
	}, nil))
	m.Attempt("account", "sent", 2*time.Second)
	m.Attempt("account", "sent", -time.Second) // clocks
	m.Attempt("notification", "deferred", time.Hour)
	m.CoreCall("judge", engine.ResultLate, time.Millisecond)
	m.Relayed(NotNow)
	m.Connection(true)
	text := scraped(t, m)
	expect(t, text,
		`postroom_attempts_total{class="account",outcome="sent"} 2`,
		`postroom_attempts_total{class="notification",outcome="deferred"} 1`,
		`postroom_attempts_total{class="invitation",outcome="failed"} 0`, // is there before it happens
		`postroom_delivery_seconds_count{class="account"} 2`,
		`postroom_delivery_seconds_sum{class="account"} 2`,
		`postroom_delivery_seconds_count{class="notification"} 0`,
		`postroom_core_calls_total{op="judge",result="late"} 1`,
		`postroom_relay_mails_total{result="not_now"} 1`,
		`postroom_upstream_connections_total{how="reused"} 1`,
		`postroom_queue_mails{class="account",kind="reset",state="deferred"} 2`,
		`postroom_queue_requests 5`,
		`postroom_oldest_account_mail_seconds 90`,
		`postroom_database_up 1`, `postroom_outbox_working 1`, `postroom_outbox_needs_admin 0`,
		`postroom_relay_enabled 1`, `postroom_relay_healthy 0`, `postroom_relay_connections 3`, `postroom_core_instances 2`,
		`postroom_service_restarts_total 4`,
		`postroom_build_info{core="0.1.0",version="1.2.3"} 1`,
	)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

// A database out of reach is told, and nothing is made up for it.
func TestWithoutADatabase(t *testing.T) {
	m := New(Build{})
	m.Watch(sources(store.Queue{}, errors.New("out of reach")))
	text := scraped(t, m)
	expect(t, text, `postroom_database_up 0`, `postroom_outbox_working 1`)
	for _, name := range []string{"postroom_queue_requests", "postroom_oldest_account_mail_seconds"} {
		if strings.Contains(text, name) {
			t.Errorf("%s is told though nobody knows it", name)
		}
	}
}

func TestNobodyCounts(t *testing.T) {
	var m *Metrics
	m.Attempt("account", "sent", time.Second)
	m.CoreCall("judge", engine.ResultOK, time.Second)
	m.Relayed(Taken)
}
