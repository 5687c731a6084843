package specs

import (
	"net/http"
	"strings"
	"testing"

	"postroom/e2e/harness"
)

// kinds are accounts that must not be told apart, each made from a plain one by SQL.
var kinds = map[string]string{
	"known":       "",
	"deactivated": "deleteat = 1700000000000",
	"SSO":         "authservice = 'gitlab', authdata = 'sso-' || id, password = ''",
	"LDAP":        "authservice = 'ldap', authdata = 'ldap-' || id, password = ''",
	"remote":      "remoteid = 'remote-cluster-1'",
	"magic link":  "authservice = 'magic_link', authdata = NULL, password = ''",
	"verified":    "emailverified = true",
}

// account makes one of a kind.
func account(t *testing.T, kind string) *harness.User {
	t.Helper()
	user := person(t)
	if change := kinds[kind]; change != "" {
		check(t, house.postgres.Exec(database, "UPDATE users SET "+change+" WHERE id = $1", user.ID))
	}
	return user
}

// comparable is a reply less what differs between any two.
func comparable(reply *harness.Reply) string {
	header := reply.Header.Clone()
	header.Del("X-Request-Id")
	header.Del("Date")
	var out strings.Builder
	_ = header.Write(&out)
	return http.StatusText(reply.Status) + "\n" + out.String() + "\n" + string(reply.Body)
}

// S1, S3: the same bytes whoever is asked about, and mail only for those it may go to.
func TestAnswersTellNothing(t *testing.T) {
	for _, route := range []struct {
		path string
		mail map[string]bool
	}{
		{"/api/v4/users/password/reset/send", map[string]bool{"known": true, "verified": true}},
		{"/api/v4/users/email/verify/send", map[string]bool{"known": true, "remote": false, "SSO": false}},
	} {
		t.Run(route.path, func(t *testing.T) {
			path := harness.Plugin + route.path
			want := must(house.node.Client.Do("POST", path, map[string]string{"email": "nobody-" + unique("x") + "@example.com"}))(t)
			if want.Status != 200 || string(want.Body) != `{"status":"OK"}` {
				t.Fatalf("an unknown address: %s", want)
			}
			users := map[string]*harness.User{}
			for kind := range kinds {
				users[kind] = account(t, kind)
				got := must(house.node.Client.Do("POST", path, map[string]string{"email": users[kind].Email}))(t)
				if comparable(got) != comparable(want) {
					t.Errorf("%s:\n%s\nunknown:\n%s", kind, comparable(got), comparable(want))
				}
			}
			must(harness.WaitMail(house.sink, users["known"].Email, 1, mailWithin))(t)
			settle(t)
			for kind, user := range users {
				if got := mailsFor(t, user.Email); (got == 1) != route.mail[kind] || got > 1 {
					t.Errorf("%s: %d mails", kind, got)
				}
			}
		})
	}
}

// S3: an unknown address leaves no trace that outlives its job's record, and none in any log.
func TestUnknownAddressLeavesNoTrace(t *testing.T) {
	address := unique("stranger") + "@example.org"
	expectOK(t, must(house.node.Client.RequestReset(address))(t))
	settle(t)
	if got := mailsFor(t, address); got != 0 {
		t.Errorf("%d mails", got)
	}
	if logs := must(house.node.Logs())(t); strings.Contains(logs, address) {
		t.Error("the address is in a log")
	}
	for _, table := range []string{"tokens", "mails"} {
		if rows := must(house.postgres.Rows(database, "SELECT t::text FROM postroom."+table+" t WHERE t::text LIKE '%' || $1 || '%'", address))(t); len(rows) > 0 {
			t.Errorf("postroom.%s has %v", table, rows)
		}
	}
}

// The contract for bad input: Mattermost's own statuses and ids.
func TestBadInput(t *testing.T) {
	invalid := "api.context.invalid_body_param.app_error"
	for name, test := range map[string]struct {
		body   string
		status int
		id     string
	}{
		"no JSON":              {"email=a@example.com", 400, invalid},
		"nothing":              {"", 400, invalid},
		"an array":             {`["a@example.com"]`, 400, invalid},
		"a number":             {`{"email": 5}`, 400, invalid},
		"null":                 {`{"email": null}`, 400, invalid},
		"missing":              {`{"mail": "a@example.com"}`, 400, invalid},
		"empty":                {`{"email": ""}`, 400, invalid},
		"a line break":         {`{"email": "a@example.com\r\nBcc: b@example.com"}`, 400, invalid},
		"NUL":                  {`{"email": "a\u0000@example.com"}`, 400, invalid},
		"400 characters":       {`{"email": "` + strings.Repeat("a", 388) + `@example.com"}`, 400, invalid},
		"64 kB and more":       {`{"email": "` + strings.Repeat("a", 66_000) + `"}`, 413, "api.context.request_body_too_large.app_error"},
		"a quote":              {`{"email": "a\"b@example.com"}`, 200, ""},
		"an IDN":               {`{"email": "ä@bücher.example"}`, 200, ""},
		"no address at all":    {`{"email": "anna"}`, 200, ""},
		"SQL":                  {`{"email": "' OR 1=1 --@example.com"}`, 200, ""},
		"a display name":       {`{"email": "Anna <anna@example.com>"}`, 200, ""},
		"two, with a comma":    {`{"email": "a@example.com,b@example.com"}`, 200, ""},
		"a Unicode look-alike": {`{"email": "PERSON1@EXAMPLE.COM"}`, 200, ""},
	} {
		for _, route := range []string{"/api/v4/users/password/reset/send", "/api/v4/users/email/verify/send"} {
			reply := must(house.node.Client.Do("POST", harness.Plugin+route, test.body))(t)
			if reply.Status != test.status || reply.ErrorID() != test.id {
				t.Errorf("%s, %s: %s", route, name, reply)
			}
		}
	}
}

// The errors are Mattermost's own, byte for byte less the request's id.
func TestErrorsAreMattermosts(t *testing.T) {
	for _, route := range []string{"/api/v4/users/password/reset/send", "/api/v4/users/email/verify/send"} {
		for _, body := range []string{`{"email": ""}`, `{}`, `nothing`} {
			theirs := must(house.node.Client.Do("POST", route, body))(t)
			ours := must(house.node.Client.Do("POST", harness.Plugin+route, body))(t)
			if got, want := withoutRequestID(ours), withoutRequestID(theirs); got != want {
				t.Errorf("%s %s:\n ours   %s\n theirs %s", route, body, got, want)
			}
		}
	}
}

func withoutRequestID(reply *harness.Reply) string {
	before, rest, found := strings.Cut(string(reply.Body), `"request_id":"`)
	if found {
		_, rest, _ = strings.Cut(rest, `"`)
	}
	return http.StatusText(reply.Status) + " " + before + rest
}

// withoutDiagnosis is likewise, less the member that is ours, the last.
func withoutDiagnosis(t *testing.T, reply *harness.Reply) string {
	t.Helper()
	text, ours, there := strings.Cut(withoutRequestID(reply), `,"diagnosis":`)
	if !there {
		return text
	}
	if !strings.HasSuffix(ours, "}}") {
		t.Errorf("the diagnosis is not the last member: %s", reply)
	}
	return text + "}"
}
