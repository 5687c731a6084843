package specs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"postroom/e2e/harness"
)

const (
	emailTest = "/api/v4/email/test"
	// placeholder is what Mattermost shows instead of a password (model.FakeSetting).
	placeholder = "********************************"
)

// configuration is the server's own as the console would post it, with some of its mail settings changed.
func configuration(t *testing.T, change map[string]any) []byte {
	t.Helper()
	var config map[string]any
	check(t, house.admin.Must("GET", "/api/v4/config", nil, &config))
	mail := config["EmailSettings"].(map[string]any)
	for name, value := range change {
		if value == nil {
			delete(mail, name)
		} else {
			mail[name] = value
		}
	}
	return must(json.Marshal(config))(t)
}

// Fact 16: what Mattermost answers, ours answers, byte for byte where it is right.
func TestEmailTestIsMattermosts(t *testing.T) {
	sameSettings := configuration(t, nil)
	for name, test := range map[string]struct {
		body []byte
		id   string
	}{
		"no server":                       {configuration(t, map[string]any{"SMTPServer": ""}), "api.admin.test_email.missing_server"},
		"settings that lack fields":       {[]byte(`{"EmailSettings": {"SMTPServer": "127.0.0.1"}}`), "api.file.test_connection_email_settings_nil.app_error"},
		"no EmailSettings":                {[]byte(`{}`), ""},
		"the placeholder, another server": {configuration(t, map[string]any{"SMTPPassword": placeholder, "SMTPServer": "127.0.0.2"}), "api.admin.test_email.reenter_password"},
		"the placeholder, another port":   {configuration(t, map[string]any{"SMTPPassword": placeholder, "SMTPPort": "1"}), "api.admin.test_email.reenter_password"},
		"the placeholder, another user":   {configuration(t, map[string]any{"SMTPPassword": placeholder, "SMTPUsername": "other"}), "api.admin.test_email.reenter_password"},
		"the saved settings":              {sameSettings, ""},
		"no JSON":                         {[]byte("hello"), ""},
		"nothing":                         {nil, ""},
		"null":                            {[]byte("null"), ""},
		"an array":                        {[]byte("[]"), ""},
	} {
		theirs := must(house.admin.Do("POST", emailTest, test.body))(t)
		ours := must(house.admin.Do("POST", harness.Plugin+emailTest, test.body))(t)
		if got, want := withoutDiagnosis(t, ours), withoutRequestID(theirs); got != want || ours.Status != theirs.Status {
			t.Errorf("%s:\n ours   %d %s\n theirs %d %s", name, ours.Status, got, theirs.Status, want)
		}
		if test.id != "" && ours.ErrorID() != test.id {
			t.Errorf("%s: the id is %q", name, ours.ErrorID())
		}
	}
}

// Fact 1: ours tests what was posted, not what was saved.
func TestEmailTestTestsWhatWasPosted(t *testing.T) {
	other := must(house.stage.StartSink())(t)
	before := len(house.sink.Mails())
	body := configuration(t, map[string]any{"SMTPServer": "127.0.0.1", "SMTPPort": fmt.Sprint(other.Port), "SMTPPassword": "",
		"FeedbackEmail": "posted@example.net", "FeedbackName": "Posted", "ReplyToAddress": "reply@example.net"})
	expectOK(t, must(house.admin.Do("POST", harness.Plugin+emailTest, body))(t))
	mails := must(other.To("admin@example.com"))(t)
	if len(mails) != 1 || len(house.sink.Mails()) != before {
		t.Fatalf("the posted server has %d mails, the saved one %d more", len(mails), len(house.sink.Mails())-before)
	}
	if from := mails[0].Header.Get("From"); !strings.Contains(from, "posted@example.net") {
		t.Errorf("From is %q", from)
	}
}

