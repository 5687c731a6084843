package shim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin"

	"postroom/server/internal/link"
)

const (
	// publicLimit is the largest body that anyone may send.
	publicLimit = 64 << 10
	// waitForService is how long a request waits for a service that is being started again (R26).
	waitForService = 5 * time.Second
	// answerWithin bounds the whole exchange; the longest is a connection's test.
	answerWithin = 90 * time.Second
)

// route is what the shim must know of a path: who may ask, how much, and whether asking twice is asking once.
type route struct {
	permission *model.Permission
	// notRestricted: refused while RestrictSystemAdmin is on, as Mattermost does.
	notRestricted bool
	limit         int64
	repeatable    bool
	// saysAdmin: the service is told whether the user is a system admin.
	saysAdmin bool
}

func (f *forwarder) routeOf(r *http.Request) route {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch path := r.URL.Path; {
	case path == "/api/v4/email/test":
		return route{permission: model.PermissionTestEmail, notRestricted: true, limit: f.config.Load().maximumPayload}
	case strings.HasPrefix(path, "/api/v1/connections/") && strings.HasSuffix(path, "/test"):
		// Mattermost's own settings are tested by whoever may test them there. A setting of the plugin's may name a file
		// or a variable as its secret: that is for those who could save it.
		permission := model.PermissionManageSystem
		if path == "/api/v1/connections/mattermost/test" {
			permission = model.PermissionTestEmail
		}
		return route{permission: permission, notRestricted: true, limit: f.config.Load().maximumPayload}
	case strings.HasPrefix(path, "/api/v1/tests/"):
		return route{permission: model.PermissionTestEmail, notRestricted: true, limit: publicLimit, saysAdmin: true}
	case strings.HasPrefix(path, "/api/v4/users/"):
		return route{limit: publicLimit, repeatable: true}
	case strings.HasPrefix(path, "/api/"):
		return route{permission: model.PermissionManageSystem, limit: publicLimit, repeatable: reads}
	case path == "/console":
		return route{limit: publicLimit, repeatable: reads, saysAdmin: true}
	default:
		return route{limit: publicLimit, repeatable: reads}
	}
}

// forwarder carries requests to the service and its answers back.
type forwarder struct {
	api    plugin.API
	keeper *keeper
	config *atomic.Pointer[config]
}

func newForwarder(api plugin.API, keeper *keeper, config *atomic.Pointer[config]) *forwarder {
	return &forwarder{api: api, keeper: keeper, config: config}
}

func (f *forwarder) serve(ctx *plugin.Context, w http.ResponseWriter, r *http.Request) {
	route := f.routeOf(r)
	user := r.Header.Get("Mattermost-User-Id")
	if route.permission != nil {
		if user == "" {
			refuse(w, ctx, http.StatusUnauthorized, "api.context.session_expired.app_error", "Invalid or expired session, please login again.")
			return
		}
		if route.notRestricted && f.config.Load().restrictAdmin || !f.api.HasPermissionTo(user, route.permission) {
			refuse(w, ctx, http.StatusForbidden, "api.context.permissions.app_error", "You do not have the appropriate permissions.")
			return
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, route.limit+1))
	if err != nil {
		refuse(w, ctx, http.StatusBadRequest, "plugin.postroom.body.app_error", "The request's body could not be read. Send it again.")
		return
	}
	header := http.Header{}
	for _, name := range []string{"Accept-Language", "Content-Type", "User-Agent", "X-Postroom-Test"} {
		if value := r.Header.Get(name); value != "" {
			header.Set(name, value)
		}
	}
	header.Set(link.HeaderUserID, user)
	header.Set(link.HeaderClientAddress, ctx.IPAddress)
	header.Set(link.HeaderRequestID, ctx.RequestId)
	if route.saysAdmin && user != "" && f.api.HasPermissionTo(user, model.PermissionManageSystem) {
		header.Set(link.HeaderAdmin, "1")
	}
	if int64(len(body)) > route.limit {
		body = nil
		header.Set(link.HeaderTooLarge, "1")
	}
	within, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	reply, err := f.ask(within, r, header, body, route.repeatable)
	if err != nil {
		f.api.LogWarn("the service did not answer a request", "path", r.URL.Path, "error", err.Error())
		refuse(w, ctx, http.StatusServiceUnavailable, "plugin.postroom.unavailable.app_error", "Postroom is starting again. Try again in a moment.")
		return
	}
	defer func() { _ = reply.Body.Close() }()
	if order := reply.Header.Get(link.HeaderSwitch); order != "" {
		carried, err := f.carryOut(within, order, user)
		if err != nil {
			refuse(w, ctx, http.StatusServiceUnavailable, "plugin.postroom.unavailable.app_error", "Postroom is starting again. Try again in a moment.")
			return
		}
		defer func() { _ = carried.Body.Close() }()
		reply = carried
	}
	f.pass(ctx, w, r, user, reply)
}

