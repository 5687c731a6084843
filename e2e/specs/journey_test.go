package specs

import (
	"net/url"
	"strings"
	"testing"

	"postroom/e2e/harness"
)

// A forgotten password, an address verified and a test mail, each through Postfix's own test server.
func TestJourneyThroughPostfix(t *testing.T) {
	sink, err := house.stage.StartPostfixSink()
	if err != nil {
		t.Fatal("NOT RUN: ", err, "; Debian: postfix")
	}
	defer sink.Stop()
	check(t, house.admin.UseSMTP(sink.Port))
	defer func() { check(t, house.admin.UseSMTP(house.sink.Port)) }()

	t.Run("a forgotten password", func(t *testing.T) {
		user := person(t)
		expectOK(t, must(house.node.Client.RequestReset(strings.ToUpper(user.Email)))(t))
		mail := must(harness.WaitMail(sink, user.Email, 1, mailWithin))(t)
		wellFormed(t, mail)
		link, token, err := mail.Link()
		check(t, err)
		if !strings.HasPrefix(link.String(), house.node.Client.Base+"/plugins/postroom/reset?") {
			t.Errorf("the link is %s", link)
		}
		if !strings.Contains(mail.HTML, "token="+token) {
			t.Error("the HTML part lacks the link")
		}
		expectOK(t, must(house.node.Client.Do("GET", link.RequestURI(), nil))(t))
		reply := redeem(t, house.node.Client, token, otherPassword)
		expectOK(t, reply)
		if !strings.Contains(string(reply.Body), house.node.Client.Base+"/login") {
			t.Error("the last page has no link to the login page")
		}
		expectPassword(t, user, otherPassword, harness.Password)
	})

	t.Run("an address verified", func(t *testing.T) {
		user := must(house.admin.CreateUser(unique("person"), "de"))(t)
		reply := must(house.node.Client.Do("POST", harness.Plugin+"/api/v4/users/email/verify/send?r=/acme/channels/town-square",
			map[string]string{"email": user.Email}))(t)
		expectOK(t, reply)
		mail := must(harness.WaitMail(sink, user.Email, 1, mailWithin))(t)
		wellFormed(t, mail)
		link, token, err := mail.Link()
		check(t, err)
		for range 10 { // S18
			expectOK(t, must(house.node.Client.Do("GET", link.RequestURI(), nil))(t))
			must(house.node.Client.Do("HEAD", link.RequestURI(), nil))(t)
		}
		if verified(t, user) {
			t.Fatal("opening the link redeemed it")
		}
		reply = must(house.node.Client.Do("POST", harness.Plugin+"/verify", url.Values{"token": {token}}))(t)
		expectOK(t, reply)
		if !verified(t, user) {
			t.Fatal("the address is still not verified")
		}
		if !strings.Contains(string(reply.Body), "town-square") {
			t.Error("the redirect is lost")
		}
	})

	t.Run("a test mail", func(t *testing.T) {
		reply := must(house.admin.Do("POST", harness.Plugin+"/api/v4/email/test", nil))(t)
		expectOK(t, reply)
		wellFormed(t, must(harness.WaitMail(sink, "admin@example.com", 1, mailWithin))(t))
	})
}

// wellFormed asserts of a received mail what D1 to D12 ask of every one.
func wellFormed(t *testing.T, mail *harness.Message) {
	t.Helper()
	for _, name := range []string{"From", "Date", "Message-Id", "To", "Subject"} {
		if values := mail.Header[name]; len(values) != 1 {
			t.Errorf("%d headers %s: %q", len(values), name, values)
		}
	}
	for name, want := range map[string]string{"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All", "Precedence": ""} {
		if got := mail.Header.Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if from := mail.Header.Get("From"); !strings.Contains(from, "<noreply@example.com>") {
		t.Errorf("From is %q", from)
	}
	if id := mail.Header.Get("Message-Id"); !strings.HasSuffix(id, "@example.com>") {
		t.Errorf("the Message-ID %q is not of From's domain", id)
	}
	if mail.EnvelopeFrom != "noreply@example.com" {
		t.Errorf("the envelope sender is %q", mail.EnvelopeFrom)
	}
	for line := range strings.Lines(string(mail.Raw)) {
		if len(line) > 1000 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
	if mail.Text == "" || mail.HTML == "" {
		t.Errorf("text part %d octets, HTML part %d", len(mail.Text), len(mail.HTML))
	}
	if len(mail.HTML) > 30_000 {
		t.Errorf("the HTML part has %d octets", len(mail.HTML))
	}
	for _, remote := range []string{"<img", "@import", "url(http", "<script", "<link"} {
		if strings.Contains(mail.HTML, remote) {
			t.Errorf("the HTML part has %s", remote)
		}
	}
}

// verified asks as the account itself: Mattermost tells nobody else.
func verified(t *testing.T, user *harness.User) bool {
	t.Helper()
	var account struct {
		Verified bool `json:"email_verified"`
	}
	self := must(house.node.Client.Login(user.Username, user.Password))(t)
	check(t, self.Must("GET", "/api/v4/users/me", nil, &account))
	return account.Verified
}

// A locale that nobody has translated falls back to the server's own; the mail comes all the same.
func TestUnknownLocale(t *testing.T) {
	user := person(t)
	check(t, house.postgres.Exec(database, "UPDATE users SET locale = 'tlh' WHERE id = $1", user.ID))
	expectOK(t, must(house.node.Client.RequestReset(user.Email))(t))
	mail := must(harness.WaitMail(house.sink, user.Email, 1, mailWithin))(t)
	if got := mail.Header.Get("Content-Language"); got != "en" {
		t.Errorf("the mail's language is %q", got)
	}
}

// S16: links over http are warned about, in the log and on the plugin's status.
func TestHTTPSiteURLIsWarnedAbout(t *testing.T) {
	ask(t, person(t), 1)
	status := must(house.admin.Status())(t)
	if !strings.Contains(strings.Join(status.Warnings, "\n"), "SiteURL is http") {
		t.Errorf("the status warns of %q", status.Warnings)
	}
	if logs := must(house.node.Logs())(t); !strings.Contains(logs, "SiteURL is http") {
		t.Error("the log does not warn")
	}
}
