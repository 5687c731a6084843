package shim

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin/plugintest"
	"github.com/stretchr/testify/mock"

	"postroom/server/internal/link"
)

var toRelay = link.Switch{On: true, Settings: link.EmailSettings{
	SMTPServer: "127.0.0.1", SMTPPort: "24817", ConnectionSecurity: "TLS", EnableSMTPAuth: true,
	SMTPUsername: "postroom-relay", SMTPPassword: "made up", SkipServerCertificateVerification: true,
}}

// console is a double of Mattermost: its configuration, its API to plugins, and PUT /api/v4/config/patch.
type console struct {
	*plugintest.API
	cfg   *model.Config
	fixed string // a setting that does not change

	environment string // what GET /api/v4/config/environment answers
	refuses     int    // the status of a patch, 0 for one that is made
	patches     []string
}

func newConsole(t *testing.T) *console {
	c := &console{API: &plugintest.API{}, cfg: &model.Config{}, environment: "{}"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/api/v4/config/environment" {
			_, _ = io.WriteString(w, c.environment)
			return
		}
		raw, _ := io.ReadAll(r.Body)
		if c.refuses != 0 {
			w.WriteHeader(c.refuses)
			_, _ = io.WriteString(w, `{"id": "app.save_config.app_error", "message": "An error occurred saving the configuration."}`)
			return
		}
		if r.Method != http.MethodPut || r.URL.Path != "/api/v4/config/patch" || r.Header.Get("Authorization") != "Bearer for one act" {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		c.patches = append(c.patches, string(raw))
		port := *c.cfg.EmailSettings.SMTPPort
		if err := json.Unmarshal(raw, c.cfg); err != nil {
			t.Error(err)
		}
		if c.fixed == "SMTPPort" {
			c.cfg.EmailSettings.SMTPPort = &port
		}
	}))
	t.Cleanup(server.Close)
	c.cfg.ServiceSettings.ListenAddress = new(server.Listener.Addr().String())
	c.cfg.EmailSettings.SMTPServer = new("smtp.example.com")
	c.cfg.EmailSettings.SMTPPort = new("587")
	c.cfg.EmailSettings.FeedbackEmail = new("noreply@example.com")
	c.On("GetUnsanitizedConfig").Return(func() *model.Config { return c.cfg.Clone() })
	c.On("EnsureBotUser", mock.Anything).Return("bot", nil)
	c.On("CreateSession", mock.MatchedBy(func(s *model.Session) bool {
		return s.UserId == "bot" && s.ExpiresAt > 0 && s.ExpiresAt < model.GetMillis()+2*sessionFor.Milliseconds()
	})).Return(&model.Session{Id: "session", Token: "for one act"}, nil)
	c.On("RevokeSession", "session").Return(nil)
	return c
}

func TestSwitchingChangesSevenSettingsAndRevokesItsRight(t *testing.T) {
	c := newConsole(t)
	if err := switchMail(c, toRelay); err != nil {
		t.Fatal(err)
	}
	var patch map[string]map[string]any
	if err := json.Unmarshal([]byte(c.patches[0]), &patch); err != nil || len(c.patches) != 1 || len(patch) != 1 || len(patch["EmailSettings"]) != 7 {
		t.Fatal(c.patches, err)
	}
	if settingsOf(c.cfg) != toRelay.Settings || *c.cfg.EmailSettings.FeedbackEmail != "noreply@example.com" {
		t.Error(settingsOf(c.cfg))
	}
	c.AssertCalled(t, "RevokeSession", "session")
}

func TestASettingThatIsFixedElsewhereIsNamedAndAllIsPutBack(t *testing.T) {
	c := newConsole(t)
	before := settingsOf(c.cfg)
	c.fixed = "SMTPPort"
	err := switchMail(c, toRelay)
	if err == nil || !strings.Contains(err.Error(), "EmailSettings.SMTPPort") {
		t.Fatal(err)
	}
	if strings.Contains(err.Error(), "made up") {
		t.Error("the password is in the error")
	}
	if settingsOf(c.cfg) != before || len(c.patches) != 2 {
		t.Error(settingsOf(c.cfg), len(c.patches))
	}
	c.AssertCalled(t, "RevokeSession", "session")
}

// Whatever the server says, the right to ask it ends with the question.
func TestWhatTheServerRefuses(t *testing.T) {
	for name, try := range map[string]struct {
		prepare func(*console)
		want    string
	}{
		"environment":       {func(c *console) { c.environment = `{"EmailSettings": {"SMTPServer": true, "FeedbackEmail": true}}` }, "remove MM_EMAILSETTINGS_SMTPSERVER from it"},
		"no right to write": {func(c *console) { c.refuses = http.StatusInternalServerError }, "may write its configuration"},
	} {
		c := newConsole(t)
		try.prepare(c)
		before := settingsOf(c.cfg)
		err := switchMail(c, toRelay)
		if err == nil || !strings.Contains(err.Error(), try.want) || len(c.patches) != 0 || settingsOf(c.cfg) != before {
			t.Errorf("%s: %v %v", name, err, c.patches)
		}
		c.AssertCalled(t, "RevokeSession", "session")
	}
}

// Plugins are started before the server listens, and mail must not go to a stranger meanwhile.
func TestAServerThatDoesNotListenYetIsWaitedFor(t *testing.T) {
	c := newConsole(t)
	listening := *c.cfg.ServiceSettings.ListenAddress
	early, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := early.Addr().String()
	_ = early.Close()
	c.cfg.ServiceSettings.ListenAddress = &address
	time.AfterFunc(300*time.Millisecond, func() {
		late, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = late.Close() })
		for {
			from, err := late.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", listening)
			if err != nil {
				t.Error(err)
				return
			}
			go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
			go func() { _, _ = io.Copy(from, to); _ = from.Close() }()
		}
	})
	if err := switchMail(c, toRelay); err != nil || len(c.patches) != 1 {
		t.Fatal(err, c.patches)
	}
}

func TestEmptyServerAndPortBecomeMattermostsDefaults(t *testing.T) {
	have := link.EmailSettings{SMTPServer: "localhost", SMTPPort: "10025"}
	if err := readBack(have, link.EmailSettings{}); err != nil {
		t.Error(err)
	}
	if err := readBack(have, link.EmailSettings{SMTPServer: "smtp.example.com", SMTPPort: "10025"}); err == nil {
		t.Error("a server that was not written was taken for written")
	}
}

func TestWhatIsRefusedBeforeAnythingIsChanged(t *testing.T) {
	restricted := newConsole(t)
	restricted.cfg.ExperimentalSettings.RestrictSystemAdmin = new(true)
	elsewhere := toRelay
	elsewhere.Settings.SMTPServer = "203.0.113.9"
	for name, try := range map[string]struct {
		console *console
		to      link.Switch
		want    string
	}{
		"RestrictSystemAdmin": {restricted, toRelay, "RestrictSystemAdmin"},
		"another machine":     {newConsole(t), elsewhere, "loopback"},
	} {
		err := switchMail(try.console, try.to)
		if err == nil || !strings.Contains(err.Error(), try.want) || len(try.console.patches) != 0 {
			t.Errorf("%s: %v", name, err)
		}
		if slices.ContainsFunc(try.console.Calls, func(call mock.Call) bool { return call.Method == "CreateSession" }) {
			t.Errorf("%s: a session was made", name)
		}
	}
}
