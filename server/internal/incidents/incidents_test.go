package incidents

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/engine"
	"postroom/server/internal/pgtest"
	"postroom/server/internal/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var shared = sync.OnceValues(func() (*engine.Engine, error) {
	root := filepath.Join("..", "..", "..", ".build")
	wasm, err := os.ReadFile(filepath.Join(root, "core.wasm"))
	if err != nil {
		return nil, err
	}
	return engine.New(context.Background(), engine.Options{
		Wasm: wasm, CacheDir: filepath.Join(root, "wazero"), Logger: slog.New(slog.DiscardHandler),
	})
})

// world is a database, and a webhook that keeps what it is told.
type world struct {
	*testing.T
	dataSource string
	store      *store.Store
	log        *logged

	mu    sync.Mutex
	hooks []note
	fails int // how many more posts are answered with 500
	hook  string
}

type logged struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, dataSource: pgtest.Database(t), log: &logged{}}
	var err error
	if w.store, err = store.Open(t.Context(), w.dataSource); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.store.Close)
	if err := w.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(reply http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.fails > 0 {
			w.fails--
			reply.WriteHeader(http.StatusInternalServerError)
			return
		}
		var told note
		if err := json.Unmarshal(raw, &told); err != nil || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%q %v %v", raw, err, r.Header)
		}
		w.hooks = append(w.hooks, told)
	}))
	t.Cleanup(server.Close)
	w.hook = server.URL + "/hooks/secret-part"
	return w
}

// node runs incidents as a node does.
func (w *world) node() *Incidents {
	w.Helper()
	core, err := shared()
	if err != nil {
		w.Fatal(err, "(make wasm builds it)")
	}
	i, err := New(Options{
		Store: w.store, Engine: core, Webhook: w.hook, Period: 20 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		w.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { i.Run(ctx); close(ended) }()
	w.Cleanup(func() { end(); <-ended })
	return i
}

// told are the messages that wait for a shim.
func (w *world) told() []string {
	w.Helper()
	acts, err := w.store.TakeActs(w.Context(), 100, 0)
	if err != nil {
		w.Fatal(err)
	}
	var texts []string
	for _, act := range acts {
		var message Message
		if err := json.Unmarshal(act.Body, &message); err != nil || act.Kind != store.ActMessage {
			w.Fatal(act.Kind, err)
		}
		texts = append(texts, message.Text)
	}
	return texts
}

func (w *world) hooked() []note {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]note{}, w.hooks...)
}

func (w *world) eventually(what string, holds func() bool) {
	w.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	w.Fatalf("%s: does not come about\ntold: %q\nhooks: %+v\nlog:\n%s", what, w.told(), w.hooked(), w.log)
}

// age makes everything that much older, as if that time had passed.
func (w *world) age(interval string) {
	pgtest.Exec(w, w.dataSource, `UPDATE postroom.incidents SET opened_at = opened_at - interval '`+interval+`',
		closed_at = closed_at - interval '`+interval+`', look_at = now()`)
}

func TestTwoNodesTellOfAnIncidentOnceAndOfItsEndOnce(t *testing.T) {
	w := newWorld(t)
	w.fails = 1
	one, two := w.node(), w.node()
	facts := map[string]string{core.FactServer: "smtp.example.com:587", core.FactReason: "535 5.7.8 `@all`"}
	for range 5 {
		one.Open(t.Context(), core.IncidentConnectionPaused, "primary", facts)
		two.Open(t.Context(), core.IncidentConnectionPaused, "primary", facts)
	}
	w.eventually("the webhook is told, at its second try", func() bool { return len(w.hooked()) == 1 })
	told := w.told()
	if len(told) != 1 || !strings.Contains(told[0], "paused") || !strings.Contains(told[0], "smtp.example.com:587") {
		t.Fatalf("%q", told)
	}
	two.Close(t.Context(), core.IncidentConnectionPaused, "primary")
	one.Close(t.Context(), core.IncidentConnectionPaused, "primary")
	if told := w.told(); len(told) != 1 {
		t.Errorf("told before it is over: %q", told)
	}
	w.age("1 minute")
	w.eventually("the end is told", func() bool { return len(w.hooked()) == 2 })
	if told := w.told(); len(told) != 2 || !strings.Contains(told[1], "flows again") {
		t.Errorf("%q", told)
	}
	first, last := w.hooked()[0], w.hooked()[1]
	if first.Phase != "open" || last.Phase != "over" || first.Kind != core.IncidentConnectionPaused || first.Key != "primary" || first.Text != told[0] {
		t.Errorf("%+v %+v", first, last)
	}
	if at, err := time.Parse(time.RFC3339, last.At); err != nil || time.Since(at) > time.Minute {
		t.Error(last.At, err)
	}
	if left, err := w.store.TakeWebhooks(t.Context(), 10, 0); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
}

func TestAFlapIsToldToNobody(t *testing.T) {
	w := newWorld(t)
	i := w.node()
	// All of it within the 30 seconds that a fail-over must last to be told.
	for range 3 {
		i.Open(t.Context(), core.IncidentFailedOver, "primary", nil)
		i.Close(t.Context(), core.IncidentFailedOver, "primary")
		w.age("5 seconds")
	}
	w.age("1 minute")
	w.eventually("it is over", func() bool {
		_, err := w.store.CloseIncident(t.Context(), core.IncidentFailedOver, "primary")
		open, _ := w.store.Incidents(t.Context())
		return err == nil && len(open) == 0
	})
	if told := w.told(); len(told) != 0 || len(w.hooked()) != 0 {
		t.Errorf("%q %+v", told, w.hooked())
	}
}

