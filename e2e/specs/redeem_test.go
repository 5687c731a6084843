package specs

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// S5, S6: while a mail waits and after it left, its token is nowhere to be found.
func TestTokenIsNowhere(t *testing.T) {
	user := person(t)
	house.sink.Down()
	down := true
	defer func() {
		if down {
			check(t, house.sink.Up())
		}
	}()
	expectOK(t, must(house.node.Client.RequestReset(user.Email))(t))
	var waiting string
	check(t, harness.Eventually(mailWithin, func() error {
		rows, err := house.postgres.Rows(database, "SELECT state FROM postroom.mails WHERE account_id = $1", user.ID)
		if err == nil && (len(rows) != 1 || rows[0] != "deferred") {
			err = fmt.Errorf("the mail is not waiting: %v", rows)
		}
		return err
	}))
	waiting = must(house.postgres.Dump(database))(t)
	check(t, house.sink.Up())
	down = false
	mail := must(harness.WaitMail(house.sink, user.Email, 1, time.Minute))(t)
	_, token, err := mail.Link()
	check(t, err)
	settle(t)
	after := must(house.postgres.Dump(database))(t)
	logs := must(house.node.Logs())(t)

	raw, err := base64.RawURLEncoding.DecodeString(token)
	check(t, err)
	forms := map[string]string{
		"the token": token, "its bytes in hex": hex.EncodeToString(raw), "the token's text in hex": hex.EncodeToString([]byte(token)),
		"the token in base64": base64.StdEncoding.EncodeToString([]byte(token)), "the mail's words": "to choose a new password",
	}
	for place, text := range map[string]string{"the database while the mail waits": waiting, "the database afterwards": after, "the logs": logs} {
		if !strings.Contains(text, user.ID) && place != "the logs" {
			t.Fatalf("the search of %s would find nothing anyway", place)
		}
		for what, form := range forms {
			if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
				t.Errorf("%s has %s", place, what)
			}
		}
	}
	if rows := must(house.postgres.Rows(database, "SELECT state, sealed IS NULL FROM postroom.mails WHERE account_id = $1", user.ID))(t); rows[0] != "sent\ttrue" {
		t.Errorf("the body is not wiped: %v", rows)
	}
	// It is wiped, and the link works.
	expectOK(t, redeem(t, house.node.Client, token, otherPassword))
	if logs := must(house.node.Logs())(t); strings.Contains(logs, token) || strings.Contains(logs, otherPassword) {
		t.Error("a redemption wrote the token or the password to a log")
	}
}

// S7: of 64 at once exactly one wins.
func TestOneOfManyWins(t *testing.T) {
	user := person(t)
	_, token := ask(t, user, 1)
	var wins atomic.Int64
	var winner atomic.Value
	var all sync.WaitGroup
	for i := range 64 {
		all.Add(1)
		go func() {
			defer all.Done()
			password := fmt.Sprintf("Many-horses-%02d", i)
			reply := redeem(t, house.node.Client, token, password)
			if reply.Status == 200 {
				wins.Add(1)
				winner.Store(password)
			}
		}()
	}
	all.Wait()
	if wins.Load() != 1 {
		t.Fatalf("%d of 64 redemptions won", wins.Load())
	}
	expectPassword(t, user, winner.Load().(string), harness.Password)
}

