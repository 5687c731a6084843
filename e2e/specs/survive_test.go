package specs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// relayOf is the plugin's own word about the relay.
func relayOf(t *testing.T, admin *harness.Client) relayStatus {
	t.Helper()
	var status relayStatus
	check(t, admin.Must("GET", harness.Plugin+"/api/v1/relay", nil, &status))
	return status
}

// awaitRelay waits until the relay is on or off, and healthy.
func awaitRelay(t *testing.T, admin *harness.Client, enabled bool) (status relayStatus) {
	t.Helper()
	check(t, harness.Eventually(time.Minute, func() error {
		if err := admin.Must("GET", harness.Plugin+"/api/v1/relay", nil, &status); err != nil {
			return err
		}
		if !status.Healthy || status.Enabled != enabled {
			return fmt.Errorf("%+v", status)
		}
		return nil
	}))
	return status
}

// restored waits until Mattermost's configuration is as it was, the plugins' own states apart.
func restored(t *testing.T, node *harness.Node, before map[string]any) {
	t.Helper()
	check(t, harness.Eventually(time.Minute, func() error {
		now := configOf(t, node)
		now["PluginSettings"] = before["PluginSettings"]
		if names := changed(now, before); len(names) > 0 {
			return fmt.Errorf("the configuration is not as it was before the relay: %v", names)
		}
		return nil
	}))
}

// changed are the settings in which two configurations differ, without their values.
func changed(now, before map[string]any) (names []string) {
	for section := range before {
		have, ok := now[section].(map[string]any)
		want, also := before[section].(map[string]any)
		if !ok || !also {
			if !reflect.DeepEqual(now[section], before[section]) {
				names = append(names, section)
			}
			continue
		}
		for name := range want {
			if !reflect.DeepEqual(have[name], want[name]) {
				names = append(names, section+"."+name)
			}
		}
		if len(have) != len(want) {
			names = append(names, section+" has others")
		}
	}
	if len(now) != len(before) {
		names = append(names, "sections")
	}
	return names
}

// oneMore has Mattermost send a mail of its own and waits for it.
func oneMore(t *testing.T, admin *harness.Client) {
	t.Helper()
	before := tests(house.sink)
	expectOK(t, must(admin.Do("POST", "/api/v4/email/test", nil))(t))
	check(t, harness.Eventually(mailWithin, func() error {
		if tests(house.sink) == before {
			return errors.New("Mattermost's own mail has not arrived")
		}
		return nil
	}))
}

// logged waits for words in the logs.
func logged(t *testing.T, node *harness.Node, words string) {
	t.Helper()
	check(t, harness.Eventually(mailWithin, func() error {
		if logs := must(node.Logs())(t); !strings.Contains(logs, words) {
			return fmt.Errorf("the log does not say %q", words)
		}
		return nil
	}))
}

