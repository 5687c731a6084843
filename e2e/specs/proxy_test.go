package specs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// proxies start each documented proxy in front of a node.
var proxies = map[string]func(port int) (*harness.Proxy, error){
	"nginx": func(port int) (*harness.Proxy, error) { return house.stage.StartNginx(port) },
	"Caddy": func(port int) (*harness.Proxy, error) { return house.stage.StartCaddy(port) },
}

// Mattermost's own routes, asked through the proxy, are answered by the plugin.
func TestProxySendsTheRoutesToThePlugin(t *testing.T) {
	for name, start := range proxies {
		t.Run(name, func(t *testing.T) {
			proxy, err := start(house.node.Port)
			if err != nil {
				t.Fatal("NOT RUN: ", err)
			}
			defer proxy.Stop()
			client := viaProxy(proxy.Client)
			user := person(t)
			expectOK(t, must(client.RequestReset(user.Email))(t))
			_, token, err := must(harness.WaitMail(house.sink, user.Email, 1, mailWithin))(t).Link()
			check(t, err)
			expectOK(t, redeem(t, client, token, otherPassword))

			other := person(t)
			expectOK(t, must(client.Do("POST", "/api/v4/users/email/verify/send?r=/acme", map[string]string{"email": other.Email}))(t))
			mail := must(harness.WaitMail(house.sink, other.Email, 1, mailWithin))(t)
			if _, _, err := mail.Link(); err != nil {
				t.Errorf("the mail is not ours: %v", err)
			}
			if reply := must(client.As(house.admin.Token).Do("POST", emailTest, nil))(t); reply.Status != 200 {
				t.Errorf("the test: %s", reply)
			}
			// Everything else stays Mattermost's.
			expectOK(t, must(client.Do("GET", "/api/v4/system/ping", nil))(t))
			if reply := must(client.Do("POST", "/api/v4/users/password/reset", map[string]string{"token": "x", "new_password": "y"}))(t); reply.Status != 400 {
				t.Errorf("the redemption route: %s", reply)
			}
			// An error of the plugin's that is an answer reaches the client.
			if reply := must(client.Do("POST", "/api/v4/users/password/reset/send", "{}"))(t); reply.Status != 400 {
				t.Errorf("a bad request: %s", reply)
			}
		})
	}
}

// The plugin off or dead: Mattermost's own route answers, and its own mail leaves.
func TestProxyFallsBack(t *testing.T) {
	node, admin := separate(t, harness.NodeConfig{})
	started := map[string]*harness.Client{}
	for name, start := range proxies {
		proxy, err := start(node.Port)
		if err != nil {
			t.Fatal("NOT RUN: ", err)
		}
		defer proxy.Stop()
		started[name] = viaProxy(proxy.Client)
	}
	expectOwn := func(when string, testAnswers map[string]int) {
		t.Helper()
		for name, client := range started {
			user := must(admin.CreateUser(unique("person"), "en"))(t)
			expectOK(t, must(client.RequestReset(user.Email))(t))
			check(t, harness.Eventually(mailWithin, func() error {
				mails, err := house.sink.All(user.Email)
				for _, mail := range mails {
					if strings.Contains(mail.HTML, "reset_password_complete") {
						return nil
					}
				}
				return fmt.Errorf("%s, %s: Mattermost's own mail has not come (%v)", name, when, err)
			}))
			if reply := must(client.As(admin.Token).Do("POST", emailTest, nil))(t); reply.Status != testAnswers[name] {
				t.Errorf("%s, %s: the test: %s", name, when, reply)
			}
		}
	}
	own := map[string]int{"nginx": 200, "Caddy": 200}

	shims := ours(t, node, "shim")
	check(t, syscall.Kill(shims[0].PID, syscall.SIGKILL))
	time.Sleep(200 * time.Millisecond)
	// A dead plugin answers 500, which nginx can't tell from an answer of the test's: it falls back once Mattermost
	// has given the plugin up or started it again, 27 s later.
	expectOwn("the plugin's process dead", map[string]int{"nginx": 500, "Caddy": 200})
	check(t, admin.Disable())
	expectOwn("the plugin off", own)
	check(t, admin.Patch(map[string]any{"PluginSettings": map[string]any{"Enable": false}}))
	expectOwn("plugins off", own)
}

// Mattermost's own client works unchanged.
func TestMmctlResetsAPassword(t *testing.T) {
	proxy, err := house.stage.StartNginx(house.node.Port)
	if err != nil {
		t.Fatal("NOT RUN: ", err, "; Debian: nginx-light")
	}
	defer proxy.Stop()
	home := t.TempDir()
	check(t, os.WriteFile(filepath.Join(home, "password"), []byte(harness.Password), 0o600))
	mmctl := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(house.stage.Root, ".build", "mattermost", "mmctl"), args...)
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("mmctl %s: %v\n%s", args, err, out)
		}
		return string(out)
	}
	mmctl("auth", "login", proxy.Client.Base, "--name", "house", "--username", "admin", "--password-file", filepath.Join(home, "password"))
	user := person(t)
	mmctl("user", "reset-password", user.Email)
	_, token, err := must(harness.WaitMail(house.sink, user.Email, 1, mailWithin))(t).Link()
	check(t, err)
	expectOK(t, redeem(t, house.node.Client, token, otherPassword))
	expectPassword(t, user, otherPassword, harness.Password)
}
