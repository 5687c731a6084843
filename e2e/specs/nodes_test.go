package specs

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// cluster is several Mattermost nodes as they are really run: one database, their configuration in it, one file store.
// Without a licence none tells another of a change: each hears of it when it is told to reload its configuration.
type cluster struct {
	*ledger
	nodes []*harness.Node
	admin []*harness.Client
	relay harness.Submission
	name  string
	model *harness.User // of whom the accounts of the ledger's mails are copies
	next  int
}

// R8: three nodes, the relay on.
func TestNodes(t *testing.T) {
	c := newCluster(t, 3)

	t.Run("the relay is on where the configuration says so", func(t *testing.T) {
		if status := switchRelay(t, c.admin[0], "enable"); !status.Enabled || len(status.Direct) != 2 || !strings.Contains(status.Problem, "still sends its mail by itself") {
			t.Errorf("on at the first alone: %+v", status)
		}
		for i, admin := range c.admin {
			if i > 0 {
				if got := c.status(t, i); got.Enabled || len(got.Nodes) != len(c.nodes) {
					t.Errorf("node %d before it has read the configuration: %+v", i+1, got)
				}
				check(t, admin.Must("POST", "/api/v4/config/reload", nil, nil))
			}
			check(t, harness.Eventually(10*time.Second, func() error {
				if got := c.status(t, i); !got.Enabled || !got.Healthy {
					return fmt.Errorf("node %d: %+v", i+1, got)
				}
				return nil
			}))
		}
		check(t, harness.Eventually(20*time.Second, func() error {
			if got := c.status(t, 0); len(got.Direct) > 0 || got.Problem != "" {
				return fmt.Errorf("%+v", got)
			}
			return nil
		}))
		c.relay = must(house.postgres.Submission(c.name))(t)
	})
	t.Run("each mail leaves once", func(t *testing.T) {
		for range 10 {
			for i := range c.nodes {
				c.reset(t, i)
			}
		}
		c.rest(t, mailWithin)
		owners := must(house.postgres.Rows(c.name, `SELECT DISTINCT attempted_by[1] FROM postroom.river_job WHERE kind = 'request'`))(t)
		t.Logf("requests were worked at by %d nodes", len(owners))
		// A link is redeemed at whichever node its owner comes to.
		expectOK(t, must(c.nodes[0].Client.RequestReset(c.model.Email))(t))
		_, token, err := must(harness.WaitMail(house.sink, c.model.Email, 1, mailWithin))(t).Link()
		check(t, err)
		expectOK(t, redeem(t, c.nodes[1].Client, token, otherPassword))
	})
	t.Run("a node that dies while it sends", func(t *testing.T) {
		owner, release := c.hold(t, 1)
		died := time.Now()
		victims := ours(t, c.nodes[1], "")
		c.nodes[1].Kill()
		for _, process := range victims {
			_ = syscall.Kill(process.PID, syscall.SIGKILL)
		}
		c.crashed("service", died, time.Now())
		release()
		c.rest(t, 2*time.Minute) // what is promised
		t.Logf("%s died; the last of its mails left %s later", owner, time.Since(died).Round(time.Second))
		check(t, harness.Eventually(time.Minute, func() error {
			if got := c.status(t, 0); len(got.Nodes) != 2 || !got.Healthy {
				return fmt.Errorf("%+v", got)
			}
			return nil
		}))
	})
	t.Run("a node that is switched off while it sends", func(t *testing.T) {
		owner, release := c.hold(t, 2)
		began := time.Now()
		check(t, c.admin[2].Disable())
		expectProcesses(t, c.nodes[2], 0, 0, 10*time.Second)
		release()
		if left := must(house.postgres.Rows(c.name, `SELECT id::text FROM postroom.mails WHERE lease_owner = $1`, owner))(t); len(left) > 0 {
			t.Errorf("%d mails are still its own", len(left))
		}
		c.rest(t, 20*time.Second) // no lease has to lapse
		t.Logf("switched off, and all sent by the other, within %s", time.Since(began).Round(100*time.Millisecond))
		// What was given back was not tried, but had two holders.
		if back := must(house.postgres.Rows(c.name, `SELECT id::text FROM postroom.mails WHERE fence > attempts`))(t); len(back) < 3 {
			t.Errorf("only %d mails were given back", len(back))
		}
	})
	if duplicates := c.close(t); duplicates > 0 {
		t.Errorf("%d mails came twice, though no conversation got to its final dot before it was broken off", duplicates)
	}
}

