package specs

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"postroom/e2e/harness"
)

// S15: links and pages start at the configured SiteURL, whatever the headers say.
func TestPoisonedHeaders(t *testing.T) {
	user := person(t)
	poisoned := house.node.Client.With("Host", "evil.example").With("X-Forwarded-Host", "evil.example").
		With("X-Forwarded-Proto", "https").With("Forwarded", "host=evil.example;proto=https").With("X-Original-Host", "evil.example").
		With("Origin", "https://evil.example").With("Referer", "https://evil.example/")
	expectOK(t, must(poisoned.RequestReset(user.Email))(t))
	mail := must(harness.WaitMail(house.sink, user.Email, 1, mailWithin))(t)
	if strings.Contains(string(mail.Raw)+mail.HTML+mail.Text, "evil.example") {
		t.Fatal("the mail names the host of a header")
	}
	link, token, err := mail.Link()
	check(t, err)
	if !strings.HasPrefix(link.String(), house.node.Client.Base+"/") {
		t.Errorf("the link is %s", link)
	}
	for _, reply := range []*harness.Reply{
		must(poisoned.Do("GET", link.RequestURI(), nil))(t),
		must(poisoned.Do("POST", harness.Plugin+"/reset", url.Values{"token": {token}, "new_password": {otherPassword}, "confirm_password": {otherPassword}}))(t),
	} {
		expectOK(t, reply)
		if strings.Contains(string(reply.Body), "evil.example") {
			t.Error("a page names the host of a header")
		}
	}
}

