package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/dns"
	"postroom/server/internal/engine"
	"postroom/server/internal/limits"
	"postroom/server/internal/outbox"
	"postroom/server/internal/pgtest"
	"postroom/server/internal/settings"
	"postroom/server/internal/store"
	"postroom/server/internal/subjects"
	"postroom/server/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// stage is the flows on a real database and the real core, with a double of Mattermost's API.
type stage struct {
	testing.TB
	flows      *Flows
	dataSource string
	snapshot   settings.Snapshot

	mutex sync.Mutex
	// redeem plays Mattermost: it gets the inner token's body and answers.
	redeem func(w http.ResponseWriter, body map[string]string)
	calls  int
}

func newStage(t testing.TB) *stage {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join("..", "..", "..", ".build", "core.wasm"))
	if err != nil {
		t.Fatal("the core is not built; run make wasm: ", err)
	}
	log := slog.New(slog.DiscardHandler)
	e, err := engine.New(t.Context(), engine.Options{Wasm: wasm, CacheDir: cache(t), MemoryPages: 8192, Deadline: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{TB: t, dataSource: pgtest.Database(t)}
	mattermost := httptest.NewServer(http.HandlerFunc(s.mattermost))
	t.Cleanup(mattermost.Close)
	s.snapshot = settings.Snapshot{
		DataSource: s.dataSource, AtRestKey: strings.Repeat("k", 32), Email: json.RawMessage(`{}`), Connection: settings.ConnectionCapture,
		Site: core.Site{URL: "https://chat.example.com", Name: "Acme", DefaultLocale: "en",
			ResetLifetimeMS: 3_600_000, VerifyLifetimeMS: 86_400_000},
		ListenAddress: mattermost.Listener.Addr().String(),
	}
	db, err := store.Open(t.Context(), s.dataSource)
	if err != nil {
		t.Fatal(err)
	}
	box, err := outbox.New(outbox.Options{Store: db, Engine: e, Log: log, Node: t.Name(), Settings: &s.snapshot})
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = box.Stop(ctx)
		db.Close()
		_ = e.Close(ctx)
	})
	s.flows = &Flows{Engine: e, Store: db, Outbox: box, Limits: limits.New(e), Trials: trial.New(db), Resolver: &dns.Resolver{Servers: []string{"127.0.0.1:1"}}, Log: log, Subjects: subjects.New(mattermostDir(t)),
		Switching: &Switching{Engine: e, Store: db, Port: func() (RelayPort, error) { return RelayPort{}, ErrNoRelay }}}
	s.flows.Apply(t.Context(), &s.snapshot)
	s.exec(`INSERT INTO users (id, username, email, deleteat, emailverified, roles, lastpasswordupdate, locale, authservice)
		VALUES ('anna', 'anna', 'anna@example.com', 0, false, 'system_user', 1, 'en', '')`)
	s.play(s.agree)
	return s
}

// play says how Mattermost answers from now on.
func (s *stage) play(redeem func(http.ResponseWriter, map[string]string)) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.redeem = redeem
}

// called is how often Mattermost was.
func (s *stage) called() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.calls
}

// cache keeps compiled code between runs, as the service does.
func cache(t testing.TB) string {
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", ".build", "wazero"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s *stage) exec(sql string) { s.Helper(); pgtest.Exec(s.TB, s.dataSource, sql) }

func (s *stage) count(sql string) (n int) {
	s.Helper()
	conn := pgtest.Connect(s.TB, s.dataSource)
	if err := conn.QueryRow(s.Context(), sql).Scan(&n); err != nil {
		s.Fatal(err)
	}
	return n
}

// mattermost answers as Mattermost would, one call at a time.
func (s *stage) mattermost(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.calls++
	var body map[string]string
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		s.Error(err)
	}
	if n := s.count(`SELECT count(*) FROM tokens WHERE token = '` + body["token"] + `'`); n != 1 {
		s.Errorf("the inner token is in Mattermost's table %d times", n)
	}
	s.redeem(w, body)
}

