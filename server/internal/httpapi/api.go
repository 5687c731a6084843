// Package httpapi is the service's HTTP: which path is which flow, and how an answer is written. Who asks was
// established by the shim.
package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/flow"
	"postroom/server/internal/link"
)

type handler struct {
	flows *flow.Flows
	log   *slog.Logger
}

// New serves what comes from outside, with link.PathOutside taken off.
func New(flows *flow.Flows, log *slog.Logger) http.Handler {
	h := &handler{flows: flows, log: log}
	mux := http.NewServeMux()
	for pattern, kind := range map[string]string{
		"POST /api/v4/users/password/reset/send": "reset",
		"POST /api/v4/users/email/verify/send":   "verify",
	} {
		mux.HandleFunc(pattern, h.route(func(ctx context.Context, r *http.Request, input flow.Input, asker flow.Asker) (flow.Answer, error) {
			var redirect *string
			if values, there := r.URL.Query()["r"]; there && kind == "verify" {
				redirect = &values[0]
			}
			return flows.Request(ctx, kind, input, redirect, asker)
		}))
	}
	mux.HandleFunc("POST /api/v4/email/test", h.route(func(ctx context.Context, r *http.Request, input flow.Input, asker flow.Asker) (flow.Answer, error) {
		return flows.TestMail(ctx, input, asker, r.Header.Get(headerTest))
	}))
	mux.HandleFunc("POST /api/v1/connections/{name}/test", h.testConnection)
	mux.HandleFunc("POST /api/v1/tests/{id}/cancel", h.route(func(ctx context.Context, r *http.Request, _ flow.Input, asker flow.Asker) (flow.Answer, error) {
		return flows.CancelTest(ctx, r.PathValue("id"), asker)
	}))
	for pattern, purpose := range map[string]string{"/reset": "reset", "/verify": "verify"} {
		mux.HandleFunc("GET "+pattern, h.route(func(ctx context.Context, r *http.Request, _ flow.Input, asker flow.Asker) (flow.Answer, error) {
			return flows.ShowLanding(ctx, purpose, r.URL.Query().Get("token"), asker)
		}))
		mux.HandleFunc("POST "+pattern, h.route(func(ctx context.Context, _ *http.Request, input flow.Input, asker flow.Asker) (flow.Answer, error) {
			return flows.Redeem(ctx, purpose, input, asker)
		}))
	}
	mux.HandleFunc("GET /console", h.route(func(ctx context.Context, r *http.Request, _ flow.Input, asker flow.Asker) (flow.Answer, error) {
		return flows.Console(ctx, r.Header.Get(link.HeaderAdmin) == "1", asker)
	}))
	mux.HandleFunc("GET /api/v1/status", h.route(func(ctx context.Context, _ *http.Request, _ flow.Input, _ flow.Asker) (flow.Answer, error) {
		return flows.Status(ctx)
	}))
	mux.HandleFunc("GET /api/v1/mails", h.route(func(ctx context.Context, r *http.Request, _ flow.Input, _ flow.Asker) (flow.Answer, error) {
		return flows.Mails(ctx, r.URL.Query())
	}))
	mux.HandleFunc("GET /api/v1/mails/{id}", h.route(func(ctx context.Context, r *http.Request, _ flow.Input, _ flow.Asker) (flow.Answer, error) {
		return flows.Mail(ctx, r.PathValue("id"))
	}))
	mux.HandleFunc("POST /api/v1/mails/{id}/cancel", h.route(func(ctx context.Context, r *http.Request, _ flow.Input, _ flow.Asker) (flow.Answer, error) {
		return flows.CancelMail(ctx, r.PathValue("id"))
	}))
	mux.HandleFunc("POST /api/v1/mails/{id}/resend", h.route(func(ctx context.Context, r *http.Request, _ flow.Input, _ flow.Asker) (flow.Answer, error) {
		return flows.ResendMail(ctx, r.PathValue("id"))
	}))
	mux.HandleFunc("DELETE /api/v1/accounts/{id}/mails", h.route(func(ctx context.Context, r *http.Request, _ flow.Input, _ flow.Asker) (flow.Answer, error) {
		return flows.EraseAccount(ctx, r.PathValue("id"))
	}))
	mux.HandleFunc("POST /api/v1/outbox/decide", h.route(func(ctx context.Context, _ *http.Request, input flow.Input, _ flow.Asker) (flow.Answer, error) {
		return flows.Decide(ctx, input)
	}))
	mux.HandleFunc("GET /api/v1/connections", h.route(func(ctx context.Context, _ *http.Request, _ flow.Input, _ flow.Asker) (flow.Answer, error) {
		return flows.Connections(ctx)
	}))
	mux.HandleFunc("GET /api/v1/support", h.route(func(ctx context.Context, _ *http.Request, _ flow.Input, _ flow.Asker) (flow.Answer, error) {
		return flows.SupportAnswer(ctx)
	}))
	mux.HandleFunc("GET /api/v1/relay", h.route(func(ctx context.Context, _ *http.Request, _ flow.Input, _ flow.Asker) (flow.Answer, error) {
		return flows.RelayStatus(ctx)
	}))
	for pattern, on := range map[string]bool{"POST /api/v1/relay/enable": true, "POST /api/v1/relay/disable": false} {
		mux.HandleFunc(pattern, h.route(func(ctx context.Context, _ *http.Request, _ flow.Input, _ flow.Asker) (flow.Answer, error) {
			return flows.SwitchRelay(ctx, on)
		}))
	}
	mux.HandleFunc("/", h.route(func(ctx context.Context, r *http.Request, _ flow.Input, asker flow.Asker) (flow.Answer, error) {
		return flows.NoSuchRoute(ctx, !strings.HasPrefix(r.URL.Path, "/api/"), asker)
	}))
	return mux
}