// carryOut does a switch that the service asked for, and gives back what the service answers to its outcome.
func (f *forwarder) carryOut(ctx context.Context, order, user string) (*http.Response, error) {
	var to link.Switch
	if err := json.Unmarshal([]byte(order), &to); err != nil {
		return nil, err
	}
	outcome := link.Switched{On: to.On, UserID: user}
	if err := switchMail(f.api, to); err != nil {
		outcome.Error = err.Error()
	}
	body, err := json.Marshal(outcome)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, link.URL(link.PathSwitched), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return f.keeper.client.Do(request)
}

// ask sends the request until a service has answered it. A request that never reached one is sent again as it
// stands; one that broke midway only if it is repeatable.
func (f *forwarder) ask(ctx context.Context, r *http.Request, header http.Header, body []byte, repeatable bool) (*http.Response, error) {
	deadline := time.Now().Add(waitForService)
	for {
		request, err := http.NewRequestWithContext(ctx, r.Method, link.URL(link.PathOutside+r.URL.EscapedPath()), bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		request.URL.RawQuery = r.URL.RawQuery
		request.Header = header
		reply, err := f.keeper.client.Do(request)
		if err == nil || ctx.Err() != nil {
			return reply, err
		}
		var dial *net.OpError
		unsent := errors.As(err, &dial) && dial.Op == "dial"
		if !unsent && !repeatable || time.Now().After(deadline) {
			return nil, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// pass hands the answer on, and writes the audit record that came with it.
func (f *forwarder) pass(ctx *plugin.Context, w http.ResponseWriter, r *http.Request, user string, reply *http.Response) {
	if record := reply.Header.Get(link.HeaderAudit); record != "" {
		var audit link.Audit
		if err := json.Unmarshal([]byte(record), &audit); err == nil {
			audit.UserID, audit.Address, audit.Path = user, ctx.IPAddress, r.URL.Path
			writeAudit(f.api, audit, ctx)
		}
		reply.Header.Del(link.HeaderAudit)
	}
	reply.Header.Del("Date") // Mattermost's own is added
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	w.Header().Set("X-Request-Id", ctx.RequestId)
	w.WriteHeader(reply.StatusCode)
	if strings.HasPrefix(reply.Header.Get("Content-Type"), "text/event-stream") {
		passEvents(w, reply.Body)
		return
	}
	_, _ = io.Copy(w, reply.Body)
}

// passEvents passes each write on as it comes. A client that has left is noticed by a write that fails; then the body
// is closed, by which the service notices too.
func passEvents(w http.ResponseWriter, events io.Reader) {
	passed := make([]byte, 8<<10)
	for {
		n, err := events.Read(passed)
		if n > 0 {
			if _, failed := w.Write(passed[:n]); failed != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// refuse answers in Mattermost's own shape of an error.
func refuse(w http.ResponseWriter, ctx *plugin.Context, status int, id, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", ctx.RequestId)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(model.AppError{Id: id, Message: message, RequestId: ctx.RequestId, StatusCode: status})
}