// R19 and R24 to R26 with the relay on, on one server.
func TestTheRelaySurvives(t *testing.T) {
	node, admin := separate(t, harness.NodeConfig{})
	healthyRelay(t, admin)
	before := configOf(t, node)
	switchRelay(t, admin, "enable")
	relay := must(node.Submission())(t)
	// What a service took with it waits for its lease to lapse; that is looked at once, at the end.
	var loads []*traffic

	t.Run("the bundle is replaced under load", func(t *testing.T) { // R25
		other := filepath.Join(node.Dir, "other.tar.gz")
		check(t, harness.OtherBuild(bundle(), other))
		atFirst := ours(t, node, "service")
		own := tests(house.sink)
		load := drive(t, relay, 4, 10*time.Millisecond, admin)
		for _, bundle := range []string{other, bundle()} {
			check(t, admin.Upload(bundle))
			check(t, admin.WaitReady(time.Minute))
			time.Sleep(2 * time.Second) // under the new one
		}
		load.end(t, false)
		load.arrived(t, house.sink)
		expectProcesses(t, node, 1, 1, 10*time.Second)
		if now := ours(t, node, "service"); now[0].PID == atFirst[0].PID {
			t.Error("the service was not replaced")
		}
		check(t, harness.Eventually(mailWithin, func() error {
			if came := tests(house.sink) - own; came != load.native {
				return fmt.Errorf("of %d mails of Mattermost's own %d arrived", load.native, came)
			}
			return nil
		}))
		awaitRelay(t, admin, true)
	})
	t.Run("the service dies under load", func(t *testing.T) { // R26
		load := drive(t, relay, 4, 10*time.Millisecond, nil)
		for _, death := range []struct {
			name string
			kill func(pid int) error
		}{
			{"killed", func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }},
			// As after a panic that nobody recovers: the Go runtime ends the process.
			{"panic", func(pid int) error { return syscall.Kill(pid, syscall.SIGABRT) }},
			// The next memory that it asks for is refused, and a large mail asks for some; the Go runtime ends the process.
			{"out of memory", func(pid int) error {
				err := exec.Command("prlimit", "--pid", fmt.Sprint(pid), "--as=1").Run()
				_, _ = relay.Send("noreply@example.com", "large@example.com", []byte(strings.Repeat(body, 4000)))
				return err
			}},
		} {
			name := death.name
			time.Sleep(time.Second)
			service := ours(t, node, "service")[0]
			check(t, death.kill(service.PID))
			check(t, harness.Eventually(time.Minute, func() error {
				if gone(service.PID) != nil {
					return fmt.Errorf("%s: the service lives on", name)
				}
				return nil
			}))
			load.mark()
			// A second is the goal; more is this machine's share.
			if took := load.again(t); took > 3*time.Second {
				t.Errorf("%s: mail is taken again after %s", name, took)
			} else {
				t.Logf("%s: mail is taken again after %s", name, took.Round(time.Millisecond))
			}
			awaitRelay(t, admin, true)
		}
		load.end(t, true)
		loads = append(loads, load)
		expectProcesses(t, node, 1, 1, 5*time.Second)
	})
	t.Run("the listener dies", func(t *testing.T) { // R19
		load := drive(t, relay, 1, 10*time.Millisecond, nil)
		time.Sleep(time.Second)
		load.mark()
		shutListener(t, node)
		t.Logf("mail is taken again after %s", load.again(t).Round(time.Millisecond))
		load.halt()
		loads = append(loads, load)
		logged(t, node, "The relay's listener failed")
		awaitRelay(t, admin, true)
	})
	t.Run("the relay takes no mail", func(t *testing.T) { // R19
		var held []net.Conn
		for range 600 { // more than it has places for, twice over
			conn := must(net.Dial("tcp", relay.Address))(t)
			defer func() { _ = conn.Close() }()
			held = append(held, conn)
		}
		began := time.Now()
		restored(t, node, before)
		t.Logf("Mattermost's settings were put back after %s", time.Since(began).Round(time.Millisecond))
		oneMore(t, admin)
		logged(t, node, "Mattermost's own settings are put back")
		for _, conn := range held {
			_ = conn.Close()
		}
		awaitRelay(t, admin, false)
		switchRelay(t, admin, "enable")
	})
	t.Run("the server is killed and started again", func(t *testing.T) { // R24
		node.KillAlone()
		expectProcesses(t, node, 0, 0, 5*time.Second)
		check(t, node.Restart())
		awaitRelay(t, admin, true)
		oneMore(t, admin)
		how, err := relay.Send("noreply@example.com", "restarted@example.com", []byte("Subject: again\r\n\r\nas before\r\n"))
		if how != harness.Accepted {
			t.Error(how, err)
		}
		expectProcesses(t, node, 1, 1, 5*time.Second)
	})
	t.Run("a stranger has the port at the start", func(t *testing.T) { strangerAtStart(t, node, admin, relay, before) }) // R19
	t.Run("nothing accepted is lost", func(t *testing.T) {
		for _, load := range loads {
			load.arrived(t, house.sink)
		}
	})
	t.Run("all plugins are switched off and on", func(t *testing.T) {
		switchRelay(t, admin, "enable")
		check(t, admin.Patch(map[string]any{"PluginSettings": map[string]any{"Enable": false}}))
		restored(t, node, before)
		expectProcesses(t, node, 0, 0, 15*time.Second)
		oneMore(t, admin)
		check(t, admin.Patch(map[string]any{"PluginSettings": map[string]any{"Enable": true}}))
		check(t, admin.WaitReady(time.Minute))
	})
	t.Run("the plugin is removed", func(t *testing.T) {
		healthyRelay(t, admin)
		switchRelay(t, admin, "enable")
		check(t, admin.Must("DELETE", "/api/v4/plugins/"+harness.PluginID, nil, nil))
		restored(t, node, before)
		expectProcesses(t, node, 0, 0, 15*time.Second)
		oneMore(t, admin)
	})
}

