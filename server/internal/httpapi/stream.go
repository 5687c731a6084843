package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"

	"postroom/server/internal/core"
	"postroom/server/internal/flow"
	"postroom/server/internal/link"
)

// headerTest is a client's own UUID for a test, by which it can be cancelled.
const headerTest = "X-Postroom-Test"

// testConnection streams a test as server-sent events (HTML Living Standard, 9.2). What is wrong before it begins is
// answered as JSON.
func (h *handler) testConnection(w http.ResponseWriter, r *http.Request) {
	events := &events{w: w, requestID: r.Header.Get(link.HeaderRequestID)}
	defer func() {
		if what := recover(); what != nil {
			h.log.Error("a request failed in our own code", "path", r.URL.Path, "request_id", events.requestID, "stack", string(debug.Stack()))
			events.fail()
		}
	}()
	input, asker, err := read(r)
	if err != nil {
		return // the shim has gone away
	}
	answer, err := h.flows.TestConnection(r.Context(), r.PathValue("name"), input, asker, r.Header.Get(headerTest), events.tell)
	switch {
	case err != nil && r.Context().Err() == nil:
		h.log.Error("a request could not be answered", "path", r.URL.Path, "request_id", events.requestID, "error", err)
		events.fail()
	case err == nil && !events.begun:
		h.write(w, answer, events.requestID)
	}
}

// events is a stream that begins with its first event.
type events struct {
	w         http.ResponseWriter
	requestID string
	begun     bool
}

// done is the last event's data.
type done struct {
	Diagnosis core.Diagnosis `json:"diagnosis"`
	Error     *appError      `json:"error"`
	Cancelled bool           `json:"cancelled"`
}

// tell writes an event, and fails where nobody reads any more.
func (e *events) tell(event flow.TestEvent) error {
	switch {
	case event.Begun != "":
		return e.send("begun", map[string]string{"test": event.Begun})
	case event.Step != nil:
		return e.send("step", event.Step)
	case event.Done != nil:
		last := done{Diagnosis: event.Done.Diagnosis, Cancelled: event.Done.Cancelled}
		if event.Done.Error != nil {
			last.Error = asBody(event.Done.Error, e.requestID, nil)
		}
		return e.send("done", last)
	}
	return e.write(": alive\n\n")
}

// fail tells of an error of our own, however far the stream is.
func (e *events) fail() {
	if !e.begun {
		internalError(e.w, e.requestID)
		return
	}
	_ = e.send("done", done{Diagnosis: core.Diagnosis{Steps: []core.Step{}}, Error: ownError(e.requestID)})
}

func (e *events) send(name string, data any) error {
	raw, err := json.Marshal(data) // has no line break
	if err != nil {
		return err
	}
	return e.write(fmt.Sprintf("event: %s\ndata: %s\n\n", name, raw))
}

func (e *events) write(text string) error {
	if !e.begun {
		e.begun = true
		e.w.Header().Set("Content-Type", "text/event-stream")
		e.w.Header().Set("Cache-Control", "no-store")
		e.w.Header().Set("X-Accel-Buffering", "no") // nginx passes each event on at once
		e.w.WriteHeader(http.StatusOK)
	}
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return http.NewResponseController(e.w).Flush()
}
