package shim

import (
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin"
	"github.com/mattermost/mattermost/server/public/plugin/plugintest"

	"postroom/server/internal/link"
)

// TestTheServiceIsToldWhetherASystemAdminOpensTheConsole asks as an admin, as a user and as nobody, also with headers of
// the client's own making, and looks at what reaches the service.
func TestTheServiceIsToldWhetherASystemAdminOpensTheConsole(t *testing.T) {
	reached := make(chan *http.Request, 1)
	api := &plugintest.API{}
	api.On("HasPermissionTo", "admin", model.PermissionManageSystem).Return(true)
	api.On("HasPermissionTo", "user", model.PermissionManageSystem).Return(false)
	forward := forwarderTo(t, api, &config{}, func(_ http.ResponseWriter, r *http.Request) { reached <- r })

	for _, c := range []struct{ path, user, admin string }{
		{"/console", "admin", "1"},
		{"/console", "user", ""},
		{"/console", "", ""},
		{"/reset", "admin", ""}, // nobody's business there
	} {
		request := httptest.NewRequest(http.MethodGet, c.path, nil)
		request.Header.Set(link.HeaderAdmin, "1")
		request.Header.Set(link.HeaderUserID, "admin")
		request.Header.Set("Mattermost-User-Id", c.user)
		reply := httptest.NewRecorder()
		forward.serve(&plugin.Context{}, reply, request)
		if reply.Code != http.StatusOK {
			t.Fatalf("%+v: %d %s", c, reply.Code, reply.Body)
		}
		got := <-reached
		if got.URL.Path != link.PathOutside+c.path {
			t.Fatalf("%+v: it asks for %s", c, got.URL)
		}
		if admin, user := got.Header.Get(link.HeaderAdmin), got.Header.Get(link.HeaderUserID); admin != c.admin || user != c.user {
			t.Errorf("%+v: the service is told admin %q, user %q", c, admin, user)
		}
	}
}

// forwarderTo is one whose service is a stand-in.
func forwarderTo(t *testing.T, api plugin.API, configuration *config, service http.HandlerFunc) *forwarder {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "forward") // a socket's path may not be long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listener, err := link.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() { _ = http.Serve(listener, service) }()
	configured := &atomic.Pointer[config]{}
	configured.Store(configuration)
	return newForwarder(api, &keeper{client: link.Client(dir)}, configured)
}
