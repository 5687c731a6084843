package specs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// relayStatus is GET /api/v1/relay's answer.
type relayStatus struct {
	Enabled bool     `json:"enabled"`
	Healthy bool     `json:"healthy"`
	Address string   `json:"address"`
	Nodes   []string `json:"nodes"`
	Direct  []string `json:"direct"`
	Problem string   `json:"problem"`
}

func switchRelay(t *testing.T, admin *harness.Client, verb string) relayStatus {
	t.Helper()
	var status relayStatus
	check(t, admin.Must("POST", harness.Plugin+"/api/v1/relay/"+verb, nil, &status))
	return status
}

// healthyRelay waits until the node has told itself that it takes mail.
func healthyRelay(t *testing.T, admin *harness.Client) {
	t.Helper()
	check(t, harness.Eventually(20*time.Second, func() error {
		var status relayStatus
		if err := admin.Must("GET", harness.Plugin+"/api/v1/relay", nil, &status); err != nil {
			return err
		}
		if !status.Healthy {
			return os.ErrNotExist
		}
		return nil
	}))
}

// configOf is the server's whole configuration as it lies on disk, secrets and all.
func configOf(t *testing.T, node *harness.Node) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(node.Dir, "config", "config.json"))
	check(t, err)
	var config map[string]any
	check(t, json.Unmarshal(raw, &config))
	return config
}