// change is a password that Mattermost has changed.
func (s *stage) change() { s.exec(`UPDATE users SET lastpasswordupdate = lastpasswordupdate + 1`) }

func (s *stage) agree(w http.ResponseWriter, body map[string]string) {
	s.change()
	s.exec(`DELETE FROM tokens WHERE token = '` + body["token"] + `'`)
	_, _ = w.Write([]byte(`{"status":"OK"}`))
}

func refusal(status int, id, message string) func(http.ResponseWriter, map[string]string) {
	return func(w http.ResponseWriter, _ map[string]string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "message": message, "status_code": status})
	}
}

var asker = Asker{Address: "203.0.113.7", AcceptLanguage: "en", UserAgent: "test", RequestID: "r"}

var linkPattern = regexp.MustCompile(`/plugins/postroom/(?:reset|verify)\?token=([A-Za-z0-9_-]{43})`)

// token asks for a link as anyone may, and takes its token from the captured mail.
func (s *stage) token(kind string) string {
	s.Helper()
	answer, err := s.flows.Request(s.Context(), kind, Input{Body: []byte(`{"email":"Anna@Example.com"}`)}, nil, asker)
	if err != nil || answer.JSON == nil {
		s.Fatal(answer, err)
	}
	for waited := time.Now(); time.Since(waited) < 10*time.Second; time.Sleep(20 * time.Millisecond) {
		mails, err := s.flows.Store.Mails(s.Context(), store.MailFilter{}, 10)
		if err != nil {
			s.Fatal(err)
		}
		if len(mails) == 0 || mails[0].State != store.StateHeld {
			continue
		}
		answer, err := s.flows.Mail(s.Context(), mails[0].ID)
		if err != nil {
			s.Fatal(err)
		}
		if answer.Audit == nil {
			s.Error("a look at a body is not audited")
		}
		text := strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(bodyOf(s, answer))
		if found := linkPattern.FindStringSubmatch(text); found != nil {
			return found[1]
		}
		s.Fatal("no link in the mail:\n", text)
	}
	s.Fatal("no mail was captured")
	return ""
}

// bodyOf is the body in an answer of Mail's.
func bodyOf(s *stage, answer Answer) string {
	s.Helper()
	raw, err := json.Marshal(answer.JSON)
	var shown struct{ Body string }
	if err == nil {
		err = json.Unmarshal(raw, &shown)
	}
	if err != nil {
		s.Fatal(err)
	}
	return shown.Body
}

func (s *stage) post(purpose, token, password string) Answer {
	s.Helper()
	answer, err := s.flows.Redeem(s.Context(), purpose, Input{Body: fmt.Appendf(nil, "token=%s&new_password=%s&confirm_password=%s", token, password, password)}, asker)
	if err != nil || answer.Page == nil {
		s.Fatal(answer, err)
	}
	return answer
}

func (s *stage) look(purpose, token string) core.Page {
	s.Helper()
	answer, err := s.flows.ShowLanding(s.Context(), purpose, token, asker)
	if err != nil || answer.Page == nil {
		s.Fatal(answer, err)
	}
	return *answer.Page
}

// mattermostDir is a Mattermost server's folder, as far as the subjects of mails go.
func mattermostDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "i18n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for locale, text := range map[string]string{
		"en": `[{"id": "api.templates.reset_subject", "translation": "[{{ .SiteName }}] Reset your password"},
			{"id": "api.templates.verify_subject", "translation": "[{{ .SiteName }}] Email Verification"},
			{"id": "api.templates.email_change_verify_subject", "translation": "[{{ .SiteName }}] Verify new email address"},
			{"id": "api.templates.password_change_subject", "translation": "[{{ .SiteName }}] Your password has been updated"},
			{"id": "api.templates.invite_subject", "translation": "[{{ .SiteName }}] {{ .SenderName }} invited you to join {{ .TeamDisplayName }} Team"}]`,
		"de": `[{"id": "api.templates.reset_subject", "translation": "[{{ .SiteName }}] Passwort zurücksetzen"}]`,
	} {
		if err := os.WriteFile(filepath.Join(dir, "i18n", locale+".json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
