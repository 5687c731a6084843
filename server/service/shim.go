package service

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"time"

	"postroom/server/internal/httpapi"
	"postroom/server/internal/incidents"
	"postroom/server/internal/link"
	"postroom/server/internal/store"
)

const (
	signOfLife = time.Second
	// actsAtOnce is how many acts go into one line, actsFor how long no other node is given them.
	actsAtOnce = 200
	actsFor    = 30 * time.Second
)

// shimRoutes is what the shim says and asks.
func (s *service) shimRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+link.PathHello, func(w http.ResponseWriter, _ *http.Request) {
		own, _ := link.FindProcess(os.Getpid())
		_ = json.NewEncoder(w).Encode(link.Hello{Build: s.from.Build, Process: own, Server: s.from.Server, Restarts: s.from.Restarts})
	})
	mux.HandleFunc("POST "+link.PathSettings, func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err == nil {
			err = s.apply(raw)
		}
		if err != nil {
			s.log.Error("the new settings can't be used; the old ones stay", "error", err)
			http.Error(w, "settings", http.StatusBadRequest)
		}
	})
	mux.HandleFunc("POST "+link.PathDone, func(w http.ResponseWriter, r *http.Request) {
		var done link.Done
		err := json.NewDecoder(r.Body).Decode(&done)
		if err == nil {
			err = s.store.DoneActs(r.Context(), done.IDs)
		}
		if err != nil {
			http.Error(w, "done", http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST "+link.PathEnd, func(http.ResponseWriter, *http.Request) { s.end(errToldToEnd) })
	mux.HandleFunc("GET "+link.PathOff, func(w http.ResponseWriter, r *http.Request) {
		back, err := s.flows.WayBack(r.Context())
		switch {
		case err != nil:
			s.log.Error("how Mattermost's mail is pointed back is not known", "error", err)
			http.Error(w, "off", http.StatusInternalServerError)
		case back == nil:
			w.WriteHeader(http.StatusNoContent) // Mattermost's mail goes where it went before
		default:
			_ = json.NewEncoder(w).Encode(back)
		}
	})
	mux.HandleFunc("POST "+link.PathDeactivated, func(w http.ResponseWriter, r *http.Request) {
		id, err := io.ReadAll(r.Body)
		if err == nil {
			err = s.outbox.Deactivate(r.Context(), string(id))
		}
		if err != nil {
			s.log.Warn("a deactivated account's links are not ended yet; the next look at all accounts does it", "error", err)
			http.Error(w, "deactivated", http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET "+link.PathCommand, func(w http.ResponseWriter, r *http.Request) {
		words, err := s.flows.CommandWords(r.Context())
		s.answer(w, "command", words, err)
	})
	mux.HandleFunc("POST "+link.PathCommand, func(w http.ResponseWriter, r *http.Request) {
		var typed link.Command
		var reply link.CommandReply
		err := json.NewDecoder(r.Body).Decode(&typed)
		if err == nil {
			reply, err = s.flows.Command(r.Context(), typed)
		}
		s.answer(w, "command", reply, err)
	})
	mux.Handle("POST "+link.PathSwitched, httpapi.Switched(s.flows, s.log))
	mux.Handle("GET "+link.PathMetrics, s.metrics.Handler())
	mux.HandleFunc("GET "+link.PathSupport, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.flows.Support(r.Context()))
	})
	mux.HandleFunc("GET "+link.PathStream, s.stream)
}

// answer writes what the shim asked for.
func (s *service) answer(w http.ResponseWriter, what string, body any, err error) {
	if err != nil {
		s.log.Error("the shim could not be answered", "what", what, "error", err)
		http.Error(w, what, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// stream gives the shim log lines, acts, and a sign of life every second.
func (s *service) stream(w http.ResponseWriter, r *http.Request) {
	s.shimCame()
	defer s.shimLeft()
	lines, flush := json.NewEncoder(w), http.NewResponseController(w)
	life := time.NewTicker(signOfLife)
	defer life.Stop()
	for {
		var line link.Line
		select {
		case <-r.Context().Done():
			return
		case <-s.feed.queue.ended:
			return
		case line = <-s.orders:
		case <-s.nudge:
			line = s.wayBackLine()
		case record := <-s.feed.queue.lines:
			line.Log = &record
		case <-life.C:
			line = s.wayBackLine()
			line.Acts = s.takeActs(r)
		}
		if lines.Encode(line) != nil || flush.Flush() != nil {
			return
		}
	}
}

func (s *service) takeActs(r *http.Request) []link.Act {
	taken, err := s.store.TakeActs(r.Context(), actsAtOnce, actsFor)
	if err != nil {
		return nil // the database is away; the outbox says so
	}
	var acts []link.Act
	for _, act := range taken {
		acts = append(acts, link.Act{ID: act.ID, Audit: audit(act), Message: message(act)})
	}
	return acts
}

// audit is the act as the shim writes it; an act that can't be read is handed out empty, to be done with.
func audit(act store.Act) *link.Audit {
	var record store.AuditRecord
	if act.Kind != store.ActAudit || json.Unmarshal(act.Body, &record) != nil {
		return nil
	}
	params := map[string]string{"request_id": record.RequestID, "at": time.UnixMilli(record.At).UTC().Format(time.RFC3339)}
	for key, value := range record.Facts {
		params[key] = value
	}
	return &link.Audit{
		Event: record.Event, Success: record.Status == "success", UserID: record.UserID, Address: record.ClientAddress, Params: params,
	}
}

// message is an act that tells the system admins.
func message(act store.Act) *link.Message {
	var message incidents.Message
	if act.Kind != store.ActMessage || json.Unmarshal(act.Body, &message) != nil {
		return nil
	}
	return &link.Message{Text: message.Text}
}
