package specs

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// running is a process of ours.
type running struct {
	PID  int
	Role string // shim, service
}

// ours lists the plugin's processes that belong to a node, of one role or ("") all, by the executable they run.
func ours(t *testing.T, node *harness.Node, role string) []running {
	t.Helper()
	entries := must(os.ReadDir("/proc"))(t)
	var found []running
	for _, entry := range entries {
		exe, err := os.Readlink(filepath.Join("/proc", entry.Name(), "exe"))
		if err != nil || !strings.HasPrefix(exe, node.Dir) {
			continue
		}
		var process running
		if _, err := fmt.Sscan(entry.Name(), &process.PID); err != nil {
			continue
		}
		cmdline, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		process.Role = "shim"
		if strings.Count(string(cmdline), "\x00") > 1 {
			process.Role = "service"
		}
		if role == "" || role == process.Role {
			found = append(found, process)
		}
	}
	return found
}

// expectProcesses waits for so many shims and services.
func expectProcesses(t *testing.T, node *harness.Node, shims, services int, limit time.Duration) {
	t.Helper()
	check(t, harness.Eventually(limit, func() error {
		if a, b := len(ours(t, node, "shim")), len(ours(t, node, "service")); a != shims || b != services {
			return fmt.Errorf("%d shims and %d services, not %d and %d", a, b, shims, services)
		}
		return nil
	}))
}

// mortal is a server of its own that is stopped and started over and over, with a sink of its own.
type mortal struct {
	node  *harness.Node
	admin *harness.Client
	sink  *harness.Sink
}

// waiting asks for a mail that can't leave yet.
func (m *mortal) waiting(t *testing.T) *harness.User {
	t.Helper()
	m.sink.Down()
	user := must(m.admin.CreateUser(unique("person"), "en"))(t)
	expectOK(t, must(m.node.Client.RequestReset(user.Email))(t))
	return user
}

// gone waits until nothing of the plugin runs, and opens the sink again only then: what leaves now is the next one's.
func (m *mortal) gone(t *testing.T) {
	t.Helper()
	expectProcesses(t, m.node, 0, 0, 5*time.Second)
	check(t, m.sink.Up())
}

func (m *mortal) restart(t *testing.T) {
	t.Helper()
	check(t, m.node.Restart())
	check(t, m.admin.WaitReady(time.Minute))
}

func (m *mortal) expectMail(t *testing.T, user *harness.User) {
	t.Helper()
	_, token, err := must(harness.WaitMail(m.sink, user.Email, 1, 2*time.Minute))(t).Link()
	check(t, err)
	expectOK(t, redeem(t, m.node.Client, token, otherPassword))
}

// R24, R27, R28 and the plugin switched off and on, on one server.
func TestTheServerDiesAndComesBack(t *testing.T) {
	node, admin, name := separateNamed(t, harness.NodeConfig{})
	m := &mortal{node: node, admin: admin, sink: must(house.stage.StartSink())(t)}
	check(t, admin.UseSMTP(m.sink.Port))
	settleSettings()

	t.Run("switched off and on", func(t *testing.T) {
		check(t, admin.Disable())
		expectProcesses(t, node, 0, 0, 10*time.Second)
		check(t, admin.Enable())
		expectProcesses(t, node, 1, 1, 5*time.Second)
	})
	t.Run("the bundle uploaded again", func(t *testing.T) {
		check(t, admin.Upload(bundle()))
		check(t, admin.WaitReady(time.Minute))
		expectProcesses(t, node, 1, 1, 10*time.Second)
		user := must(admin.CreateUser(unique("person"), "en"))(t)
		expectOK(t, must(node.Client.RequestReset(user.Email))(t))
		m.expectMail(t, user)
	})
	t.Run("killed", func(t *testing.T) {
		user := m.waiting(t)
		node.KillAlone()
		m.gone(t)
		m.restart(t)
		m.expectMail(t, user)
		expectProcesses(t, node, 1, 1, 5*time.Second)
	})
	t.Run("asked to end", func(t *testing.T) {
		user := m.waiting(t)
		node.Stop()
		m.gone(t)
		m.restart(t)
		m.expectMail(t, user)
	})
	t.Run("another AtRestEncryptKey", func(t *testing.T) { // R27
		user := m.waiting(t)
		node.Stop()
		node.Config.Env = map[string]string{"MM_SQLSETTINGS_ATRESTENCRYPTKEY": strings.Repeat("k", 32)}
		m.gone(t)
		m.restart(t)
		check(t, harness.Eventually(time.Minute, func() error {
			status, err := admin.Status()
			if err == nil && !strings.Contains(strings.Join(status.Warnings, " "), "AtRestEncryptKey") {
				err = fmt.Errorf("no alert: %+v", status)
			}
			return err
		}))
		// Other nodes, which may have the key, are given two minutes; not all of them pass here.
		check(t, house.postgres.Exec(name, "UPDATE postroom.mails SET key_missing_since = now() - interval '1 hour' WHERE key_missing_since IS NOT NULL"))
		m.expectMail(t, user)
	})
	t.Run("another SiteURL", func(t *testing.T) { // R28
		user := m.waiting(t)
		node.Stop()
		node.Config.Env["MM_SERVICESETTINGS_SITEURL"] = "http://staging.example.com"
		m.gone(t)
		check(t, node.Restart())
		check(t, harness.Eventually(time.Minute, func() error {
			status, err := admin.Status()
			if err == nil && status.State != "held" {
				mails, listErr := admin.Mails()
				err = fmt.Errorf("the outbox is %s, its newest mail %+v %v", status.State, mails[0], listErr)
			}
			return err
		}))
		time.Sleep(3 * time.Second)
		if mails := must(m.sink.To(user.Email))(t); len(mails) != 0 {
			t.Fatal("a copy of the database sent a mail")
		}
		if reply := must(admin.Do("POST", harness.Plugin+"/api/v1/outbox/decide", map[string]string{"decision": "maybe"}))(t); reply.Status != 400 {
			t.Errorf("an unknown decision: %s", reply)
		}
		check(t, admin.Must("POST", harness.Plugin+"/api/v1/outbox/decide", map[string]string{"decision": "go_on"}, nil))
		link, _, err := must(harness.WaitMail(m.sink, user.Email, 1, 90*time.Second))(t).Link()
		check(t, err)
		if link.Host != "staging.example.com" {
			t.Errorf("the link leads to %s", link.Host)
		}
	})
}

