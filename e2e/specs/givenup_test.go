package specs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// failedToStayRunning is Mattermost's state of a plugin that it has given up (model.PluginStateFailedToStayRunning).
const failedToStayRunning = 4

// stateOf is Mattermost's state of the plugin, 0 where it has none.
func stateOf(admin *harness.Client) (int, error) {
	var plugins []struct {
		ID    string `json:"plugin_id"`
		State int    `json:"state"`
	}
	if err := admin.Must("GET", "/api/v4/plugins/statuses", nil, &plugins); err != nil {
		return 0, err
	}
	for _, plugin := range plugins {
		if plugin.ID == harness.PluginID {
			return plugin.State, nil
		}
	}
	return 0, nil
}

// giveUp kills the shim whenever there is one at work, until Mattermost starts it no more; last is when it did so.
func giveUp(t *testing.T, node *harness.Node, admin *harness.Client) (kills int, last time.Time) {
	t.Helper()
	check(t, harness.Eventually(4*time.Minute, func() error {
		if _, err := admin.Status(); err == nil {
			for _, shim := range ours(t, node, "shim") {
				check(t, syscall.Kill(shim.PID, syscall.SIGKILL))
				kills, last = kills+1, time.Now()
				check(t, harness.Eventually(5*time.Second, func() error { return gone(shim.PID) }))
			}
		}
		state, err := stateOf(admin)
		if err == nil && state != failedToStayRunning {
			err = fmt.Errorf("after %d kills the plugin's state is %d", kills, state)
		}
		return err
	}))
	return kills, last
}

func gone(pid int) error {
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && exe != "" {
		return fmt.Errorf("process %d is still there", pid)
	}
	return nil
}

// command is the line in the mail to the admins.
var command = regexp.MustCompile(`(?m)^printf .*$`)

// R23 with the relay on, and what comes after it: Mattermost has given the plugin up, nobody calls it any more, and mail
// goes on. The admins are told once, each in his language, and the way back that they are told works.
func TestThePluginIsGivenUp(t *testing.T) {
	node, admin := separate(t, harness.NodeConfig{Env: harness.LocalMode(filepath.Join(house.stage.Scratch, unique("local")+".sock"))})
	german := must(admin.CreateUser(unique("verwalter"), "de"))(t)
	retired := must(admin.CreateUser(unique("retired"), "en"))(t)
	user := must(admin.CreateUser(unique("person"), "en"))(t)
	for _, other := range []*harness.User{german, retired} {
		check(t, admin.Must("PUT", "/api/v4/users/"+other.ID+"/roles", map[string]string{"roles": "system_user system_admin"}, nil))
	}
	check(t, admin.Must("DELETE", "/api/v4/users/"+retired.ID, nil, nil))
	// A name that a shell would stumble over. (The sink asks for no login; PASSWORD in the line is the core's test.)
	check(t, admin.Patch(map[string]any{"EmailSettings": map[string]any{"SMTPUsername": "o'brien"}}))
	healthyRelay(t, admin)
	before := configOf(t, node)
	switchRelay(t, admin, "enable")
	relay := must(node.Submission())(t)
	service := ours(t, node, "service")

	load := drive(t, relay, 1, 200*time.Millisecond, admin)
	kills, left := giveUp(t, node, admin)
	t.Logf("given up at the shim's death number %d", kills)
	same := func() {
		t.Helper()
		if now := ours(t, node, "service"); !slices.Equal(now, service) {
			t.Errorf("the service was %v and is %v", service, now)
		}
	}
	t.Run("a forgotten password while nothing of the plugin runs", func(t *testing.T) {
		expectOK(t, must(node.Client.Do("POST", "/api/v4/users/password/reset/send", map[string]string{"email": user.Email}))(t))
		link, _, err := must(harness.WaitMail(house.sink, user.Email, 1, mailWithin))(t).Link()
		check(t, err)
		if !strings.Contains(link.Path, "/plugins/postroom/reset") {
			t.Error(link)
		}
	})
	t.Run("disabled", func(t *testing.T) {
		check(t, admin.Disable())
		oneMore(t, admin)
		same()
	})
	t.Run("removed", func(t *testing.T) {
		check(t, admin.Must("DELETE", "/api/v4/plugins/"+harness.PluginID, nil, nil))
		if _, err := os.Stat(filepath.Join(node.Dir, "plugins", harness.PluginID)); !errors.Is(err, os.ErrNotExist) {
			t.Error("the plugin's folder is still there")
		}
		oneMore(t, admin)
		same()
	})
	var way string
	t.Run("the admins are told", func(t *testing.T) {
		for address, words := range map[string]string{"admin@example.com": "runs without its plugin", german.Email: "ohne sein Plugin"} {
			mail := waitFor(t, address, 3*time.Minute, func(m *harness.Message) bool { return strings.Contains(m.Text, words) })
			way = strings.ReplaceAll(command.FindString(mail.Text), "\r", "")
			if strings.Contains(mail.Text, relay.Password) {
				t.Error("a password is in the mail")
			}
		}
		t.Logf("told %s after the last shim was gone: %s", time.Since(left).Round(time.Second), way)
		if since := time.Since(left); since < 2*time.Minute {
			t.Errorf("told after %s, when Mattermost might start the plugin again", since)
		}
		logged(t, node, "Mattermost does not run the plugin any more")
	})
	t.Run("uploaded and enabled again", func(t *testing.T) {
		check(t, admin.Upload(bundle()))
		check(t, admin.Enable())
		awaitRelay(t, admin, true)
		expectProcesses(t, node, 1, 1, 5*time.Second)
		same()
		oneMore(t, admin)
	})
	load.end(t, false)
	load.arrived(t, house.sink)
	for address, words := range map[string]string{"admin@example.com": "runs without its plugin", german.Email: "ohne sein Plugin", retired.Email: "plugin"} {
		told := 0
		for _, mail := range must(house.sink.All(address))(t) {
			if strings.Contains(mail.Text, words) && command.MatchString(mail.Text) {
				told++
			}
		}
		if want := map[bool]int{true: 0, false: 1}[address == retired.Email]; told != want {
			t.Errorf("%s was told %d times", address, told)
		}
	}
	t.Run("the way back, after a restart without the plugin", func(t *testing.T) {
		node.Stop()
		// As a restart finds it after the plugin was given up and switched off.
		config := configOf(t, node)
		config["PluginSettings"].(map[string]any)["PluginStates"].(map[string]any)[harness.PluginID] = map[string]any{"Enable": false}
		writeConfig(t, node, config)
		expectProcesses(t, node, 0, 0, 5*time.Second)
		check(t, node.Restart())
		if reply := must(admin.Do("POST", "/api/v4/email/test", nil))(t); reply.Status == 200 {
			t.Error("Mattermost sends mail to a relay that is not there")
		}
		check(t, node.Shell(way))
		restored(t, node, before)
		oneMore(t, admin)
	})
}
