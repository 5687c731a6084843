package specs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postroom/e2e/harness"
)

const connectionTest = harness.Plugin + "/api/v1/connections/mattermost/test"

// diagnosis is what a test found (docs/test-connection.md).
type diagnosis struct {
	Steps   []found `json:"steps"`
	SentTo  string  `json:"sent_to"`
	QueueID *string `json:"queue_id"`
}

type found struct {
	Step   string  `json:"step"`
	State  string  `json:"state"`
	MS     *int64  `json:"ms"`
	Said   string  `json:"said"`
	Advice string  `json:"advice"`
	Cause  *string `json:"cause"`
}

func (d diagnosis) at(name string) found {
	for _, step := range d.Steps {
		if step.Step == name {
			return step
		}
	}
	return found{}
}

// tested is the last event.
type tested struct {
	Diagnosis diagnosis `json:"diagnosis"`
	Error     *struct {
		ID      string `json:"id"`
		Message string `json:"message"`
		Status  int    `json:"status_code"`
	} `json:"error"`
	Cancelled bool `json:"cancelled"`
}

// testStream is a test that runs.
type testStream struct {
	*harness.Events
	id string
}

func beginTest(t *testing.T, client *harness.Client, body []byte) *testStream {
	t.Helper()
	events := must(client.Events(connectionTest, body))(t)
	t.Cleanup(events.Leave)
	var begun struct{ Test string }
	if there, err := events.Next("begun", mailWithin, &begun); !there || err != nil {
		t.Fatal("the test does not begin:", err)
	}
	return &testStream{events, begun.Test}
}

// until reads on to the step.
func (s *testStream) until(t *testing.T, name string) found {
	t.Helper()
	for {
		var last found
		if there, err := s.Next("step", mailWithin, &last); !there || err != nil {
			t.Fatalf("no step %s: %v", name, err)
		}
		if last.Step == name {
			return last
		}
	}
}

func (s *testStream) end(t *testing.T) (last tested) {
	t.Helper()
	if there, err := s.Next("done", 70*time.Second, &last); !there || err != nil {
		t.Fatal("no end:", err)
	}
	return last
}

// posted is the configuration with a sink's port, not saved.
func posted(t *testing.T, port int) []byte {
	t.Helper()
	return configuration(t, map[string]any{"SMTPServer": "127.0.0.1", "SMTPPort": fmt.Sprint(port), "SMTPPassword": ""})
}

// A test of a connection on a real Mattermost: directly, and through the documented nginx.
func TestConnectionTest(t *testing.T) {
	proxy, err := house.stage.StartNginx(house.node.Port)
	if err != nil {
		t.Fatal("NOT RUN: ", err, "; Debian: nginx-light")
	}
	defer proxy.Stop()
	clients := map[string]*harness.Client{"directly": house.admin, "nginx": proxy.Client.As(house.admin.Token)}
	sink := must(house.stage.StartSink())(t)
	dead := must(harness.FreePort())(t)

	for name, client := range clients {
		t.Run("each step is told when it ends: "+name, func(t *testing.T) {
			release := make(chan struct{})
			sink.Behave(harness.Behaviour{Replies: map[string]string{".": "250 2.0.0 Ok: queued as 4Zq7E2E"}, Fault: func(command string) (fault harness.Fault) {
				if command == "RCPT" {
					fault.Until = release
				}
				return fault
			}})
			test := beginTest(t, client, posted(t, sink.Port))
			if found := test.until(t, "mail_from"); found.State != "ok" || found.MS == nil {
				t.Errorf("%+v", found)
			}
			close(release) // what follows had not happened when that came
			if found := test.until(t, "queued"); found.State != "ok" || !strings.Contains(found.Said, "4Zq7E2E") {
				t.Errorf("%+v", found)
			}
			last := test.end(t)
			if last.Error != nil || last.Cancelled || last.Diagnosis.SentTo != "admin@example.com" ||
				last.Diagnosis.QueueID == nil || *last.Diagnosis.QueueID != "4Zq7E2E" {
				t.Errorf("%+v", last)
			}
		})
		sink.Behave(harness.Behaviour{})
		t.Run("Mattermost's button: "+name, func(t *testing.T) {
			own := *client
			path := harness.Plugin + emailTest
			if name == "nginx" {
				own.OwnRoutes, path = true, emailTest
			}
			var success struct {
				Status    string
				Diagnosis diagnosis
			}
			check(t, own.Must("POST", path, nil, &success))
			if success.Status != "OK" || success.Diagnosis.at("queued").State != "ok" || success.Diagnosis.SentTo != "admin@example.com" {
				t.Errorf("%+v", success)
			}
			reply := must(own.Do("POST", path, posted(t, dead)))(t)
			var failure struct {
				Message   string
				Diagnosis diagnosis
			}
			check(t, reply.JSON(&failure))
			found := failure.Diagnosis.at("tcp")
			if reply.Status != 500 || reply.ErrorID() != "app.admin.test_email.failure" || found.State != "failed" || found.Advice == "" ||
				!strings.Contains(failure.Message, found.Advice) || failure.Diagnosis.at("greeting").State != "skipped" {
				t.Errorf("%s", reply)
			}
		})
	}
	t.Run("the audit log has it", func(t *testing.T) {
		auditRecord(t, "postroomTestConnection", fmt.Sprintf("127.0.0.1:%d", dead), "failed", "127.0.0.1")
		auditRecord(t, "postroomTestConnection", fmt.Sprintf("127.0.0.1:%d", sink.Port), "accepted")
	})
	t.Run("three at once, each cancelled in the middle of a stall", func(t *testing.T) { threeAtOnce(t, sink) })
	t.Run("a name that is none", func(t *testing.T) {
		_, err := house.admin.Events(harness.Plugin+"/api/v1/connections/other/test", nil)
		var refused *harness.RefusedError
		if !errors.As(err, &refused) || refused.Reply.Status != 404 {
			t.Error(err)
		}
	})
}