// S7: a password that Mattermost refuses does not burn the link, and is refused in Mattermost's own words.
func TestRefusedPasswordKeepsTheLink(t *testing.T) {
	user := person(t)
	link, token := ask(t, user, 1)
	weak := redeem(t, house.node.Client, token, "short")
	if weak.Status == 200 || !strings.Contains(string(weak.Body), "8") {
		t.Fatalf("a weak password: HTTP %d\n%s", weak.Status, weak.Body)
	}
	other := must(house.node.Client.Do("POST", harness.Plugin+"/reset",
		"token="+token+"&new_password=Some-horse-1&confirm_password=Some-horse-2"))(t)
	_ = other
	mismatch := must(house.node.Client.With("Content-Type", "application/x-www-form-urlencoded").Do("POST", harness.Plugin+"/reset",
		"token="+token+"&new_password=Some-horse-1&confirm_password=Some-horse-2"))(t)
	if mismatch.Status == 200 {
		t.Fatal("two passwords that differ were taken")
	}
	expectPassword(t, user, harness.Password, "Some-horse-1")
	expectOK(t, must(house.node.Client.Do("GET", link.RequestURI(), nil))(t))
	expectOK(t, redeem(t, house.node.Client, token, otherPassword))
	expectPassword(t, user, otherPassword, harness.Password)
	if left := must(house.postgres.Rows(database, "SELECT extra FROM tokens WHERE extra LIKE '%' || $1 || '%'", user.ID))(t); len(left) > 0 {
		t.Errorf("tokens of Mattermost's own are left over: %v", left)
	}
}

// S9: a new request kills the older token and cancels its mail.
func TestNewRequestKillsTheOld(t *testing.T) {
	user := person(t)
	house.sink.Down()
	expectOK(t, must(house.node.Client.RequestReset(user.Email))(t))
	waitStates(t, user, "deferred")
	later(t, user)
	expectOK(t, must(house.node.Client.RequestReset(user.Email))(t))
	waitStates(t, user, "cancelled deferred")
	check(t, house.sink.Up())
	mail := must(harness.WaitMail(house.sink, user.Email, 1, time.Minute))(t)
	settle(t)
	if got := mailsFor(t, user.Email); got != 1 {
		t.Fatalf("%d mails left", got)
	}
	_, token, err := mail.Link()
	check(t, err)
	expectOK(t, redeem(t, house.node.Client, token, otherPassword))
}

// S9: where both mails have left, the first link is dead.
func TestOlderLinkIsDead(t *testing.T) {
	user := person(t)
	first, firstToken := ask(t, user, 1)
	later(t, user)
	_, secondToken := ask(t, user, 2)
	expectDead(t, first.RequestURI())
	if redeem(t, house.node.Client, firstToken, otherPassword).Status == 200 {
		t.Fatal("the older link was redeemed")
	}
	expectOK(t, redeem(t, house.node.Client, secondToken, otherPassword))
}

// S10: a double submit sends one mail, and its link lives.
func TestDoubleSubmitSendsOneMail(t *testing.T) {
	user := person(t)
	for range 5 {
		expectOK(t, must(house.node.Client.RequestReset(user.Email))(t))
	}
	mail := must(harness.WaitMail(house.sink, user.Email, 1, mailWithin))(t)
	settle(t)
	if got := mailsFor(t, user.Email); got != 1 {
		t.Fatalf("%d mails", got)
	}
	_, token, err := mail.Link()
	check(t, err)
	expectOK(t, redeem(t, house.node.Client, token, otherPassword))
}

// S8, S11: what kills a link. S19: its page says so before anybody types, and changes nothing.
func TestWhatKillsALink(t *testing.T) {
	for name, kill := range map[string]func(t *testing.T, user *harness.User){
		"a changed address": func(t *testing.T, user *harness.User) {
			check(t, house.admin.Must("PUT", "/api/v4/users/"+user.ID+"/patch", map[string]string{"email": "moved-" + user.Email}, nil))
		},
		"a changed password": func(t *testing.T, user *harness.User) {
			self := must(house.node.Client.Login(user.Username, harness.Password))(t)
			check(t, self.Must("PUT", "/api/v4/users/"+user.ID+"/password", map[string]string{
				"current_password": harness.Password, "new_password": "Self-made-horse-3"}, nil))
		},
		"a deactivation": func(t *testing.T, user *harness.User) {
			check(t, house.admin.Must("PUT", "/api/v4/users/"+user.ID+"/active", map[string]bool{"active": false}, nil))
		},
		"a move to SSO": func(t *testing.T, user *harness.User) {
			check(t, house.postgres.Exec(database, "UPDATE users SET "+kinds["SSO"]+" WHERE id = $1", user.ID))
		},
		"its time": func(t *testing.T, user *harness.User) {
			check(t, house.postgres.Exec(database, "UPDATE postroom.tokens SET expires_at = now() - interval '1 second' WHERE account_id = $1", user.ID))
		},
		"its use": func(t *testing.T, user *harness.User) {},
	} {
		t.Run(name, func(t *testing.T) {
			user := person(t)
			link, token := ask(t, user, 1)
			expectOK(t, must(house.node.Client.Do("GET", link.RequestURI(), nil))(t))
			if name == "its use" {
				expectOK(t, redeem(t, house.node.Client, token, otherPassword))
			}
			kill(t, user)
			expectDead(t, link.RequestURI())
			if redeem(t, house.node.Client, token, "Stolen-horse-4").Status == 200 {
				t.Fatal("it was redeemed")
			}
			if canLogIn(t, user, "Stolen-horse-4") {
				t.Fatal("the password was changed")
			}
		})
	}
}