// strangerAtStart: everything of ours is dead, and when the server starts again another program has the relay's port.
func strangerAtStart(t *testing.T, node *harness.Node, admin *harness.Client, relay harness.Submission, before map[string]any) {
	node.KillAlone()
	expectProcesses(t, node, 0, 0, 5*time.Second)
	stranger := must(house.stage.StartStranger(relay.Address, t.TempDir()))(t)
	defer stranger.Leave()
	began := make(chan time.Time, 1)
	go func() { // when the server begins to take requests, which may be to send mail
		address := fmt.Sprintf("127.0.0.1:%d", node.Port)
		for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
			if conn, err := net.Dial("tcp", address); err == nil {
				_ = conn.Close()
				began <- time.Now()
				return
			}
		}
	}()
	back := make(chan time.Time, 1)
	go func() {
		config := filepath.Join(node.Dir, "config", "config.json")
		for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
			if raw, err := os.ReadFile(config); err == nil && len(raw) > 0 && !strings.Contains(string(raw), relay.Password) {
				back <- time.Now()
				return
			}
		}
	}()
	check(t, node.Restart())
	listening := <-began
	select {
	case at := <-back:
		t.Logf("Mattermost's settings were put back %s after it began to listen", at.Sub(listening).Round(time.Millisecond))
	case <-time.After(time.Minute):
		t.Fatal("Mattermost's settings still name the stranger's port")
	}
	restored(t, node, before)
	oneMore(t, admin)
	logged(t, node, "another program listens on the relay's port")
	// The relay has moved away, with a password that the stranger can't have heard.
	status := awaitRelay(t, admin, false)
	if status.Address == relay.Address {
		t.Errorf("still at the stranger's: %+v", status)
	}
	switchRelay(t, admin, "enable")
	if now := must(node.Submission())(t); now.Password == relay.Password || now.Address != status.Address {
		t.Errorf("the relay at %s has the password that the stranger may know", now.Address)
	}
	oneMore(t, admin)
	// Mattermost itself logs in at its start, before anybody can tell it otherwise (decision 0014). No mail follows.
	for _, line := range stranger.Heard() {
		if verb, _, _ := strings.Cut(line, " "); verb != "EHLO" && verb != "AUTH" && verb != "QUIT" {
			t.Fatalf("the stranger was told %q", line)
		}
	}
	switchRelay(t, admin, "disable")
	restored(t, node, before)
}

// shutListener shuts the relay's listening socket down (shutdown(2)), for all who hold it, by the copy that the service
// offers its own user.
func shutListener(t *testing.T, node *harness.Node) {
	t.Helper()
	sockets := must(filepath.Glob(filepath.Join(node.Dir, "tmp", "postroom-*", "*", "files.sock")))(t)
	if len(sockets) != 1 {
		t.Fatal(sockets)
	}
	conn := must(net.Dial("unix", sockets[0]))(t).(*net.UnixConn)
	defer func() { _ = conn.Close() }()
	octet, rights := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	_, length, _, _, err := conn.ReadMsgUnix(octet, rights)
	check(t, err)
	messages := must(syscall.ParseSocketControlMessage(rights[:length]))(t)
	descriptors := must(syscall.ParseUnixRights(&messages[0]))(t)
	defer func() { _ = syscall.Close(descriptors[0]) }()
	check(t, syscall.Shutdown(descriptors[0], syscall.SHUT_RDWR))
}
