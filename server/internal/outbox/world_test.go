package outbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"encoding/base64"

	"postroom/server/internal/core"
	"postroom/server/internal/courier"
	"postroom/server/internal/courier/peer"
	"postroom/server/internal/engine"
	"postroom/server/internal/pgtest"
	"postroom/server/internal/settings"
	"postroom/server/internal/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var shared struct {
	once   sync.Once
	engine *engine.Engine
	err    error
}

// realEngine runs the core that `make wasm` built.
func realEngine(t testing.TB) *engine.Engine {
	t.Helper()
	shared.once.Do(func() {
		root := filepath.Join("..", "..", "..", ".build")
		wasm, err := os.ReadFile(filepath.Join(root, "core.wasm"))
		if err != nil {
			shared.err = fmt.Errorf("%w (make wasm builds it)", err)
			return
		}
		shared.engine, shared.err = engine.New(context.Background(), engine.Options{
			Wasm: wasm, CacheDir: filepath.Join(root, "wazero"), Logger: slog.New(slog.DiscardHandler),
		})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.engine
}

// quick shortens what a test would wait for.
var quick = Tuning{
	RequestWorkers: 8, Senders: 16, OtherSenders: 16, AccountWorkers: 16, OtherWorkers: 16, FetchCooldown: 5 * time.Millisecond, FetchPoll: 50 * time.Millisecond,
	LeaseLife:    3 * time.Second,
	KeeperPeriod: 50 * time.Millisecond, ReaperPeriod: 200 * time.Millisecond, ReaperGrace: time.Second, PrunePeriod: time.Hour, SweepPeriod: time.Hour,
	SteerPeriod: 50 * time.Millisecond, RateWindow: time.Minute, TurnPatience: 300 * time.Millisecond,
	Queue: courier.Deadlines{
		DNS: time.Second, Connect: time.Second, TLS: time.Second, Greeting: 5 * time.Second, Command: 5 * time.Second,
		Data: 5 * time.Second, Block: 5 * time.Second, FinalDot: 8 * time.Second, Quit: time.Second, Total: 20 * time.Second,
	},
	Test: courier.Deadlines{
		Connect: time.Second, Greeting: time.Second, Command: time.Second, Data: time.Second, Block: time.Second,
		FinalDot: time.Second, Quit: time.Second, Total: 3 * time.Second,
	},
	HelloName: "postroom.test",
}

const (
	keyOne = "the first key, 32 characters long"
	keyTwo = "another key, also 32 characters…"
	site   = "https://chat.example.com"
)

// world is a database with accounts, an upstream server, and the settings that join them.
type world struct {
	t          testing.TB
	dataSource string
	store      *store.Store
	peer       *peer.Peer
	settings   settings.Snapshot
	log        *safeBuffer
	nodes      int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dataSource: pgtest.Database(t), peer: peer.Start(t), log: &safeBuffer{}}
	w.store = w.open(w.dataSource)
	w.settings = settings.Snapshot{
		DataSource: w.dataSource, AtRestKey: keyOne, Connection: settings.ConnectionAuto,
		Site: core.Site{URL: site, Name: "Acme Chat", DefaultLocale: "en", FromAddress: "noreply@example.com",
			ResetLifetimeMS: 3_600_000, VerifyLifetimeMS: 86_400_000},
		Email: json.RawMessage(fmt.Sprintf(`{"SMTPServer": "127.0.0.1", "SMTPPort": "%d", "ConnectionSecurity": "",
			"EnableSMTPAuth": false, "SMTPUsername": "", "SMTPPassword": null}`, w.peer.Port)),
	}
	for _, name := range []string{"anna", "ben", "cleo"} {
		w.user(name)
	}
	return w
}

func (w *world) open(dataSource string) *store.Store {
	w.t.Helper()
	s, err := store.Open(context.Background(), dataSource)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Close)
	return s
}

func (w *world) user(name string) {
	w.exec(fmt.Sprintf(`INSERT INTO users (id, username, email, deleteat, emailverified, roles, lastpasswordupdate, locale, authservice)
		VALUES ('%s', '%s', '%s@example.com', 0, false, 'system_user', 1764000000000, 'en', '')`, name, name, name))
}

func (w *world) exec(statements ...string) {
	w.t.Helper()
	pgtest.Exec(w.t, w.dataSource, statements...)
}

// text is a query's one value.
func (w *world) text(query string) string {
	w.t.Helper()
	conn := pgtest.Connect(w.t, w.dataSource)
	defer func() { _ = conn.Close(context.Background()) }()
	var text string
	if err := conn.QueryRow(context.Background(), `SELECT coalesce((`+query+`)::text, '')`).Scan(&text); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return text
}