func threeAtOnce(t *testing.T, sink *harness.Sink) {
	sink.Behave(harness.Behaviour{Stall: map[string]bool{"MAIL": true}})
	defer sink.Behave(harness.Behaviour{})
	before := len(sink.Conversation())
	body := posted(t, sink.Port)
	var running []*testStream
	for range 2 {
		test := beginTest(t, house.admin, body)
		test.until(t, "ehlo")
		running = append(running, test)
	}
	const own = "6c6b8e0a-5f0e-4a0e-9d7b-1f2a3b4c5d6e"
	answered := make(chan *harness.Reply, 1)
	go func() {
		reply, err := house.admin.With("X-Postroom-Test", own).Do("POST", harness.Plugin+emailTest, body)
		if err != nil {
			reply = &harness.Reply{Body: []byte(err.Error())}
		}
		answered <- reply
	}()
	cancel := func(client *harness.Client, id string) *harness.Reply {
		t.Helper()
		return must(client.Do("POST", harness.Plugin+"/api/v1/tests/"+id+"/cancel", nil))(t)
	}
	check(t, harness.Eventually(mailWithin, func() error {
		stalled := 0
		for _, line := range sink.Conversation()[before:] {
			if strings.HasPrefix(line, "C: MAIL") {
				stalled++
			}
		}
		if stalled < 3 {
			return fmt.Errorf("%d tests are at MAIL", stalled)
		}
		return nil
	}))
	fourth := must(house.admin.Do("POST", harness.Plugin+emailTest, nil))(t)
	if fourth.Status != 429 || fourth.Header.Get("Retry-After") == "" || fourth.ErrorID() != "plugin.postroom.tests_busy.app_error" {
		t.Errorf("a fourth: %s %v", fourth, fourth.Header)
	}
	user := must(house.node.Client.Login(person(t).Username, harness.Password))(t)
	if reply := cancel(user, own); reply.Status != 403 {
		t.Errorf("a user cancels: %s", reply)
	}
	if reply := cancel(house.admin, "6c6b8e0a-5f0e-4a0e-9d7b-000000000000"); reply.Status != 404 {
		t.Errorf("a test that is none: %s", reply)
	}
	// One is cancelled by its id, one by the client's own, one by leaving.
	started := time.Now()
	expectOK(t, cancel(house.admin, running[0].id))
	last := running[0].end(t)
	if last.Error == nil || last.Error.ID != "plugin.postroom.test_cancelled.app_error" || !last.Cancelled {
		t.Errorf("%+v", last)
	}
	if took := time.Since(started); took > 10*time.Second { // 2 s are promised, of a 30 s stall
		t.Errorf("it ends after %s", took)
	}
	expectOK(t, cancel(house.admin, own))
	select {
	case reply := <-answered:
		if reply.Status != 409 || reply.ErrorID() != "plugin.postroom.test_cancelled.app_error" {
			t.Errorf("%s", reply)
		}
	case <-time.After(10 * time.Second):
		t.Error("the client's own id cancels nothing")
	}
	running[1].Leave()
	check(t, harness.Eventually(mailWithin, func() error {
		records, err := auditRecords("postroomTestConnection", fmt.Sprintf("127.0.0.1:%d", sink.Port), `"cancelled"`)
		if err == nil && len(records) < 3 {
			err = fmt.Errorf("a client that leaves cancels nothing: %v", records)
		}
		return err
	}))
}

// testsTheUpstream: with the relay on, where its mail goes on to is tested, and not the relay, which speaks TLS.
func testsTheUpstream(t *testing.T, admin *harness.Client) {
	t.Helper()
	events := must(admin.Events(connectionTest, nil))(t)
	defer events.Leave()
	var last tested
	if there, err := events.Next("done", 70*time.Second, &last); !there || err != nil {
		t.Fatal(err)
	}
	raw := must(json.Marshal(last))(t)
	if last.Error != nil || last.Diagnosis.at("queued").State != "ok" || last.Diagnosis.at("tls") != (found{}) {
		t.Errorf("with the relay on: %s", raw)
	}
}
