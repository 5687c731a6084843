package specs

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// correspond causes Mattermost's own mails and gives what came of each: straight from Mattermost, or through the relay.
func correspond(t *testing.T, node *harness.Node, admin *harness.Client, sink *harness.Sink, team, name, other string) map[string]*harness.Message {
	t.Helper()
	came := map[string]*harness.Message{}
	seen := map[string]int{}
	check(t, (&harness.Correspondence{
		Client: node.Client, Admin: admin, Team: team, Name: name, Other: other, Locale: "en", Quoted: "https://example.org/?a=b&c=d",
		Caused: func(kind, to string) error {
			return harness.Eventually(mailWithin, func() error {
				mails, err := sink.All(to)
				if err != nil || len(mails) <= seen[to] {
					return errNotYet(kind, err)
				}
				came[kind], seen[to] = mails[len(mails)-1], len(mails)
				return nil
			})
		},
	}).Run())
	return came
}

// Of two runs of the same, what differs: names, ids, tokens, the time of day.
var differing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[a-z0-9]{64}\b`), "TOKEN"},
	{regexp.MustCompile(`\b[a-z0-9]{26}\b`), "ID"},
	{regexp.MustCompile(`\b\d{1,2}:\d{2}(:\d{2})?( [AP]M)?\b`), "TIME"},
}

func sameButForNames(text, name, other string) string {
	for _, of := range []string{name, other} {
		text = strings.NewReplacer(of, "NAME", strings.ToUpper(of[:1])+of[1:], "NAME").Replace(text)
	}
	for _, each := range differing {
		text = each.pattern.ReplaceAllString(text, each.with)
	}
	return text
}

// The kinds that are composed anew. All others keep their body, a welcome too, though it may hold a verification link.
var withToken = map[string]string{"reset": "/reset", "verify": "/verify", "email_change_verify": "/verify"}

// linkTo waits for a mail with a link of ours, among others.
func linkTo(t *testing.T, sink *harness.Sink, address string) (link *url.URL, token string) {
	t.Helper()
	check(t, harness.Eventually(mailWithin, func() error {
		mails, err := sink.All(address)
		for _, mail := range mails {
			if link, token, err = mail.Link(); err == nil {
				return nil
			}
		}
		return errNotYet("link", err)
	}))
	return link, token
}

// Everything that Mattermost mails by itself, first straight, then through the relay, compared; and the links of its own
// endpoints from request to end, through the relay and no proxy.
func TestMattermostsOwnMail(t *testing.T) {
	node, admin, name := separateNamed(t, harness.NodeConfig{})
	sink := must(house.stage.StartSink())(t)
	check(t, admin.UseSMTP(sink.Port))
	team := must(admin.NewTeam("crew"))(t)
	healthyRelay(t, admin)

	before := correspond(t, node, admin, sink, team, "anneliese", "bertholdt")
	if status := switchRelay(t, admin, "enable"); !status.Enabled {
		t.Fatalf("%+v", status)
	}
	after := correspond(t, node, admin, sink, team, "charlotta", "desiderius")

	for kind, was := range before {
		is := after[kind]
		t.Run(kind, func(t *testing.T) {
			if path, taken := withToken[kind]; taken {
				wellFormed(t, is)
				link, _, err := is.Link()
				check(t, err)
				if !strings.HasPrefix(link.Path, "/plugins/postroom"+path) || strings.Contains(is.HTML, "/do_verify_email") || strings.Contains(is.HTML, "/reset_password_complete") {
					t.Errorf("the link is %s", link)
				}
				return
			}
			body := func(m *harness.Message, name, other string) string { return sameButForNames(m.HTML, name, other) }
			if sent, came := body(was, "anneliese", "bertholdt"), body(is, "charlotta", "desiderius"); sent != came || sent == "" {
				t.Errorf("the HTML part is not what Mattermost sent:\n%s\n---\n%s", sent, came)
			}
			if was.Subject = sameButForNames(was.Subject, "anneliese", "bertholdt"); sameButForNames(is.Subject, "charlotta", "desiderius") != was.Subject {
				t.Errorf("the subject is %q, and was %q", is.Subject, was.Subject)
			}
			for _, header := range []string{"From", "Reply-To", "Mime-Version"} {
				if is.Header.Get(header) != was.Header.Get(header) {
					t.Errorf("%s is %q, and was %q", header, is.Header.Get(header), was.Header.Get(header))
				}
			}
			// What is mended: a text part, one Message-ID of From's domain, no bulk, no category (D2, D4, D11, D19).
			if strings.TrimSpace(is.Text) == "" {
				t.Error("the text part is empty")
			}
			if id := is.Header.Get("Message-Id"); !strings.HasSuffix(id, "@example.com>") {
				t.Errorf("the Message-ID is %q", id)
			}
			if is.Header.Get("Auto-Submitted") != "auto-generated" || is.Header.Get("X-Auto-Response-Suppress") == "" || is.Header.Get("X-Smtpapi") != "" {
				t.Errorf("the headers are %v", is.Header)
			}
			if kind != "notification" && is.Header.Get("Precedence") != "" {
				t.Errorf("Precedence: %s", is.Header.Get("Precedence"))
			}
		})
	}
	if len(before) != 9 || len(after) != 9 {
		t.Errorf("%d kinds, then %d", len(before), len(after))
	}
	t.Run("the mention says what was written", func(t *testing.T) {
		for _, part := range []string{after["notification"].Text, after["notification"].HTML} {
			if !strings.Contains(part, "example.org") || !strings.Contains(part, "charlotta") {
				t.Errorf("no quoted link and name in\n%s", part)
			}
		}
	})
	t.Run("each is listed with its kind and class", func(t *testing.T) {
		classes := map[string]string{}
		for _, row := range must(house.postgres.Rows(name, `SELECT DISTINCT kind || ' ' || class || ' ' || state FROM postroom.mails`))(t) {
			kind, class, _ := strings.Cut(row, " ")
			classes[kind] = class
		}
		for kind, class := range map[string]string{
			"reset": "account sent", "verify": "account sent", "email_change_verify": "account sent", "welcome": "account sent", "password_change": "account sent",
			"username_change": "account sent", "invitation": "invitation sent", "notification": "notification sent",
		} {
			if classes[kind] != class {
				t.Errorf("%s is %q, not %q", kind, classes[kind], class)
			}
		}
	})
	t.Run("no token that was taken is left in Mattermost's table", func(t *testing.T) {
		left := must(house.postgres.Rows(name, `SELECT u.username || ' ' || t.type FROM tokens t JOIN users u ON u.id = t.extra::json->>'UserId'
			WHERE t.type IN ('password_recovery', 'verify_email') ORDER BY 1`))(t)
		// Those of before the relay.
		want := []string{"anneliese.b password_recovery", "anneliese.b verify_email", "bertholdt verify_email"}
		if !slices.Equal(left, want) {
			t.Errorf("%q", left)
		}
	})

	t.Run("a forgotten password, from request to login", func(t *testing.T) {
		check(t, admin.Patch(map[string]any{"EmailSettings": map[string]any{"RequireEmailVerification": false}}))
		user := must(admin.CreateUser("forgetful", "de"))(t)
		expectOK(t, must(node.Client.Do("POST", "/api/v4/users/password/reset/send", map[string]string{"email": user.Email}))(t))
		link, token := linkTo(t, sink, user.Email)
		for range 10 { // S18
			expectOK(t, must(node.Client.Do("GET", link.RequestURI(), nil))(t))
		}
		if refused := redeem(t, node.Client, token, "short"); refused.Status == 200 { // S7: the link lives on
			t.Error("a weak password was taken")
		}
		expectOK(t, redeem(t, node.Client, token, otherPassword))
		must(node.Client.Login(user.Username, otherPassword))(t)
		if _, err := node.Client.Login(user.Username, harness.Password); err == nil {
			t.Error("the old password still works")
		}
		if again := redeem(t, node.Client, token, "Yet-another-horse-3"); again.Status == 200 {
			t.Error("the link worked twice")
		}
	})
	t.Run("an address verified", func(t *testing.T) {
		for kind, login := range map[string]string{"verify": "desiderius", "email_change_verify": "charlotta.b"} {
			link, token, err := after[kind].Link()
			check(t, err)
			expectOK(t, must(node.Client.Do("GET", link.RequestURI(), nil))(t))
			count := `SELECT count(*)::text FROM users WHERE username = $1 AND emailverified`
			if rows := must(house.postgres.Rows(name, count, login))(t); rows[0] != "0" {
				t.Errorf("%s: opening the link redeemed it", kind)
			}
			expectOK(t, must(node.Client.Do("POST", harness.Plugin+"/verify", url.Values{"token": {token}}))(t))
			if rows := must(house.postgres.Rows(name, count, login))(t); rows[0] != "1" {
				t.Errorf("%s: the address is still not verified", kind)
			}
		}
		if rows := must(house.postgres.Rows(name, `SELECT email FROM users WHERE username = 'charlotta.b'`))(t); rows[0] != "charlotta.new@example.com" {
			t.Errorf("the address is %v", rows)
		}
	})
	t.Run("a link that was asked for before a change of the password is dead", func(t *testing.T) { // S11
		_, token, err := after["reset"].Link()
		check(t, err)
		if reply := redeem(t, node.Client, token, otherPassword); reply.Status == 200 {
			t.Error("it worked")
		}
	})
	t.Run("asked for at once again, by Mattermost's endpoint", func(t *testing.T) { // S10, S9
		user := must(admin.CreateUser("impatient", "en"))(t)
		for range 3 {
			expectOK(t, must(node.Client.Do("POST", "/api/v4/users/password/reset/send", map[string]string{"email": user.Email}))(t))
		}
		_, token := linkTo(t, sink, user.Email)
		time.Sleep(2 * time.Second)
		if mails := must(sink.All(user.Email))(t); len(mails) != 2 { // a welcome, and one link
			t.Errorf("%d mails for one click too many", len(mails))
		}
		expectOK(t, redeem(t, node.Client, token, otherPassword))
	})
}