func newCluster(t *testing.T, count int) *cluster {
	t.Helper()
	c := &cluster{name: unique("cluster")}
	dataSource := must(house.postgres.Database(c.name))(t)
	files := must(house.stage.Folder("files"))(t)
	t.Cleanup(func() { house.sink.Behave(harness.Behaviour{}) })
	for i := range count {
		node := must(house.stage.StartNode(harness.NodeConfig{DataSource: dataSource, SiteURL: "https://chat.example.com", Env: map[string]string{
			"MM_CONFIG": dataSource, "MM_FILESETTINGS_DIRECTORY": files + string(filepath.Separator),
		}}))(t)
		t.Cleanup(func() {
			if t.Failed() {
				node.KeepLogs(t.Name())
			}
			node.Stop()
		})
		c.nodes = append(c.nodes, node)
		if i == 0 {
			c.admin = append(c.admin, must(install(node, house.sink.Port))(t))
			continue
		}
		// The plugin comes from the file store, and is enabled in the configuration.
		c.admin = append(c.admin, c.admin[0].At(node.Client.Base))
		check(t, c.admin[i].WaitReady(time.Minute))
	}
	c.ledger = newLedger(house.postgres, c.name, house.sink)
	check(t, harness.Eventually(30*time.Second, func() error {
		if got := c.status(t, 0); len(got.Nodes) != count || !got.Healthy {
			return fmt.Errorf("%+v", got)
		}
		return nil
	}))
	c.model = must(c.admin[0].CreateUser(unique("model"), "en"))(t)
	check(t, copyUser(house.postgres, c.name, c.model.ID, 100))
	return c
}

func (c *cluster) status(t *testing.T, node int) (status relayStatus) {
	t.Helper()
	check(t, c.admin[node].Must("GET", harness.Plugin+"/api/v1/relay", nil, &status))
	return status
}

// reset asks a node's own endpoint for a link, or, every other time, the plugin's.
func (c *cluster) reset(t *testing.T, node int) {
	t.Helper()
	c.next++
	id, client, via := fmt.Sprint("m", c.next), *c.nodes[node].Client, "plugin"
	if client.OwnRoutes = c.next%2 == 0; client.OwnRoutes {
		via = "native"
	}
	began := time.Now()
	expectOK(t, must(client.RequestReset(address(id)))(t))
	c.note(id, via, began, harness.Accepted, nil)
}

// hold hands mails in to a peer that lets nobody begin with the data before it is released, until a node is about to send
// three of them, and says how that node is called.
func (c *cluster) hold(t *testing.T, node int) (owner string, release func()) {
	t.Helper()
	released := make(chan struct{})
	house.sink.Behave(harness.Behaviour{Fault: func(command string) harness.Fault {
		if command == "DATA" {
			<-released
		}
		return harness.Fault{}
	}})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	service := ours(t, c.nodes[node], "service")
	if len(service) != 1 {
		t.Fatalf("%d services", len(service))
	}
	check(t, harness.Eventually(mailWithin, func() error {
		// All nodes of this machine share the relay's port: which of them takes a mail is the kernel's choice.
		c.next++
		id, began := fmt.Sprint("m", c.next), time.Now()
		how, err := c.relay.Send("noreply@example.com", address(id), notification(id))
		c.note(id, "relay", began, how, err)
		if err != nil {
			return err
		}
		owners := must(house.postgres.Rows(c.name, `SELECT lease_owner FROM postroom.mails WHERE state = 'sending' AND lease_owner LIKE '%-' || $1 || '-%'`,
			fmt.Sprint(service[0].PID)))(t)
		if len(owners) < 3 {
			return errors.New("it has not taken enough")
		}
		owner = owners[0]
		return nil
	}))
	return owner, release
}

// rest waits until every mail is sent.
func (c *cluster) rest(t *testing.T, limit time.Duration) {
	t.Helper()
	check(t, harness.Eventually(limit, func() error {
		line, open := c.balance(t)
		if open > 0 {
			return errors.New(line)
		}
		return nil
	}))
	line, _ := c.balance(t)
	if states := strings.Count(line, "+"); states > 0 || !strings.HasSuffix(line, " sent") || slices.Contains(strings.Fields(line), "0") {
		t.Error(line)
	}
}