// node makes an outbox on the world's database, not yet started.
func (w *world) node(change ...func(*Options)) *Outbox {
	w.t.Helper()
	w.nodes++
	snapshot, tuning := w.settings, quick
	options := Options{
		Store: w.store, Engine: realEngine(w.t), Node: fmt.Sprintf("node-%d", w.nodes), Settings: &snapshot, Tuning: &tuning,
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&options)
	}
	o, err := New(options)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := o.Stop(ctx); err != nil {
			w.t.Errorf("stop: %v", err)
		}
	})
	return o
}

// start makes a node and waits until it works.
func (w *world) start(change ...func(*Options)) *Outbox {
	w.t.Helper()
	o := w.node(change...)
	if err := o.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.eventually("the outbox works", func() bool { return o.Status(context.Background()).State == Working })
	return o
}

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	w.eventuallyIn(15*time.Second, what, holds)
}

func (w *world) eventuallyIn(limit time.Duration, what string, holds func() bool) {
	w.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	w.t.Fatalf("%s: does not come about\nmails: %s\njobs: %s\nlog:\n%s", what,
		w.text(`SELECT json_agg(json_build_array(kind, state, held_by, attempts, reason, reply_text, step)) FROM postroom.mails`),
		w.text(`SELECT json_agg(json_build_array(kind, state, attempt, scheduled_at - now(), errors)) FROM postroom.river_job WHERE state <> 'completed'`),
		w.log.String())
}

func (w *world) ask(o *Outbox, kind, name string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := o.Accept(ctx, Request{Kind: kind, Email: name + "@example.com", ClientAddress: "203.0.113.7",
		UserAgent: "test", RequestID: "request-1", RequestedAt: time.Now()})
	if err != nil {
		w.t.Fatal(err)
	}
}

// decided waits until that many requests were decided.
func (w *world) decided(n int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d requests are decided", n), func() bool {
		return w.text(`SELECT count(*) FROM postroom.acts`) == fmt.Sprint(n)
	})
}

// keyIsMissed is whether a node came across a mail whose key it lacks, and will look at it again.
func (w *world) keyIsMissed() bool {
	return w.text(`SELECT m.key_missing_since FROM postroom.mails m JOIN postroom.river_job j ON j.id = m.job_id
		WHERE j.state = 'scheduled'`) != ""
}

// states are the mails' states in the order of their making.
func (w *world) states() string {
	return w.text(`SELECT string_agg(state, ' ' ORDER BY queued_at, id) FROM postroom.mails`)
}

// hurry lets what waits for a later time come now.
func (w *world) hurry() {
	w.exec(`UPDATE postroom.mails SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL`,
		`UPDATE postroom.river_job SET state = 'available', scheduled_at = now() WHERE state IN ('scheduled', 'retryable')`)
}

// age makes everything that was asked for that much older.
func (w *world) age(interval string) {
	w.exec(`UPDATE postroom.tokens SET requested_at = requested_at - interval '`+interval+`'`,
		`UPDATE postroom.mails SET queued_at = queued_at - interval '`+interval+`'`)
}

// dump is every row of every table in the database.
func (w *world) dump() string {
	w.t.Helper()
	conn := pgtest.Connect(w.t, w.dataSource)
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(context.Background(), `SELECT quote_ident(table_schema) || '.' || quote_ident(table_name)
		FROM information_schema.tables WHERE table_schema IN ('public', 'postroom') AND table_type = 'BASE TABLE'`)
	if err != nil {
		w.t.Fatal(err)
	}
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			w.t.Fatal(err)
		}
		tables = append(tables, table)
	}
	var all strings.Builder
	for _, table := range tables {
		all.WriteString(table + ": " + w.text(`SELECT string_agg(t::text, E'\n') FROM `+table+` t`) + "\n")
	}
	if len(tables) < 8 {
		w.t.Fatalf("only %v", tables)
	}
	return all.String()
}

var link = regexp.MustCompile(`https://[^\s"<>]*token=([A-Za-z0-9_-]{43})`)

// read gives a taken mail's headers, decoded text, and token.
func (w *world) read(taken peer.Mail) (mail.Header, string, string) {
	w.t.Helper()
	message, err := mail.ReadMessage(strings.NewReader(taken.Data))
	if err != nil {
		w.t.Fatalf("%v in %s", err, taken.Data)
	}
	body := decodeParts(w.t, message.Header.Get("Content-Type"), message.Header.Get("Content-Transfer-Encoding"), message.Body)
	found := link.FindStringSubmatch(body)
	if found == nil {
		w.t.Fatalf("no link in %s", body)
	}
	return message.Header, body, found[1]
}

func decodeParts(t testing.TB, contentType, encoding string, body io.Reader) string {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		var all strings.Builder
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			part, err := parts.NextRawPart()
			if err != nil {
				return all.String()
			}
			all.WriteString(decodeParts(t, part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part))
		}
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func digestOf(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

type safeBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}
