package specs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// refused tries to switch the relay and wants to be told why not, in those words, with everything as it was.
func refused(t *testing.T, node *harness.Node, admin *harness.Client, verb, words string) {
	t.Helper()
	before := configOf(t, node)
	reply := must(admin.Do("POST", harness.Plugin+"/api/v1/relay/"+verb, nil))(t)
	if reply.Status < 400 || !strings.Contains(string(reply.Body), words) {
		t.Errorf("%s, which does not say %q", reply, words)
	}
	if names := changed(configOf(t, node), before); len(names) > 0 {
		t.Errorf("the configuration is not as it was: %v", names)
	}
}

// noSession: the right to change the configuration ended with the act, however that went.
func noSession(t *testing.T, database string) {
	t.Helper()
	rows := must(house.postgres.Rows(database, `SELECT s.id FROM sessions s JOIN users u ON u.id = s.userid WHERE u.username = 'postroom'`))(t)
	if len(rows) != 0 {
		t.Errorf("%d sessions of the bot are left", len(rows))
	}
}

// Everything in a configuration that can come in the way, on one server.
func TestRelayConfiguration(t *testing.T) {
	env := harness.LocalMode(filepath.Join(house.stage.Scratch, unique("local")+".sock"))
	env["MM_SQLSETTINGS_ATRESTENCRYPTKEY"] = strings.Repeat("a", 32)
	database := unique("db")
	dataSource := must(house.postgres.Database(database))(t)
	node, admin := separate(t, harness.NodeConfig{DataSource: dataSource, Env: env})
	check(t, admin.Patch(map[string]any{
		"EmailSettings":   map[string]any{"EnableSignInWithUsername": false, "FeedbackOrganization": "", "LoginButtonColor": ""},
		"ServiceSettings": map[string]any{"EnableOAuthServiceProvider": false, "SessionIdleTimeoutInMinutes": 0},
	}))
	healthyRelay(t, admin)
	before := configOf(t, node)
	// cluster is ClusterSettings.Enable in the configuration itself: with a file that makes it read-only. By a variable
	// it does not.
	restart := func(more map[string]string, cluster bool) {
		t.Helper()
		node.Stop()
		config := configOf(t, node)
		config["ClusterSettings"].(map[string]any)["Enable"] = cluster
		writeConfig(t, node, config)
		node.Config.Env = map[string]string{}
		for _, some := range []map[string]string{env, more} {
			for name, value := range some {
				node.Config.Env[name] = value
			}
		}
		check(t, node.Restart())
		check(t, admin.WaitReady(time.Minute))
	}

	t.Run("another setting of the page is changed while it is on", func(t *testing.T) {
		switchRelay(t, admin, "enable")
		check(t, admin.Patch(map[string]any{"EmailSettings": map[string]any{"FeedbackEmail": "other@example.com", "FeedbackName": "Other"}}))
		oneMore(t, admin)
		waitAny(t, "admin@example.com", func(m *harness.Message) bool { return strings.Contains(m.Header.Get("From"), "other@example.com") })
		if status := relayOf(t, admin); !status.Enabled {
			t.Errorf("%+v", status)
		}
		switchRelay(t, admin, "disable")
		before["EmailSettings"].(map[string]any)["FeedbackEmail"], before["EmailSettings"].(map[string]any)["FeedbackName"] = "other@example.com", "Other"
		restored(t, node, before)
	})
	t.Run("one of the seven is changed while it is on", func(t *testing.T) {
		switchRelay(t, admin, "enable")
		check(t, admin.Patch(map[string]any{"EmailSettings": map[string]any{"SkipServerCertificateVerification": false}}))
		check(t, harness.Eventually(10*time.Second, func() error {
			if status := relayOf(t, admin); status.Enabled || !strings.Contains(status.Problem, "SkipServerCertificateVerification") {
				return fmt.Errorf("%+v", status)
			}
			return nil
		}))
		switchRelay(t, admin, "disable")
		restored(t, node, before)
	})
	t.Run("the way back by mmctl, without local mode", func(t *testing.T) {
		switchRelay(t, admin, "enable")
		password := filepath.Join(node.Dir, "password")
		check(t, os.WriteFile(password, []byte(harness.Password), 0o600))
		check(t, node.Shell("mmctl auth login "+node.Client.Base+" --name here --username admin@example.com --password-file "+password))
		check(t, node.Shell(fmt.Sprintf(`printf %%s '{"EmailSettings":{"SMTPServer":"127.0.0.1","SMTPPort":"%d","ConnectionSecurity":"","EnableSMTPAuth":false,"SMTPUsername":"","SMTPPassword":"","SkipServerCertificateVerification":false}}' | mmctl config patch /dev/stdin`, house.sink.Port)))
		awaitRelay(t, admin, false)
		oneMore(t, admin)
		// mmctl sends the whole configuration back as it was shown, and this release shows, and saves, asterisks for an
		// empty password here.
		before["CacheSettings"].(map[string]any)["RedisPassword"] = configOf(t, node)["CacheSettings"].(map[string]any)["RedisPassword"]
		restored(t, node, before)
	})
	t.Run("RestrictSystemAdmin", func(t *testing.T) {
		restrict := func(on bool) {
			t.Helper()
			check(t, node.Mmctl(fmt.Sprintf("config set ExperimentalSettings.RestrictSystemAdmin %t", on)))
			settleSettings()
		}
		restrict(true)
		refused(t, node, admin, "enable", "RestrictSystemAdmin")
		restrict(false)
		switchRelay(t, admin, "enable")
		restrict(true)
		refused(t, node, admin, "disable", "RestrictSystemAdmin")
		// What can't be put back must not be taken away either.
		user := must(admin.CreateUser(unique("person"), "en"))(t)
		check(t, admin.Disable())
		expectProcesses(t, node, 0, 1, 15*time.Second)
		expectOK(t, must(node.Client.Do("POST", "/api/v4/users/password/reset/send", map[string]string{"email": user.Email}))(t))
		must(harness.WaitMail(house.sink, user.Email, 1, mailWithin))(t)
		restrict(false)
		check(t, admin.Enable())
		expectProcesses(t, node, 1, 1, 5*time.Second)
		switchRelay(t, admin, "disable")
		restored(t, node, before)
	})
	t.Run("a file that can't be written", func(t *testing.T) {
		// A folder in its place: permissions say nothing to root, whom this may run as.
		config := filepath.Join(node.Dir, "config", "config.json")
		check(t, os.Rename(config, config+".away"))
		check(t, os.Mkdir(config, 0o755))
		reply := must(admin.Do("POST", harness.Plugin+"/api/v1/relay/enable", nil))(t)
		check(t, os.Remove(config))
		check(t, os.Rename(config+".away", config))
		if reply.Status < 400 || !strings.Contains(string(reply.Body), "may write its configuration") {
			t.Error(reply)
		}
		restored(t, node, before)
		if status := relayOf(t, admin); status.Enabled {
			t.Errorf("%+v", status)
		}
	})
	t.Run("fixed by the environment", func(t *testing.T) {
		restart(map[string]string{"MM_EMAILSETTINGS_SMTPSERVER": "localhost"}, false)
		healthyRelay(t, admin)
		refused(t, node, admin, "enable", "MM_EMAILSETTINGS_SMTPSERVER")
	})
	t.Run("a configuration of a cluster, which is read-only", func(t *testing.T) {
		restart(nil, true)
		healthyRelay(t, admin)
		refused(t, node, admin, "enable", "ClusterSettings.ReadOnlyConfig")
	})
	t.Run("the key has changed while it is on", func(t *testing.T) {
		restart(nil, false)
		awaitRelay(t, admin, false)
		switchRelay(t, admin, "enable")
		restart(map[string]string{"MM_SQLSETTINGS_ATRESTENCRYPTKEY": strings.Repeat("b", 32)}, false)
		came := tests(house.sink)
		expectOK(t, must(admin.Do("POST", "/api/v4/email/test", nil))(t)) // taken
		check(t, harness.Eventually(mailWithin, func() error {
			if status := relayOf(t, admin); !status.Enabled || status.Healthy || !strings.Contains(status.Problem, "AtRestEncryptKey has changed") {
				return fmt.Errorf("%+v", status)
			}
			return nil
		}))
		refused(t, node, admin, "disable", "Put the key back, or set the SMTP server")
		// It waits: neither lost, nor in a circle, of which each turn would be a mail more.
		time.Sleep(3 * time.Second)
		waiting := must(house.postgres.Rows(database, `SELECT state FROM postroom.mails WHERE finished_at IS NULL AND sealed IS NOT NULL`))(t)
		if len(waiting) != 1 || tests(house.sink) != came {
			t.Errorf("waiting: %v; %d arrived", waiting, tests(house.sink)-came)
		}
		check(t, admin.UseSMTP(house.sink.Port)) // as the status says
		check(t, harness.Eventually(time.Minute, func() error {
			if tests(house.sink) == came {
				return fmt.Errorf("what waited has not arrived")
			}
			return nil
		}))
		restart(nil, false)
	})
	t.Run("two nodes that differ", func(t *testing.T) {
		awaitRelay(t, admin, false)
		shared := map[string]string{"MM_SQLSETTINGS_ATRESTENCRYPTKEY": strings.Repeat("c", 32), "MM_SERVICESETTINGS_SITEURL": node.Client.Base}
		other := must(house.stage.StartNode(harness.NodeConfig{DataSource: dataSource, Env: shared}))(t)
		defer other.Stop()
		there := admin.At(other.Client.Base)
		check(t, there.UseSMTP(house.sink.Port))
		check(t, there.Upload(bundle()))
		check(t, there.Enable())
		check(t, harness.Eventually(mailWithin, func() error {
			if status := relayOf(t, admin); status.Healthy || len(status.Nodes) != 2 {
				return fmt.Errorf("%+v", status)
			}
			return nil
		}))
		refused(t, node, admin, "enable", "make SqlSettings.AtRestEncryptKey the same on every node")
	})
	noSession(t, database)
}
