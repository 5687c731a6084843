// Package specs holds the end-to-end tests: one story each, on a real Mattermost with the real bundle. Most
// share one server; those that break one have their own.
package specs

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// house is what the specs share.
var house struct {
	stage    *harness.Stage
	postgres *harness.Postgres
	node     *harness.Node
	admin    *harness.Client
	sink     *harness.Sink
}

// database is the shared server's.
const database = "mattermost"

// noLimits keeps the specs, which all come from one address, out of each other's way.
var noLimits = map[string]any{"LimitAccountPerHour": 0, "LimitClientPerMinute": 0, "LimitTotalPerMinute": 0}

func TestMain(m *testing.M) {
	harness.Main()
	stage, err := harness.NewStage(os.Stdout)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	stage.CloseOnSignal()
	code := 1
	if err := open(stage); err != nil {
		fmt.Println("the shared server can't be set up:", err)
		if house.node != nil {
			house.node.KeepLogs("setup")
		}
	} else if code = m.Run(); code != 0 {
		house.node.KeepLogs("shared")
	}
	stage.Close()
	os.Exit(code)
}

func open(stage *harness.Stage) (err error) {
	house.stage = stage
	if house.postgres, err = stage.StartPostgres(); err != nil {
		return err
	}
	dataSource, err := house.postgres.Database(database)
	if err != nil {
		return err
	}
	if house.sink, err = stage.StartSink(); err != nil {
		return err
	}
	house.node, err = stage.StartNode(harness.NodeConfig{DataSource: dataSource, Env: map[string]string{
		"MM_EXPERIMENTALAUDITSETTINGS_FILEENABLED": "true",
		"MM_EXPERIMENTALAUDITSETTINGS_FILENAME":    filepath.Join(stage.Scratch, "audit.log"),
		// What docs/proxy tells an administrator to set.
		"MM_SERVICESETTINGS_TRUSTEDPROXYIPHEADER": "X-Real-IP",
	}})
	if err != nil {
		return err
	}
	if house.admin, err = install(house.node, house.sink.Port); err != nil {
		return err
	}
	stage.Say("the shared server is set up")
	return nil
}

func bundle() string { return filepath.Join(house.stage.Root, ".build", "bundle", "postroom.tar.gz") }

// install makes the admin, points Mattermost's mail at the port, and puts the plugin in, ready to use.
func install(node *harness.Node, smtpPort int) (*harness.Client, error) {
	admin, err := node.Client.Setup()
	if err != nil {
		return nil, err
	}
	if err := admin.UseSMTP(smtpPort); err != nil {
		return nil, err
	}
	if err := admin.Settings(noLimits); err != nil {
		return nil, err
	}
	if err := admin.Upload(bundle()); err != nil {
		return nil, err
	}
	return admin, admin.Enable()
}

// separate starts a server of a spec's own on its own database, with the plugin in it.
func separate(t *testing.T, config harness.NodeConfig) (*harness.Node, *harness.Client) {
	t.Helper()
	node, admin, _ := separateNamed(t, config)
	return node, admin
}

// separateNamed gives the database's name too, where it is not the caller's.
func separateNamed(t *testing.T, config harness.NodeConfig) (*harness.Node, *harness.Client, string) {
	t.Helper()
	name := unique("db")
	if config.DataSource == "" {
		config.DataSource = must(house.postgres.Database(name))(t)
	}
	node := must(house.stage.StartNode(config))(t)
	t.Cleanup(func() {
		if t.Failed() {
			node.KeepLogs(t.Name())
		}
		node.Stop()
	})
	admin, err := install(node, house.sink.Port)
	check(t, err)
	return node, admin, name
}

// must turns a step that can fail into one that ends the test: must(f())(t).
func must[T any](value T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return value
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var counter atomic.Int64

// unique is a name nobody has yet.
func unique(what string) string { return fmt.Sprintf("%s%d", what, counter.Add(1)) }

// person makes an account on the shared server.
func person(t *testing.T) *harness.User {
	t.Helper()
	return must(house.admin.CreateUser(unique("person"), "en"))(t)
}

// mailWithin is how long a mail may take in a test that is not about time.
const mailWithin = 30 * time.Second

// ask requests a reset on the shared server and waits for the mail: the number-th for that address.
func ask(t *testing.T, user *harness.User, number int) (link *url.URL, token string) {
	t.Helper()
	expectOK(t, must(house.node.Client.RequestReset(user.Email))(t))
	mail := must(harness.WaitMail(house.sink, user.Email, number, mailWithin))(t)
	link, token, err := mail.Link()
	check(t, err)
	return link, token
}

// later makes the account's last request look older, so that another is no repeat (S10).
func later(t *testing.T, user *harness.User) {
	t.Helper()
	check(t, house.postgres.Exec(database, `UPDATE postroom.tokens SET requested_at = requested_at - interval '1 minute' WHERE account_id = $1`, user.ID))
}

func expectOK(t *testing.T, reply *harness.Reply) {
	t.Helper()
	if reply.Status != 200 {
		t.Fatalf("expected success, got %s", reply)
	}
}

// redeem posts the landing page's form.
func redeem(t *testing.T, client *harness.Client, token, password string) *harness.Reply {
	t.Helper()
	return must(client.Do("POST", harness.Plugin+"/reset", url.Values{
		"token": {token}, "new_password": {password}, "confirm_password": {password},
	}))(t)
}

// canLogIn tells whether the password is the account's.
func canLogIn(t *testing.T, user *harness.User, password string) bool {
	t.Helper()
	_, err := house.node.Client.Login(user.Username, password)
	return err == nil
}

// expectPassword checks which of two passwords the account has.
func expectPassword(t *testing.T, user *harness.User, works, refused string) {
	t.Helper()
	if !canLogIn(t, user, works) {
		t.Fatalf("%s can't log in with the password %q", user.Username, works)
	}
	if canLogIn(t, user, refused) {
		t.Fatalf("%s can still log in with the password %q", user.Username, refused)
	}
}

// settle waits until the queue has nothing to do, so that "no mail came" means something.
func settle(t *testing.T) {
	t.Helper()
	check(t, harness.Eventually(mailWithin, func() error {
		left, err := house.postgres.Rows(database, `SELECT kind, state::text FROM postroom.river_job WHERE state IN ('available', 'running', 'pending')
			AND kind NOT IN ('sweep') UNION ALL SELECT kind, state FROM postroom.mails WHERE state IN ('queued', 'sending')`)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("still at work: %v", left)
		}
		return err
	}))
}

// mailsFor is how many mails the address has been sent.
func mailsFor(t *testing.T, address string) int {
	t.Helper()
	return len(must(house.sink.To(address))(t))
}

const otherPassword = "Another-horse-2"