// Switched is where the shim tells what became of a switch; the answer is for whoever asked for it.
func Switched(flows *flow.Flows, log *slog.Logger) http.Handler {
	h := &handler{flows: flows, log: log}
	return h.route(func(ctx context.Context, _ *http.Request, input flow.Input, _ flow.Asker) (flow.Answer, error) {
		var outcome link.Switched
		if err := json.Unmarshal(input.Body, &outcome); err != nil {
			return flow.Answer{}, err
		}
		return flows.Switched(ctx, outcome)
	})
}

type step func(ctx context.Context, r *http.Request, input flow.Input, asker flow.Asker) (flow.Answer, error)

// route runs a flow and writes its answer. The shim has bounded the body.
func (h *handler) route(run step) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		requestID := r.Header.Get(link.HeaderRequestID)
		defer func() {
			if what := recover(); what != nil {
				h.log.Error("a request failed in our own code", "path", r.URL.Path, "request_id", requestID, "stack", string(debug.Stack()))
				internalError(w, requestID)
			}
		}()
		input, asker, err := read(r)
		if err != nil {
			return // the shim has gone away
		}
		answer, err := run(r.Context(), r, input, asker)
		if err != nil {
			h.log.Error("a request could not be answered", "path", r.URL.Path, "request_id", requestID, "error", err)
			internalError(w, requestID)
			return
		}
		h.write(w, answer, requestID)
	}
}

// read is what was asked, and by whom.
func read(r *http.Request) (flow.Input, flow.Asker, error) {
	body, err := io.ReadAll(r.Body)
	return flow.Input{Body: body, TooLarge: r.Header.Get(link.HeaderTooLarge) == "1"}, flow.Asker{
		UserID:         r.Header.Get(link.HeaderUserID),
		Address:        r.Header.Get(link.HeaderClientAddress),
		RequestID:      r.Header.Get(link.HeaderRequestID),
		UserAgent:      r.UserAgent(),
		AcceptLanguage: r.Header.Get("Accept-Language"),
		Admin:          r.Header.Get(link.HeaderAdmin) == "1",
	}, err
}

func (h *handler) write(w http.ResponseWriter, answer flow.Answer, requestID string) {
	if answer.Switch != nil {
		if order, err := json.Marshal(answer.Switch); err == nil {
			w.Header().Set(link.HeaderSwitch, string(order))
		}
	}
	if answer.Audit != nil {
		if record, err := json.Marshal(answer.Audit); err == nil {
			w.Header().Set(link.HeaderAudit, string(record))
		}
	}
	switch {
	case answer.Page != nil:
		for name, value := range answer.Page.Headers {
			w.Header().Set(name, value)
		}
		w.WriteHeader(answer.Page.Status)
		_, _ = io.WriteString(w, answer.Page.HTML)
	case answer.AppError != nil:
		if !answer.RetryAt.IsZero() {
			w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(time.Until(answer.RetryAt).Seconds())))))
		}
		writeJSON(w, answer.AppError.Status, asBody(answer.AppError, requestID, answer.Diagnosis))
	default:
		writeJSON(w, http.StatusOK, answer.JSON)
	}
}

// asBody is the error as it is sent.
func asBody(e *core.AppError, requestID string, diagnosis *core.Diagnosis) *appError {
	return &appError{
		ID: e.ID, Message: e.Message, DetailedError: e.DetailedError, RequestID: requestID, Status: e.Status, Diagnosis: diagnosis,
	}
}

// appError is Mattermost's error body, its members in Mattermost's order; Diagnosis is ours, of a test.
type appError struct {
	ID            string `json:"id"`
	Message       string `json:"message"`
	DetailedError string `json:"detailed_error"`
	RequestID     string `json:"request_id,omitempty"`
	Status        int    `json:"status_code,omitempty"`

	Diagnosis *core.Diagnosis `json:"diagnosis,omitempty"`
}

// internalError is for a core that can't be asked for words.
func internalError(w http.ResponseWriter, requestID string) {
	writeJSON(w, http.StatusInternalServerError, ownError(requestID))
}

func ownError(requestID string) *appError {
	return &appError{
		ID: "plugin.postroom.internal.app_error", Message: "Postroom met an error of its own; the log tells more.",
		RequestID: requestID, Status: http.StatusInternalServerError,
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	raw, err := json.Marshal(body)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}