// S17: every page's headers, and nothing in it from elsewhere.
func TestPageHeaders(t *testing.T) {
	user := person(t)
	link, token := ask(t, user, 1)
	get := func(uri string) *harness.Reply { return must(house.node.Client.Do("GET", uri, nil))(t) }
	pages := map[string]*harness.Reply{
		"good":      get(link.RequestURI()),
		"unknown":   get(harness.Plugin + "/verify?token=" + strings.Repeat("A", 43)),
		"no token":  get(harness.Plugin + "/reset"),
		"not found": get(harness.Plugin + "/nothing"),
		"weak":      redeem(t, house.node.Client, token, "short"),
		"done":      redeem(t, house.node.Client, token, otherPassword),
		"used":      get(link.RequestURI()),
	}
	remote := regexp.MustCompile(`(?i)(?:src|srcset|action|data)\s*=\s*"https?://|url\(\s*["']?https?://|@import|<script|<iframe|<link\s`)
	for name, page := range pages {
		if kind := page.Header.Get("Content-Type"); kind != "text/html; charset=utf-8" {
			t.Errorf("%s: Content-Type %q", name, kind)
		}
		for header, want := range map[string]string{
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		} {
			if got := page.Header.Values(header); len(got) != 1 || !strings.Contains(got[0], want) {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		policies := page.Header.Values("Content-Security-Policy")
		if len(policies) != 1 {
			t.Errorf("%s: %d policies: %q", name, len(policies), policies)
			continue
		}
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action"} {
			if !strings.Contains(policies[0], want) {
				t.Errorf("%s: the policy lacks %s: %s", name, want, policies[0])
			}
		}
		if strings.Contains(policies[0], "unsafe-eval") || strings.Contains(policies[0], "script-src") {
			t.Errorf("%s: the policy allows scripts: %s", name, policies[0])
		}
		if found := remote.FindString(string(page.Body)); found != "" {
			t.Errorf("%s: the page has %q", name, found)
		}
		if name != "good" && name != "weak" && strings.Contains(string(page.Body), token) {
			t.Errorf("%s: the page holds the token", name)
		}
	}
}

// S20: a redirect is a relative path of the same origin, or nothing.
func TestRedirects(t *testing.T) {
	for redirect, kept := range map[string]bool{
		"/acme/channels/off-topic":     true,
		"//evil.example/x":             false,
		"/\\evil.example":              false,
		"javascript:alert(1)":          false,
		"https://evil.example":         false,
		"/a&token=b":                   true, // must come out as a part of the path, and no parameter
		"/x\r\nSet-Cookie: a=b":        false,
		"/%0d%0aLocation:%20//evil.ex": true,
	} {
		user := person(t)
		expectOK(t, must(house.node.Client.Do("POST", harness.Plugin+"/api/v4/users/email/verify/send?r="+url.QueryEscape(redirect),
			map[string]string{"email": user.Email}))(t))
		mail := must(harness.WaitMail(house.sink, user.Email, 1, mailWithin))(t)
		link, token, err := mail.Link()
		check(t, err)
		if len(link.Query()["token"]) != 1 {
			t.Errorf("%q: the link has %d tokens", redirect, len(link.Query()["token"]))
		}
		reply := must(house.node.Client.Do("POST", harness.Plugin+"/verify", url.Values{"token": {token}}))(t)
		expectOK(t, reply)
		for _, target := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(string(reply.Body), -1) {
			parsed, err := url.Parse(strings.ReplaceAll(target[1], "&amp;", "&"))
			if err != nil || !strings.HasPrefix(parsed.String(), house.node.Client.Base) || parsed.Query().Get("token") != "" {
				t.Errorf("%q: the last page links to %s", redirect, target[1])
			}
		}
		if got := strings.Contains(string(reply.Body), "off-topic"); redirect == "/acme/channels/off-topic" && got != kept {
			t.Errorf("%q is lost", redirect)
		}
	}
}

// S21: a reset neither logs in nor gets round a second factor. S22: other sessions end as Mattermost has it.
func TestResetEndsSessionsAndOpensNone(t *testing.T) {
	user := person(t)
	check(t, house.postgres.Exec(database, "UPDATE users SET mfaactive = true, mfasecret = 'JBSWY3DPEHPK3PXP' WHERE id = $1", user.ID))
	check(t, house.admin.Patch(map[string]any{"ServiceSettings": map[string]any{"EnableMultifactorAuthentication": true}}))
	defer func() {
		check(t, house.admin.Patch(map[string]any{"ServiceSettings": map[string]any{"EnableMultifactorAuthentication": false}}))
	}()
	check(t, terminateSessions(true))
	second := person(t)
	one := must(house.node.Client.Login(second.Username, harness.Password))(t)
	two := must(house.node.Client.Login(second.Username, harness.Password))(t)
	check(t, one.Must("GET", "/api/v4/users/me", nil, nil))

	for _, who := range []*harness.User{user, second} {
		_, token := ask(t, who, 1)
		reply := redeem(t, house.node.Client, token, otherPassword)
		expectOK(t, reply)
		for _, name := range []string{"Set-Cookie", "Token", "Authorization"} {
			if got := reply.Header.Values(name); len(got) > 0 {
				t.Errorf("a reset answered with %s", name)
			}
		}
	}
	reply := must(house.node.Client.Do("POST", "/api/v4/users/login", map[string]string{"login_id": user.Username, "password": otherPassword}))(t)
	if reply.Status != http.StatusUnauthorized || !strings.Contains(reply.ErrorID(), "mfa") {
		t.Errorf("a login without the second factor after a reset: %s", reply)
	}
	for i, session := range []*harness.Client{one, two} {
		if reply := must(session.Do("GET", "/api/v4/users/me", nil))(t); reply.Status != http.StatusUnauthorized {
			t.Errorf("session %d outlived the reset: %s", i+1, reply)
		}
	}
}

// S22: where Mattermost is told to leave sessions alone, they live.
func TestSessionsLiveWhereConfiguredSo(t *testing.T) {
	check(t, terminateSessions(false))
	user := person(t)
	session := must(house.node.Client.Login(user.Username, harness.Password))(t)
	_, token := ask(t, user, 1)
	expectOK(t, redeem(t, house.node.Client, token, otherPassword))
	theirs := person(t)
	other := must(house.node.Client.Login(theirs.Username, harness.Password))(t)
	check(t, house.postgres.Exec(database, `INSERT INTO tokens (token, createat, type, extra) VALUES ($1, extract(epoch FROM now())::bigint * 1000, 'password_recovery', $2)`,
		strings.Repeat("s22", 21)+"x", `{"UserId":"`+theirs.ID+`","Email":"`+theirs.Email+`"}`))
	check(t, house.node.Client.Must("POST", "/api/v4/users/password/reset", map[string]string{"token": strings.Repeat("s22", 21) + "x", "new_password": otherPassword}, nil))
	ours := must(session.Do("GET", "/api/v4/users/me", nil))(t).Status
	own := must(other.Do("GET", "/api/v4/users/me", nil))(t).Status
	if ours != own {
		t.Errorf("after our reset the session answers %d, after Mattermost's own %d", ours, own)
	}
}

func terminateSessions(on bool) error {
	return house.admin.Patch(map[string]any{"ServiceSettings": map[string]any{"TerminateSessionsOnPasswordChange": on}})
}