// Tokens cut, doubled, of another alphabet, of another purpose: a page, never a redemption, never a server's error.
func TestBadTokens(t *testing.T) {
	user := person(t)
	_, token := ask(t, user, 1)
	for name, bad := range map[string]string{
		"cut": token[:42], "doubled": token + token, "another alphabet": strings.Repeat("*", 43), "empty": "",
		"padded": token + "=", "a NUL": "%00" + token[1:], "long": strings.Repeat("A", 5000), "unknown": strings.Repeat("A", 43),
	} {
		for _, page := range []string{"reset", "verify"} {
			reply := must(house.node.Client.Do("GET", harness.Plugin+"/"+page+"?token="+bad, nil))(t)
			if reply.Status == 200 || reply.Status >= 500 || strings.Contains(string(reply.Body), "<form") {
				t.Errorf("%s on %s: HTTP %d", name, page, reply.Status)
			}
		}
		if reply := redeem(t, house.node.Client, bad, "Stolen-horse-4"); reply.Status == 200 || reply.Status >= 500 {
			t.Errorf("%s, posted: HTTP %d", name, reply.Status)
		}
	}
	expectDead(t, harness.Plugin+"/verify?token="+token)
	expectOK(t, redeem(t, house.node.Client, token, otherPassword))
}

// S13: requests change nothing in the account. S12's other half: a limited request leaves the live link alone.
func TestRequestsChangeNothing(t *testing.T) {
	user := person(t)
	row := "SELECT to_jsonb(u) - 'lastactivityat' FROM users u WHERE id = $1"
	before := must(house.postgres.Rows(database, row, user.ID))(t)
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 125 {
				if reply, err := house.node.Client.RequestReset(user.Email); err != nil || reply.Status != 200 {
					t.Errorf("%v %v", reply, err)
					return
				}
			}
		}()
	}
	all.Wait()
	settle(t)
	if after := must(house.postgres.Rows(database, row, user.ID))(t); after[0] != before[0] {
		t.Errorf("the account was\n%s\nand is\n%s", before[0], after[0])
	}
	if !canLogIn(t, user, harness.Password) {
		t.Fatal("the password no longer works")
	}
}

// expectDead opens a link that no longer works: a page that says so and has no form.
func expectDead(t *testing.T, uri string) {
	t.Helper()
	page := must(house.node.Client.Do("GET", uri, nil))(t)
	if page.Status == 200 || page.Status >= 500 || strings.Contains(string(page.Body), "new_password") {
		t.Fatalf("a dead link shows HTTP %d:\n%s", page.Status, page.Body)
	}
}

// waitStates waits until the account's mails, oldest first, have these states.
func waitStates(t *testing.T, user *harness.User, want string) {
	t.Helper()
	check(t, harness.Eventually(mailWithin, func() error {
		rows, err := house.postgres.Rows(database, "SELECT state FROM postroom.mails WHERE account_id = $1 ORDER BY queued_at", user.ID)
		if got := strings.Join(rows, " "); err == nil && got != want {
			err = fmt.Errorf("the mails are %q, not %q", got, want)
		}
		return err
	}))
}
