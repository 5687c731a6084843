package shim

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin"
	"github.com/mattermost/mattermost/server/public/plugin/plugintest"

	"postroom/server/internal/link"
)

// A test is for those who may test: Mattermost's settings for whoever may there, a connection of the plugin's own for
// system admins, and nothing while RestrictSystemAdmin is on.
func TestWhoMayTest(t *testing.T) {
	reached := make(chan *http.Request, 1)
	api := &plugintest.API{}
	for user, may := range map[string]map[*model.Permission]bool{
		"admin":   {model.PermissionManageSystem: true, model.PermissionTestEmail: true},
		"manager": {model.PermissionManageSystem: false, model.PermissionTestEmail: true},
		"user":    {model.PermissionManageSystem: false, model.PermissionTestEmail: false},
	} {
		for permission, yes := range may {
			api.On("HasPermissionTo", user, permission).Return(yes)
		}
	}
	service := func(_ http.ResponseWriter, r *http.Request) { reached <- r }
	open := forwarderTo(t, api, &config{maximumPayload: 1000}, service)
	restricted := forwarderTo(t, api, &config{maximumPayload: 1000, restrictAdmin: true}, service)
	const (
		mail       = "/api/v4/email/test"
		mattermost = "/api/v1/connections/mattermost/test"
		primary    = "/api/v1/connections/primary/test"
		cancel     = "/api/v1/tests/00000000-0000-4000-8000-000000000001/cancel"
	)
	for path, want := range map[string]map[string]int{
		mail:       {"": 401, "user": 403, "manager": 200, "admin": 200},
		mattermost: {"": 401, "user": 403, "manager": 200, "admin": 200},
		primary:    {"": 401, "user": 403, "manager": 403, "admin": 200},
		cancel:     {"": 401, "user": 403, "manager": 200, "admin": 200},
	} {
		for user, status := range want {
			for forward, status := range map[*forwarder]int{open: status, restricted: max(status, map[bool]int{true: 401, false: 403}[user == ""])} {
				request := httptest.NewRequest(http.MethodPost, path, nil)
				request.Header.Set("Mattermost-User-Id", user)
				request.Header.Set("X-Postroom-Test", "the client's id")
				request.Header.Set(link.HeaderAdmin, "1")
				reply := httptest.NewRecorder()
				forward.serve(&plugin.Context{}, reply, request)
				if reply.Code != status {
					t.Errorf("%s as %q: %d, not %d", path, user, reply.Code, status)
				}
				if reply.Code != http.StatusOK {
					continue
				}
				got := <-reached
				if got.Header.Get("X-Postroom-Test") != "the client's id" {
					t.Errorf("%s: the test's id is not passed on", path)
				}
				if admin := got.Header.Get(link.HeaderAdmin) == "1"; admin != (path == cancel && user == "admin") {
					t.Errorf("%s as %q: the service is told admin %v", path, user, admin)
				}
			}
		}
	}
}

// leaving is a client's end of a reply: it passes each write on, and fails once it has left.
type leaving struct {
	http.ResponseWriter
	came chan string
	left chan struct{}
}

func (l *leaving) Flush() {}

func (l *leaving) Write(raw []byte) (int, error) {
	select {
	case <-l.left:
		return 0, errors.New("nobody reads")
	case l.came <- string(raw):
		return len(raw), nil
	}
}

// Each event is passed on before the next is written, and a client that has left ends the service's work.
func TestEventsPassAsTheyHappen(t *testing.T) {
	api := &plugintest.API{}
	api.On("HasPermissionTo", "admin", model.PermissionManageSystem).Return(true)
	next, ended := make(chan struct{}), make(chan struct{})
	forward := forwarderTo(t, api, &config{}, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		w.Header().Set("Content-Type", "text/event-stream")
		for number := 1; ; number++ {
			_, _ = io.WriteString(w, fmt.Sprintf("event: %d\n\n", number))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-next:
			}
		}
	})
	client := &leaving{ResponseWriter: httptest.NewRecorder(), came: make(chan string), left: make(chan struct{})}
	request := httptest.NewRequest(http.MethodPost, "/api/v1/connections/primary/test", nil)
	request.Header.Set("Mattermost-User-Id", "admin")
	over := make(chan struct{})
	go func() { defer close(over); forward.serve(&plugin.Context{}, client, request) }()
	patience := time.After(30 * time.Second)
	for number := 1; number <= 3; number++ {
		select {
		case got := <-client.came:
			if got != fmt.Sprintf("event: %d\n\n", number) {
				t.Fatalf("%q", got)
			}
		case <-patience:
			t.Fatal("an event does not come before the next is written")
		}
		next <- struct{}{}
	}
	close(client.left)
	for name, waited := range map[string]chan struct{}{"the shim": over, "the service": ended} {
		select {
		case <-waited:
		case <-patience:
			t.Fatal(name, "goes on without a client")
		}
	}
}