// Mattermost's own mail through the relay, with Mattermost's own endpoints, and everything as before afterwards.
func TestRelay(t *testing.T) {
	node, admin, name := separateNamed(t, harness.NodeConfig{})
	// Settings at false, 0 and "", which a plugin that saves the configuration by the SDK would flip.
	check(t, admin.Patch(map[string]any{
		"EmailSettings":   map[string]any{"EnableSignInWithUsername": false, "FeedbackOrganization": "", "LoginButtonColor": ""},
		"ServiceSettings": map[string]any{"EnableOAuthServiceProvider": false, "SessionIdleTimeoutInMinutes": 0, "EnableAPIUserDeletion": true},
	}))
	healthyRelay(t, admin)
	before := configOf(t, node)

	user := must(admin.CreateUser(unique("relayed"), "de"))(t)
	status := switchRelay(t, admin, "enable")
	if !status.Enabled || !status.Healthy || !strings.HasPrefix(status.Address, "127.0.0.1:") {
		t.Fatalf("%+v", status)
	}
	testsTheUpstream(t, admin)
	if again := switchRelay(t, admin, "enable"); !reflect.DeepEqual(again, status) {
		t.Errorf("enabling twice: %+v", again)
	}

	t.Run("only the seven settings differ", func(t *testing.T) {
		now := configOf(t, node)
		changed := now["EmailSettings"].(map[string]any)
		for _, setting := range []string{"SMTPServer", "SMTPPort", "ConnectionSecurity", "EnableSMTPAuth", "SMTPUsername", "SMTPPassword", "SkipServerCertificateVerification"} {
			changed[setting] = before["EmailSettings"].(map[string]any)[setting]
		}
		if !reflect.DeepEqual(now, before) {
			t.Error("another setting than the seven was changed")
		}
	})
	t.Run("no session or admin account stays", func(t *testing.T) {
		rows := must(house.postgres.Rows(name, `SELECT count(*)::text FROM sessions s JOIN users u ON u.id = s.userid WHERE u.username = 'postroom'
			UNION ALL SELECT roles::text FROM users WHERE username = 'postroom'`))(t)
		if len(rows) != 2 || !strings.Contains(strings.Join(rows, " "), "0") || strings.Contains(strings.Join(rows, " "), "system_admin") {
			t.Error(rows)
		}
	})
	t.Run("a forgotten password, by Mattermost's own endpoint", func(t *testing.T) {
		expectOK(t, must(node.Client.Do("POST", "/api/v4/users/password/reset/send", map[string]string{"email": user.Email}))(t))
		mail := must(harness.WaitMail(house.sink, user.Email, 1, mailWithin))(t)
		link, token, err := mail.Link()
		check(t, err)
		if !strings.Contains(link.Path, "/plugins/postroom/reset") {
			t.Fatalf("the link is Mattermost's own: %s", link.Path)
		}
		if rows := must(house.postgres.Rows(name, `SELECT count(*)::text FROM tokens WHERE type = 'password_recovery'`))(t); rows[0] != "0" {
			t.Error("Mattermost's token is still in its table")
		}
		expectOK(t, redeem(t, node.Client, token, otherPassword))
		if _, err := node.Client.Login(user.Email, otherPassword); err != nil {
			t.Error(err)
		}
	})
	var hasty *harness.User
	t.Run("asked for twice, by Mattermost's own endpoint", func(t *testing.T) {
		hasty = must(admin.CreateUser(unique("hasty"), "en"))(t)
		for range 2 {
			expectOK(t, must(node.Client.Do("POST", "/api/v4/users/password/reset/send", map[string]string{"email": hasty.Email}))(t))
		}
		_, token, err := must(harness.WaitMail(house.sink, hasty.Email, 1, mailWithin))(t).Link()
		check(t, err)
		var listed struct{ Mails []harness.Mail }
		check(t, admin.Must("GET", harness.Plugin+"/api/v1/mails?state=cancelled&kind=reset", nil, &listed))
		if len(listed.Mails) != 1 || !strings.Contains(listed.Mails[0].Reason, "15 seconds") {
			t.Errorf("%+v", listed)
		}
		if rows := must(house.postgres.Rows(name, `SELECT count(*)::text FROM tokens WHERE type = 'password_recovery'`))(t); rows[0] != "0" {
			t.Error("Mattermost's second token is in its table")
		}
		expectOK(t, redeem(t, node.Client, token, otherPassword))
	})
	t.Run("the password-changed mail keeps its body", func(t *testing.T) {
		mail := waitAny(t, user.Email, func(m *harness.Message) bool {
			return strings.Contains(m.Header.Get("Subject"), "Passwort") && !strings.Contains(m.HTML, "/plugins/postroom/")
		})
		if mail.Text == "" || mail.Header.Get("Auto-Submitted") != "auto-generated" {
			t.Errorf("text part of %d octets, headers %v", len(mail.Text), mail.Header)
		}
	})
	t.Run("Mattermost's own test button", func(t *testing.T) {
		expectOK(t, must(admin.Do("POST", "/api/v4/email/test", nil))(t))
		waitAny(t, "admin@example.com", func(m *harness.Message) bool { return true })
	})
	t.Run("an edit of the SMTP page is an admin's wish", func(t *testing.T) {
		check(t, admin.UseSMTP(house.sink.Port))
		check(t, harness.Eventually(5*time.Second, func() error {
			var status relayStatus
			if err := admin.Must("GET", harness.Plugin+"/api/v1/relay", nil, &status); err != nil {
				return err
			}
			if status.Enabled {
				return os.ErrExist
			}
			return nil
		}))
	})
	before = configOf(t, node)
	t.Run("disabling the relay", func(t *testing.T) {
		switchRelay(t, admin, "enable")
		if status := switchRelay(t, admin, "disable"); status.Enabled {
			t.Error("still enabled")
		}
		if !reflect.DeepEqual(configOf(t, node), before) {
			t.Error("the configuration is not as it was")
		}
	})
	t.Run("a service that dies comes back with the relay on", func(t *testing.T) {
		switchRelay(t, admin, "enable")
		check(t, syscall.Kill(ours(t, node, "service")[0].PID, syscall.SIGKILL))
		expectOK(t, must(admin.Do("POST", "/api/v4/email/test", nil))(t))
	})
	t.Run("what is kept about a deleted account goes by itself", func(t *testing.T) {
		expectOK(t, must(admin.Do("DELETE", "/api/v4/users/"+hasty.ID+"?permanent=true", nil))(t))
		check(t, syscall.Kill(ours(t, node, "service")[0].PID, syscall.SIGKILL)) // it looks at its start, and then every 10 minutes
		check(t, harness.Eventually(20*time.Second, func() error {
			rows, err := house.postgres.Rows(name, "SELECT id::text FROM postroom.mails WHERE account_id = $1", hasty.ID)
			if err == nil && len(rows) > 0 {
				err = os.ErrExist
			}
			return err
		}))
	})
	t.Run("switching the plugin off", func(t *testing.T) {
		check(t, admin.Disable())
		check(t, harness.Eventually(10*time.Second, func() error {
			now := configOf(t, node)
			now["PluginSettings"] = before["PluginSettings"]
			if !reflect.DeepEqual(now, before) {
				return os.ErrInvalid
			}
			return nil
		}))
	})
}

// writeConfig puts a configuration in the place of that on disk, while the server is down.
func writeConfig(t *testing.T, node *harness.Node, config map[string]any) {
	t.Helper()
	raw := must(json.MarshalIndent(config, "", "    "))(t)
	check(t, os.WriteFile(filepath.Join(node.Dir, "config", "config.json"), raw, 0o600))
}

// waitAny waits for a mail that fits, whoever made it.
func waitAny(t *testing.T, address string, fits func(*harness.Message) bool) *harness.Message {
	t.Helper()
	return waitFor(t, address, mailWithin, fits)
}

func waitFor(t *testing.T, address string, limit time.Duration, fits func(*harness.Message) bool) (found *harness.Message) {
	t.Helper()
	check(t, harness.Eventually(limit, func() error {
		mails, err := house.sink.All(address)
		if err != nil {
			return err
		}
		for _, mail := range mails {
			if fits(mail) {
				found = mail
				return nil
			}
		}
		return os.ErrNotExist
	}))
	return found
}