// R24 once more, the server being pid 1 of its own namespace, as in a container.
func TestTheServerIsPid1(t *testing.T) {
	wrap := []string{"unshare", "--pid", "--fork", "--mount-proc"}
	if os.Geteuid() != 0 {
		wrap = []string{"unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"}
	}
	node, admin := separate(t, harness.NodeConfig{Wrap: wrap})
	user := must(admin.CreateUser(unique("person"), "en"))(t)
	expectOK(t, must(node.Client.RequestReset(user.Email))(t))
	_, token, err := must(harness.WaitMail(house.sink, user.Email, 1, mailWithin))(t).Link()
	check(t, err)
	expectOK(t, redeem(t, node.Client, token, otherPassword))

	// The server itself: the only child of unshare.
	children := must(os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", node.PID, node.PID)))(t)
	var server int
	_ = must(fmt.Sscan(string(children), &server))(t)
	check(t, syscall.Kill(server, syscall.SIGKILL))
	<-node.Done()
	expectProcesses(t, node, 0, 0, 5*time.Second)
	check(t, node.Restart())
	check(t, admin.WaitReady(time.Minute))
	expectProcesses(t, node, 1, 1, 5*time.Second)
}

// R26: the service is killed under load, over and over; every request is answered, and every mail comes.
func TestTheServiceDiesUnderLoad(t *testing.T) {
	node, admin := separate(t, harness.NodeConfig{})
	var users []*harness.User
	for range 60 {
		users = append(users, must(admin.CreateUser(unique("person"), "en"))(t))
	}
	const clients = 6
	var all sync.WaitGroup
	var mu sync.Mutex
	var slowest time.Duration
	for i := range clients {
		all.Add(1)
		go func() {
			defer all.Done()
			for j := i; j < len(users); j += clients {
				reply, err := node.Client.RequestReset(users[j].Email)
				if err != nil || reply.Status != http.StatusOK {
					t.Errorf("a request while the service was dying: %v %v", reply, err)
					continue
				}
				mu.Lock()
				slowest = max(slowest, reply.Took)
				mu.Unlock()
				time.Sleep(300 * time.Millisecond)
			}
		}()
	}
	kills := 0
	for range 3 {
		time.Sleep(800 * time.Millisecond)
		for _, service := range ours(t, node, "service") {
			check(t, syscall.Kill(service.PID, syscall.SIGKILL))
			kills++
		}
	}
	all.Wait()
	for _, user := range users {
		must(harness.WaitMail(house.sink, user.Email, 1, 3*time.Minute))(t)
	}
	expectProcesses(t, node, 1, 1, 5*time.Second)
	t.Logf("%d kills, %d requests, the slowest answered after %s", kills, len(users), slowest)
	if kills < 3 {
		t.Errorf("only %d services were there to be killed", kills)
	}

	// How long nobody is there: killed with nothing else going on.
	check(t, syscall.Kill(ours(t, node, "service")[0].PID, syscall.SIGKILL))
	reply := must(node.Client.RequestReset(users[0].Email))(t)
	expectOK(t, reply)
	if reply.Took > time.Second {
		t.Errorf("taking mail again after %s; a second is the goal", reply.Took)
	}
}

// R23 for the endpoints: the shim dies, the service goes on, and the next shim adopts it.
func TestTheShimDies(t *testing.T) {
	node, admin := separate(t, harness.NodeConfig{})
	sink := must(house.stage.StartSink())(t)
	check(t, admin.UseSMTP(sink.Port))
	settleSettings()
	sink.Down()
	user := must(admin.CreateUser(unique("person"), "en"))(t)
	expectOK(t, must(node.Client.RequestReset(user.Email))(t))
	service := ours(t, node, "service")
	shim := ours(t, node, "shim")
	if len(service) != 1 || len(shim) != 1 {
		t.Fatalf("at the start: %v %v", shim, service)
	}
	check(t, syscall.Kill(shim[0].PID, syscall.SIGKILL))
	check(t, sink.Up())
	// Mattermost notices after 27 s and starts another; the mail must not wait for that.
	must(harness.WaitMail(sink, user.Email, 1, 25*time.Second))(t)
	if len(ours(t, node, "shim")) != 0 {
		t.Error("the mail left only once the shim was back")
	}
	expectProcesses(t, node, 1, 1, time.Minute)
	check(t, admin.WaitReady(time.Minute))
	if now := ours(t, node, "service"); !slices.Equal(now, service) {
		t.Errorf("the service was %v and is %v: not adopted", service, now)
	}
}

// A database role that may not create the schema: a clear error, and Mattermost goes on.
func TestRoleWithoutCreate(t *testing.T) {
	name := unique("narrow")
	_ = must(house.postgres.Database(name))(t)
	check(t, house.postgres.Exec("postgres", "ALTER DATABASE "+name+" OWNER TO postgres"))
	check(t, house.postgres.Exec("postgres", "REVOKE CREATE ON DATABASE "+name+" FROM PUBLIC, "+name))
	check(t, house.postgres.Exec(name, "GRANT ALL ON SCHEMA public TO "+name))
	node := must(house.stage.StartNode(harness.NodeConfig{DataSource: house.postgres.URL(name, name)}))(t)
	defer node.Stop()
	admin := must(node.Client.Setup())(t)
	check(t, admin.Upload(bundle()))
	_ = must(admin.Do("POST", "/api/v4/plugins/postroom/enable", nil))(t)
	check(t, harness.Eventually(mailWithin, func() error {
		reply, err := admin.Do("GET", "/api/v4/plugins/statuses", nil)
		if err != nil {
			return err
		}
		status, statusErr := admin.Status()
		for _, said := range []string{string(reply.Body), status.Problem} {
			if strings.Contains(said, "CREATE SCHEMA") || strings.Contains(said, "create the schema") || strings.Contains(said, "GRANT CREATE") {
				return nil
			}
		}
		return fmt.Errorf("the plugin's status says nothing of the schema: %s; %+v %v", reply, status, statusErr)
	}))
	if logs := must(node.Logs())(t); !strings.Contains(logs, "GRANT") {
		t.Error("the log does not name the mend")
	}
	expectOK(t, must(node.Client.Do("GET", "/api/v4/system/ping", nil))(t))
	must(node.Client.Login("admin", harness.Password))(t)
	// The mend is taken up without anybody restarting the server.
	check(t, house.postgres.Exec("postgres", "GRANT CREATE ON DATABASE "+name+" TO "+name))
	check(t, admin.Disable())
	check(t, admin.Enable())
}

// SiteURL under a subpath; and TLS on the listen address, with Mattermost's own default DataSource parameters.
func TestWhereMattermostListens(t *testing.T) {
	for name, config := range map[string]harness.NodeConfig{
		"a subpath":      {SiteURL: "https://chat.example.com/acme/chat"},
		"TLS":            {TLS: true},
		"all interfaces": {Env: map[string]string{"MM_SERVICESETTINGS_LISTENADDRESS": ":PORT"}},
	} {
		t.Run(name, func(t *testing.T) {
			dataSource := must(house.postgres.Database(unique("db")))(t)
			config.DataSource = dataSource + "&connect_timeout=10&binary_parameters=yes"
			node, admin := separate(t, config)
			user := must(admin.CreateUser(unique("person"), "en"))(t)
			expectOK(t, must(node.Client.RequestReset(user.Email))(t))
			link, token, err := must(harness.WaitMail(house.sink, user.Email, 1, mailWithin))(t).Link()
			check(t, err)
			site := config.SiteURL
			if site == "" {
				site = node.Client.Base
			}
			if !strings.HasPrefix(link.String(), site+"/plugins/postroom/reset?") {
				t.Errorf("the link is %s", link)
			}
			expectOK(t, must(node.Client.Do("GET", harness.Plugin+"/reset?"+link.RawQuery, nil))(t))
			expectOK(t, redeem(t, node.Client, token, otherPassword))
			must(node.Client.Login(user.Username, otherPassword))(t)
		})
	}
}
