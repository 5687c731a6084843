package specs

import (
	"fmt"
	"testing"

	"postroom/e2e/harness"
)

// limited sets the plugin's limits for one spec.
func limited(t *testing.T, settings map[string]any) {
	t.Helper()
	merged := map[string]any{}
	for name, value := range noLimits {
		merged[name] = value
	}
	for name, value := range settings {
		merged[name] = value
	}
	check(t, house.admin.Settings(merged))
	t.Cleanup(func() { check(t, house.admin.Settings(noLimits)) })
	// The service takes new settings over a moment later.
	check(t, house.admin.WaitReady(mailWithin))
	settleSettings()
}

// S12: an account's limit stops mails, says the same, and leaves the last link alone.
func TestAccountLimit(t *testing.T) {
	limited(t, map[string]any{"LimitAccountPerHour": 3})
	user := person(t)
	var token string
	for number := 1; number <= 3; number++ {
		_, token = ask(t, user, number)
		later(t, user)
	}
	for range 3 {
		expectOK(t, must(house.node.Client.RequestReset(user.Email))(t))
	}
	settle(t)
	if got := mailsFor(t, user.Email); got != 3 {
		t.Fatalf("%d mails were sent; 3 an hour are the limit", got)
	}
	expectOK(t, redeem(t, house.node.Client, token, otherPassword))
}

// reaches tells how many of a number of requests, each for another account, led to a mail.
func reaches(t *testing.T, number int, client func(i int) *harness.Client) int {
	t.Helper()
	var users []*harness.User
	for range number {
		users = append(users, person(t))
	}
	for i, user := range users {
		reply := must(client(i).RequestReset(user.Email))(t)
		if reply.Status != 200 || string(reply.Body) != `{"status":"OK"}` {
			t.Fatalf("a limited request is told apart: %s", reply)
		}
	}
	settle(t)
	sent := 0
	for _, user := range users {
		sent += mailsFor(t, user.Email)
	}
	return sent
}

// S12: a client's limit, whoever it asks about.
func TestClientLimit(t *testing.T) {
	limited(t, map[string]any{"LimitClientPerMinute": 4})
	// Another address than the other specs', told by a header that the server trusts.
	client := house.node.Client.With("X-Real-IP", "198.51.100.7")
	if got := reaches(t, 8, func(int) *harness.Client { return client }); got != 4 {
		t.Errorf("%d of 8 passed; 4 a minute are the limit", got)
	}
	if got := reaches(t, 1, func(int) *harness.Client { return house.node.Client.With("X-Real-IP", "198.51.100.8") }); got != 1 {
		t.Error("another client is limited too")
	}
	within := func(i int) *harness.Client {
		return house.node.Client.With("X-Real-IP", fmt.Sprintf("2001:db8:1:2::%x", i+1))
	}
	if got := reaches(t, 8, within); got != 4 {
		t.Errorf("%d of 8 from one /64 passed", got)
	}
}

// S12: the limit in total.
func TestTotalLimit(t *testing.T) {
	limited(t, map[string]any{"LimitTotalPerMinute": 5})
	got := reaches(t, 9, func(i int) *harness.Client {
		return house.node.Client.With("X-Real-IP", fmt.Sprintf("203.0.113.%d", i))
	})
	if got != 5 {
		t.Errorf("%d of 9 passed; 5 a minute are the limit", got)
	}
}

// S14: who guesses at tokens is stopped; who holds a link is not, unless he guesses too.
func TestGuessesAreLimited(t *testing.T) {
	user := person(t)
	link, _ := ask(t, user, 1)
	limited(t, map[string]any{"LimitClientPerMinute": 10})
	guesser := house.node.Client.With("X-Real-IP", "198.51.100.66")
	stopped := 0
	for i := range 30 {
		token := fmt.Sprintf("%042dA", i)
		var reply *harness.Reply
		if i%2 == 0 {
			reply = must(guesser.Do("GET", harness.Plugin+"/reset?token="+token, nil))(t)
		} else {
			reply = redeem(t, guesser, token, otherPassword)
		}
		if reply.Status == 429 {
			stopped++
		}
	}
	if stopped < 15 {
		t.Errorf("only %d of 30 guesses were stopped", stopped)
	}
	expectOK(t, must(house.node.Client.With("X-Real-IP", "198.51.100.67").Do("GET", link.RequestURI(), nil))(t))
}

// S12 behind nginx: each client counts for itself, and what it claims in headers does not count.
func TestClientLimitBehindNginx(t *testing.T) {
	nginx, err := house.stage.StartNginx(house.node.Port)
	if err != nil {
		t.Fatal("NOT RUN: ", err, "; Debian: nginx-light")
	}
	defer nginx.Stop()
	limited(t, map[string]any{"LimitClientPerMinute": 4})
	forged := func(i int) *harness.Client {
		address := fmt.Sprintf("192.0.2.%d", i+1)
		return viaProxy(nginx.Client).With("X-Forwarded-For", address).With("X-Real-IP", address).With("Forwarded", "for="+address)
	}
	if got := reaches(t, 9, forged); got != 4 {
		t.Errorf("%d of 9 with forged addresses passed; 4 are the limit", got)
	}
	// nginx hands on the real address: another one (all of 127.0.0.0/8 is this machine) has its own count.
	if got := reaches(t, 1, func(int) *harness.Client { return viaProxy(nginx.Client).From("127.0.0.9") }); got != 1 {
		t.Error("another client behind the proxy is limited too")
	}
}
