package specs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postroom/e2e/harness"
)

// Every admin route refuses whoever is no system admin.
func TestAdminRoutesAreGuarded(t *testing.T) {
	user := person(t)
	session := must(house.node.Client.Login(user.Username, harness.Password))(t)
	for _, route := range []struct{ method, path string }{
		{"GET", "/api/v1/status"},
		{"GET", "/api/v1/support"},
		{"GET", "/api/v1/relay"},
		{"POST", "/api/v1/relay/enable"},
		{"POST", "/api/v1/relay/disable"},
		{"GET", "/api/v1/mails"},
		{"GET", "/api/v1/mails?before=2026-01-01T00:00:00Z"},
		{"GET", "/api/v1/mails/6c6b8e0a-5f0e-4a0e-9d7b-1f2a3b4c5d6e"},
		{"POST", "/api/v1/outbox/decide"},
		{"POST", "/api/v4/email/test"},
		{"POST", "/api/v1/connections/mattermost/test"},
		{"POST", "/api/v1/connections/primary/test"},
		{"POST", "/api/v1/tests/6c6b8e0a-5f0e-4a0e-9d7b-1f2a3b4c5d6e/cancel"},
		{"GET", "/api/v1/anything"},
		{"DELETE", "/api/v1/mails/x"},
		{"GET", "/api/v1/mails?state=failed&kind=reset&class=account"},
		{"POST", "/api/v1/mails/6c6b8e0a-5f0e-4a0e-9d7b-1f2a3b4c5d6e/cancel"},
		{"POST", "/api/v1/mails/6c6b8e0a-5f0e-4a0e-9d7b-1f2a3b4c5d6e/resend"},
		{"DELETE", "/api/v1/accounts/" + user.ID + "/mails"},
	} {
		path := harness.Plugin + route.path
		if reply := must(house.node.Client.Do(route.method, path, nil))(t); reply.Status != 401 {
			t.Errorf("%s %s as nobody: %s", route.method, route.path, reply)
		}
		if reply := must(session.Do(route.method, path, nil))(t); reply.Status != 403 || reply.ErrorID() != "api.context.permissions.app_error" {
			t.Errorf("%s %s as a user: %s", route.method, route.path, reply)
		}
		// The service believes the shim only: these headers are the shim's to set.
		forged := session.With("Postroom-User-Id", "admin").With("Mattermost-User-Id", "admin")
		if reply := must(forged.Do(route.method, path, nil))(t); reply.Status != 403 {
			t.Errorf("%s %s with forged headers: %s", route.method, route.path, reply)
		}
	}
}

// The log shows states, times, masked addresses and the peer's reply, and no body of a mail that was delivered.
func TestLogShowsNoSecret(t *testing.T) {
	user := person(t)
	_, token := ask(t, user, 1)
	settle(t)
	list := must(house.admin.Do("GET", harness.Plugin+"/api/v1/mails", nil))(t)
	expectOK(t, list)
	for what, secret := range map[string]string{"an address": user.Email, "a token": token} {
		if strings.Contains(string(list.Body), secret) {
			t.Errorf("the log shows %s", what)
		}
	}
	mails := must(house.admin.Mails())(t)
	mail := mails[0]
	if mail.Kind != "reset" || mail.State != "sent" || mail.MaskedTo != "p***@example.com" || mail.ReplyCode != 250 || mail.Attempts != 1 || mail.Connection != "mattermost" {
		t.Errorf("the newest mail is shown as %+v", mail)
	}
	var one harness.Mail
	check(t, house.admin.Must("GET", harness.Plugin+"/api/v1/mails/"+mail.ID, nil, &one))
	if one.Body != "" || one.ID != mail.ID {
		t.Errorf("a delivered mail is shown as %+v", one)
	}
	for _, id := range []string{"6c6b8e0a-5f0e-4a0e-9d7b-1f2a3b4c5d6e", "nothing", "a%20b"} {
		if reply := must(house.admin.Do("GET", harness.Plugin+"/api/v1/mails/"+id, nil))(t); reply.Status != 404 {
			t.Errorf("mails/%s: %s %v", id, reply, reply.Header)
		}
	}
}

// Capture delivers nothing and shows the mail; each look is in Mattermost's audit log (S33).
func TestCapture(t *testing.T) {
	settings := map[string]any{"Connection": "capture"}
	for name, value := range noLimits {
		settings[name] = value
	}
	check(t, house.admin.Settings(settings))
	defer func() {
		check(t, house.admin.Settings(noLimits))
		settleSettings()
	}()
	settleSettings()
	user := person(t)
	expectOK(t, must(house.node.Client.RequestReset(user.Email))(t))
	waitStates(t, user, "held")
	id := must(house.postgres.Rows(database, "SELECT id::text FROM postroom.mails WHERE account_id = $1", user.ID))(t)[0]
	var mail harness.Mail
	check(t, house.admin.Must("GET", harness.Plugin+"/api/v1/mails/"+id, nil, &mail))
	message := must(harness.ParseMessage([]byte(mail.Body)))(t)
	_, token, err := message.Link()
	check(t, err)
	if got := mailsFor(t, user.Email); got != 0 {
		t.Errorf("capture delivered %d mails", got)
	}
	expectOK(t, redeem(t, house.node.Client, token, otherPassword))
	record := auditRecord(t, "postroomViewMailBody", id)
	if !strings.Contains(record, "success") {
		t.Errorf("the look is recorded as %s", record)
	}
}

// S33: who asked, from where, what was decided; no token, no body.
func TestAudit(t *testing.T) {
	user := person(t)
	expectOK(t, must(house.node.Client.With("X-Real-IP", "198.51.100.33").RequestReset(user.Email))(t))
	_, token, err := must(harness.WaitMail(house.sink, user.Email, 1, mailWithin))(t).Link()
	check(t, err)
	record := auditRecord(t, user.ID, "198.51.100.33")
	for _, want := range []string{"198.51.100.33", "mail", user.ID} {
		if !strings.Contains(record, want) {
			t.Errorf("the record lacks %q: %s", want, record)
		}
	}
	stranger := unique("stranger") + "@example.org"
	expectOK(t, must(house.node.Client.With("X-Real-IP", "198.51.100.34").RequestReset(stranger))(t))
	if record := auditRecord(t, "198.51.100.34"); !strings.Contains(record, "no_account") {
		t.Errorf("a stranger's request is recorded as %s", record)
	}
	expectOK(t, redeem(t, house.node.Client, token, otherPassword))
	auditRecord(t, "postroomRedeem", user.ID)
	if all := must(os.ReadFile(auditFile()))(t); strings.Contains(string(all), token) || strings.Contains(string(all), otherPassword) {
		t.Error("the audit log holds a token or a password")
	}
}

func auditFile() string { return filepath.Join(house.stage.Scratch, "audit.log") }

// auditRecord waits for a record of ours that has all these words.
func auditRecord(t *testing.T, words ...string) string {
	t.Helper()
	var found string
	err := harness.Eventually(mailWithin, func() error {
		records, err := auditRecords(words...)
		if err == nil && len(records) == 0 {
			return os.ErrNotExist
		}
		if err == nil {
			found = records[0]
		}
		return err
	})
	if err != nil {
		t.Fatalf("no audit record has %q", words)
	}
	return found
}

// auditRecords are those of ours so far that have all these words.
func auditRecords(words ...string) (found []string, err error) {
	all, err := os.ReadFile(auditFile())
lines:
	for line := range strings.Lines(string(all)) {
		if !strings.Contains(line, "postroom") || !json.Valid([]byte(line)) {
			continue
		}
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		found = append(found, line)
	}
	return found, err
}
