package specs

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"postroom/e2e/harness"
)

// scrape reads the metrics as Prometheus would: on Mattermost's metrics listener, without a login.
func scrape(t *testing.T, port int) string {
	t.Helper()
	reply, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/plugins/postroom/metrics", port))
	check(t, err)
	defer func() { _ = reply.Body.Close() }()
	text := must(io.ReadAll(reply.Body))(t)
	if reply.StatusCode != 200 {
		t.Fatalf("status %d: %s", reply.StatusCode, text)
	}
	return string(text)
}

func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	tool := exec.Command("promtool", args...)
	tool.Stdin, tool.Dir = strings.NewReader(input), filepath.Join(house.stage.Root, "docs", "monitoring")
	if said, err := tool.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, said)
	}
}

// Metrics on Mattermost's own listener: promtool likes them, dashboard and alerts name nothing that is not there, and
// there is no secret in them, nor in the support data.
func TestMetricsAndSupport(t *testing.T) {
	node, admin := separate(t, harness.NodeConfig{})
	const smtpPassword = "an-smtp-password-nobody-must-see"
	sink := must(house.stage.StartSink())(t)
	port := must(harness.FreePort())(t)
	check(t, admin.Patch(map[string]any{
		"MetricsSettings": map[string]any{"Enable": true, "ListenAddress": fmt.Sprintf("127.0.0.1:%d", port)},
		"EmailSettings":   map[string]any{"SMTPPassword": smtpPassword, "SMTPUsername": "smtp-user-nobody-must-see"},
	}))
	check(t, admin.UseSMTP(sink.Port))
	settleSettings()
	user := must(admin.CreateUser(unique("measured"), "en"))(t)
	expectOK(t, must(node.Client.RequestReset(user.Email))(t))
	_, token, err := must(harness.WaitMail(sink, user.Email, 1, mailWithin))(t).Link()
	check(t, err)
	healthyRelay(t, admin)
	switchRelay(t, admin, "enable")
	relayPassword := configOf(t, node)["EmailSettings"].(map[string]any)["SMTPPassword"].(string)
	expectOK(t, must(admin.Do("POST", "/api/v4/email/test", nil))(t))
	check(t, syscall.Kill(ours(t, node, "service")[0].PID, syscall.SIGKILL))
	check(t, admin.WaitReady(mailWithin))
	// One mail that waits, so that there is a queue to tell of.
	sink.Down()
	other := must(admin.CreateUser(unique("measured"), "en"))(t)
	expectOK(t, must(node.Client.RequestReset(other.Email))(t))

	var text string
	check(t, harness.Eventually(mailWithin, func() error {
		text = scrape(t, port)
		for _, line := range []string{
			`postroom_queue_mails{class="account",kind="reset",state="deferred"} 1`, `postroom_relay_enabled 1`, `postroom_relay_healthy 1`,
			`postroom_database_up 1`, `postroom_outbox_working 1`, `postroom_service_restarts_total 1`, `postroom_core_calls_total{op="prepare",result="ok"} 1`,
		} {
			if !strings.Contains(text, line+"\n") {
				return fmt.Errorf("no line %q in\n%s", line, text)
			}
		}
		return nil
	}))
	promtool(t, text, "check", "metrics")
	promtool(t, "", "check", "rules", "postroom-alerts.yml")
	promtool(t, "", "test", "rules", "postroom-alerts_test.yml")
	for _, file := range []string{"postroom-alerts.yml", "postroom-dashboard.json"} {
		raw := must(os.ReadFile(filepath.Join(house.stage.Root, "docs", "monitoring", file)))(t)
		named := regexp.MustCompile(`postroom_[a-z_]+`).FindAllString(string(raw), -1)
		if len(named) < 10 {
			t.Errorf("%s names only %d metrics", file, len(named))
		}
		for _, name := range named {
			if !strings.Contains(text, "\n"+name+"{") && !strings.Contains(text, "\n"+name+" ") {
				t.Errorf("%s asks for %s, which is not among the metrics", file, name)
			}
		}
	}

	var support map[string]any
	reply := must(admin.Do("GET", harness.Plugin+"/api/v1/support", nil))(t)
	expectOK(t, reply)
	check(t, json.Unmarshal(reply.Body, &support))
	if missing := support["missing"].([]any); len(missing) > 0 {
		t.Errorf("the support data lacks %v", missing)
	}
	for _, part := range []string{`"site_url":"http`, `"restarts":1`, `"troubled":[{`, `"server":"1`, `"healthy":true`, `"SMTPServer":"127.0.0.1"`} {
		if !strings.Contains(string(reply.Body), part) {
			t.Errorf("the support data does not tell %s: %s", part, reply.Body)
		}
	}
	config := configOf(t, node)
	dataSource := config["SqlSettings"].(map[string]any)
	// The service works in its runtime folder, where its log is.
	log := must(os.ReadFile(fmt.Sprintf("/proc/%d/cwd/service.log", ours(t, node, "service")[0].PID)))(t)
	for where, text := range map[string]string{"metrics": text, "support data": string(reply.Body), "service.log": string(log)} {
		for what, secret := range map[string]string{
			"the SMTP password": smtpPassword, "the SMTP user": "smtp-user-nobody-must-see", "the relay's password": relayPassword, "a token": token, "an address": user.Email,
			"a waiting mail's address": other.Email, "the at-rest key": dataSource["AtRestEncryptKey"].(string),
			"the SMTP password in base64": base64.StdEncoding.EncodeToString([]byte(smtpPassword)),
		} {
			if secret == "" || strings.Contains(text, secret) {
				t.Errorf("%s in the %s", what, where)
			}
		}
	}
	check(t, sink.Up())
}