// A failure is Mattermost's error shape, with the step and the server's own words in it.
func TestEmailTestFailures(t *testing.T) {
	other := must(house.stage.StartSink())(t)
	closed := must(harness.FreePort())(t)
	for name, test := range map[string]struct {
		behave harness.Behaviour
		port   int
		words  string
	}{
		"refused recipient": {harness.Behaviour{Replies: map[string]string{"RCPT": "550 5.1.1 No such person here"}}, other.Port, "5.1.1 No such person here"},
		"refused greeting":  {harness.Behaviour{Replies: map[string]string{"CONNECT": "554 5.3.2 Not today"}}, other.Port, "5.3.2 Not today"},
		"refused content":   {harness.Behaviour{Replies: map[string]string{".": "552 5.7.0 Looks like spam"}}, other.Port, "5.7.0 Looks like spam"},
		"nobody listens":    {harness.Behaviour{}, closed, "refused"},
	} {
		other.Behave(test.behave)
		reply := must(house.admin.Do("POST", harness.Plugin+emailTest, configuration(t, map[string]any{
			"SMTPServer": "127.0.0.1", "SMTPPort": fmt.Sprint(test.port), "SMTPPassword": "secret-of-the-test"})))(t)
		if reply.Status != 500 || reply.ErrorID() != "app.admin.test_email.failure" || !strings.Contains(string(reply.Body), test.words) {
			t.Errorf("%s: %s", name, reply)
		}
		if bytes.Contains(reply.Body, []byte("secret-of-the-test")) {
			t.Errorf("%s: the password is in the answer", name)
		}
	}
	// Fact 5: required TLS that is not offered fails closed.
	other.Behave(harness.Behaviour{})
	reply := must(house.admin.Do("POST", harness.Plugin+emailTest, configuration(t, map[string]any{
		"SMTPServer": "127.0.0.1", "SMTPPort": fmt.Sprint(other.Port), "SMTPPassword": "", "ConnectionSecurity": "STARTTLS"})))(t)
	if reply.Status != 500 || len(other.Mails()) != 0 {
		t.Errorf("STARTTLS that was not offered: %s, and %d mails left in clear", reply, len(other.Mails()))
	}
	// Fact 6: a server that stalls does not hold the caller.
	other.Behave(harness.Behaviour{Stall: map[string]bool{"MAIL": true}})
	started := time.Now()
	reply = must(house.admin.Do("POST", harness.Plugin+emailTest, configuration(t, map[string]any{
		"SMTPServer": "127.0.0.1", "SMTPPort": fmt.Sprint(other.Port), "SMTPPassword": ""})))(t)
	if took := time.Since(started); reply.Status != 500 || took > 40*time.Second {
		t.Errorf("a server that stalls: %s after %s", reply, took)
	}
	if logs := must(house.node.Logs())(t); strings.Contains(logs, "secret-of-the-test") {
		t.Error("the password is in a log")
	}
}

// A whole configuration may be larger than what strangers may post, and no larger than Mattermost's own limit.
func TestEmailTestSizes(t *testing.T) {
	large := configuration(t, map[string]any{"SMTPPassword": ""})
	padded := append([]byte(`{"Padding": "`+strings.Repeat("x", 100_000)+`",`), large[1:]...)
	expectOK(t, must(house.admin.Do("POST", harness.Plugin+emailTest, padded))(t))
	huge := []byte(`{"Padding": "` + strings.Repeat("x", 400_000) + `"}`)
	ours := must(house.admin.Do("POST", harness.Plugin+emailTest, huge))(t)
	if ours.Status != 413 {
		t.Errorf("more than MaximumPayloadSizeBytes: %s", ours)
	}
}

// While RestrictSystemAdmin is on, 403, as Mattermost's.
func TestEmailTestWhileRestricted(t *testing.T) {
	node, admin := separate(t, harness.NodeConfig{Env: map[string]string{"MM_EXPERIMENTALSETTINGS_RESTRICTSYSTEMADMIN": "true"}})
	_ = node
	theirs := must(admin.Do("POST", emailTest, nil))(t)
	for _, path := range []string{emailTest, "/api/v1/connections/mattermost/test", "/api/v1/connections/primary/test"} {
		ours := must(admin.Do("POST", harness.Plugin+path, nil))(t)
		if ours.Status != 403 || theirs.Status != 403 || ours.ErrorID() != theirs.ErrorID() {
			t.Errorf("%s: ours %s, theirs %s", path, ours, theirs)
		}
	}
}