// TestWhatCouldNotBeNotedIsNotedLater: the table is out of reach, as a database that is away.
func TestWhatCouldNotBeNotedIsNotedLater(t *testing.T) {
	w := newWorld(t)
	i := w.node()
	pgtest.Exec(t, w.dataSource, `ALTER TABLE postroom.incidents RENAME TO away`)
	i.Open(t.Context(), core.IncidentOAuthRefused, "primary", nil)
	i.Open(t.Context(), core.IncidentOAuthRefused, "fallback", nil)
	i.Close(t.Context(), core.IncidentOAuthRefused, "fallback") // in its order
	if !strings.Contains(w.log.String(), "an incident can't be noted yet") {
		t.Error(w.log)
	}
	pgtest.Exec(t, w.dataSource, `ALTER TABLE postroom.away RENAME TO incidents`)
	w.eventually("it is told", func() bool { return len(w.told()) == 1 })
	if told := w.told()[0]; !strings.Contains(told, "`primary`") {
		t.Error(told)
	}
}

func TestAccountMailThatWaitsAndMovesAgain(t *testing.T) {
	w := newWorld(t)
	pgtest.Exec(t, w.dataSource, `INSERT INTO postroom.mails (id, kind, class, state, masked_to, locale, message_id, size, expires_at, reason, queued_at, sealed)
		VALUES (gen_random_uuid(), 'reset', 'account', 'deferred', '', '', '', 1, now() + interval '1 hour', '451 4.3.0', now() - interval '6 minutes', '\x00')`)
	i := w.node()
	w.eventually("it is told", func() bool { return len(w.told()) == 1 })
	if told := w.told()[0]; !strings.Contains(told, "451 4.3.0") || !strings.Contains(told, "One account mail") {
		t.Error(told)
	}
	pgtest.Exec(t, w.dataSource, `UPDATE postroom.mails SET state = 'sent', finished_at = now(), sealed = NULL`)
	if err := i.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.age("1 minute")
	w.eventually("its end is told", func() bool { return len(w.told()) == 2 })
}

func TestACertificateThatEnds(t *testing.T) {
	w := newWorld(t)
	i := w.node()
	show := func(days int) {
		i.Certificate("primary", "smtp.example.com:465", &core.TLSFacts{Chain: []core.Certificate{{
			Subject: "CN=smtp.example.com", Issuer: "CN=Example CA", NotAfter: time.Now().Add(time.Duration(days)*24*time.Hour + time.Hour).UnixMilli(),
		}}})
		if err := i.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	i.Certificate("primary", "smtp.example.com:465", nil) // no TLS
	i.Certificate("primary", "smtp.example.com:465", &core.TLSFacts{})
	show(60)
	show(10) // another machine of the same name
	w.eventually("it is told", func() bool { return len(w.told()) == 1 })
	if told := w.told()[0]; !strings.Contains(told, "expires in 10 days") || !strings.Contains(told, "CN=Example CA") {
		t.Error(told)
	}
	show(90) // renewed, but looked at within the hour
	if open, err := w.store.Incidents(t.Context()); err != nil || len(open) != 1 {
		t.Error(open, err)
	}
	i.mu.Lock()
	i.certificates["primary"].looked = time.Now().Add(-2 * certificateEvery)
	i.mu.Unlock()
	show(90)
	if open, err := w.store.Incidents(t.Context()); err != nil || len(open) != 0 {
		t.Error(open, err)
	}
}

func TestWebhooksThatAreTakenAndRefused(t *testing.T) {
	for address, want := range map[string]string{
		"": "", "https://hooks.example.com/x": "", "http://127.0.0.1:80/x": "", "http://[::1]/x": "", "http://localhost/x": "",
		"http://hooks.example.com/secret-part": "https://", "ftp://127.0.0.1/secret-part": "https://", "secret-part": "no address", "http://%zz/secret-part": "no address",
		"file:///etc/secret-part": "no address",
	} {
		hook, err := newWebhook(address)
		if want == "" && (err != nil || (hook == nil) != (address == "")) || want != "" && (hook != nil || err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret-part") {
			t.Errorf("%v repeats the address", err)
		}
	}
}

// TestWhatAWebhookSaysNoTo: no redirect is followed, and no reason names the address.
func TestWhatAWebhookSaysNoTo(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	hook, err := newWebhook(server.URL + "/secret-part")
	if err != nil {
		t.Fatal(err)
	}
	if err := hook.post(t.Context(), nil); err == nil || asked != 1 || err.Error() != "it answered with status 302" {
		t.Error(err, asked)
	}
	server.Close()
	refused := hook.post(t.Context(), nil)
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	hook.address = strings.Replace(plain.URL, "http:", "https:", 1) + "/secret-part"
	for name, err := range map[string]error{"refused": refused, "no TLS": hook.post(t.Context(), nil)} {
		if err == nil || strings.Contains(err.Error(), "secret-part") || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
