package flow

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"postroom/server/internal/store"
)

// here has nodes say that they are there; pointed are those whose Mattermost sends to the relay.
func (s *stage) here(t *testing.T, pointed ...string) {
	t.Helper()
	for _, name := range []string{"one", "two"} {
		node := store.Node{Name: name, Relay: mark(t, s), Pointed: slices.Contains(pointed, name)}
		if err := s.flows.Store.SayHere(t.Context(), node, true); err != nil {
			t.Fatal(err)
		}
	}
}

// pointHere makes the settings the relay's, as Mattermost tells the plugin after a switch.
func (s *stage) pointHere(t *testing.T, port RelayPort) {
	t.Helper()
	email, err := json.Marshal(port.settings())
	if err != nil {
		t.Fatal(err)
	}
	s.snapshot.Email = email
	s.flows.Apply(t.Context(), &s.snapshot)
}

func TestANodeThatSendsByItselfIsNamed(t *testing.T) {
	s, port := switchable(t)
	s.here(t)
	if status := s.relayStatus(); status.Enabled || !slices.Equal(status.Direct, []string{"one", "two"}) || status.Problem != "" {
		t.Errorf("off: %+v", status)
	}
	if answer, err := s.flows.SwitchRelay(t.Context(), true); err != nil || answer.Switch == nil {
		t.Fatalf("%+v %v", answer.AppError, err)
	}
	s.pointHere(t, port)
	if status := s.relayStatus(); !status.Enabled || !status.Healthy || !slices.Equal(status.Direct, []string{"two"}) || !strings.Contains(status.Problem, "two still sends its mail by itself") {
		t.Errorf("on here: %+v", status)
	}
	s.here(t, "two")
	if status := s.relayStatus(); len(status.Direct) > 0 || status.Problem != "" {
		t.Errorf("on everywhere: %+v", status)
	}
}

// There is one upstream for all nodes: one with another server of its own does not change it for the rest.
func TestANodeWithAnotherServerIsRefused(t *testing.T) {
	s, _ := switchable(t)
	s.here(t)
	if answer, err := s.flows.SwitchRelay(t.Context(), true); err != nil || answer.Switch == nil {
		t.Fatalf("%+v %v", answer.AppError, err)
	}
	s.here(t, "two")
	s.snapshot.Email = json.RawMessage(strings.ReplaceAll(savedEmail, "smtp.example.com", "other.example.com"))
	s.flows.Apply(t.Context(), &s.snapshot)
	answer, err := s.flows.SwitchRelay(t.Context(), true)
	if err != nil || answer.Switch != nil || !strings.Contains(answer.AppError.Message, "mail of two goes through the relay already") ||
		!strings.Contains(answer.AppError.Message, "in SMTPServer.") {
		t.Errorf("%+v %v", answer.AppError, err)
	}
	s.snapshot.Email = json.RawMessage(savedEmail)
	s.flows.Apply(t.Context(), &s.snapshot)
	if answer, err := s.flows.SwitchRelay(t.Context(), true); err != nil || answer.Switch == nil {
		t.Errorf("the same server: %+v %v", answer.AppError, err)
	}
}
