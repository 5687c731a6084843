package flow

import (
	"encoding/json"
	"strings"
	"testing"

	"postroom/server/internal/link"
	"postroom/server/internal/settings"
)

const savedEmail = `{"SMTPServer":"smtp.example.com","SMTPPort":"587","ConnectionSecurity":"STARTTLS","EnableSMTPAuth":true,
	"SMTPUsername":"mm","SMTPPassword":"hunter2","SkipServerCertificateVerification":null,"FeedbackEmail":"noreply@example.com"}`

// switchable is a stage whose relay listens.
func switchable(t *testing.T) (*stage, RelayPort) {
	s := newStage(t)
	port := RelayPort{Port: 24817, Username: "postroom-relay", Password: "made up"}
	s.flows.Switching.Port = func() (RelayPort, error) { return port, nil }
	if _, err := s.flows.Store.CreateRelay(t.Context(), port.Port, []byte("sealed"), []byte("sealed")); err != nil {
		t.Fatal(err)
	}
	s.snapshot.Email = json.RawMessage(savedEmail)
	s.flows.Apply(t.Context(), &s.snapshot)
	return s, port
}

func TestTheRelayIsRefusedUntilEveryNodeTakesMail(t *testing.T) {
	s, _ := switchable(t)
	for _, node := range [][2]string{{"one", ""}, {"two", "another program listens on the relay's port"}} {
		if err := s.flows.Store.SayHere(t.Context(), node[0], node[1]); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := s.flows.SwitchRelay(t.Context(), true)
	if err != nil || answer.Switch != nil || answer.AppError == nil || !strings.Contains(answer.AppError.Message, "two: another program") {
		t.Fatalf("%+v %v", answer.AppError, err)
	}
}

func TestThereAndBack(t *testing.T) {
	s, port := switchable(t)
	if err := s.flows.Store.SayHere(t.Context(), "one", ""); err != nil {
		t.Fatal(err)
	}
	answer, err := s.flows.SwitchRelay(t.Context(), true)
	if err != nil || answer.Switch == nil || answer.Switch.Settings != port.settings() {
		t.Fatalf("%+v %v", answer, err)
	}
	if n := s.count(`SELECT count(*) FROM postroom.relay WHERE position('hunter2'::bytea IN original) > 0`); n != 0 {
		t.Error("the upstream's password lies in clear")
	}
	// Mattermost's settings are the relay's now; the courier gets those from before, the rest as it is.
	written, err := json.Marshal(port.settings())
	if err != nil {
		t.Fatal(err)
	}
	on := s.snapshot
	on.Email = json.RawMessage(strings.TrimSuffix(string(written), "}") + `,"FeedbackEmail":"new@example.com"}`)
	upstream := s.flows.Apply(t.Context(), &on)
	var have struct {
		link.EmailSettings
		FeedbackEmail string
	}
	if err := json.Unmarshal(upstream.Email, &have); err != nil || have.SMTPServer != "smtp.example.com" || have.SMTPPassword != "hunter2" || have.FeedbackEmail != "new@example.com" {
		t.Fatal(err, have.SMTPServer, have.FeedbackEmail)
	}
	if answer, err := s.flows.SwitchRelay(t.Context(), true); err != nil || answer.Switch != nil {
		t.Error("the relay's own settings would be kept as the upstream", err)
	}
	back, err := s.flows.WayBack(t.Context())
	if err != nil || back == nil || back.On || back.Settings != have.EmailSettings {
		t.Fatal(back, err)
	}
	// What was there before can't be opened: mail waits, and does not go in a circle.
	lost := on
	lost.AtRestKey = strings.Repeat("x", 32)
	if upstream := s.flows.Apply(t.Context(), &lost); strings.Contains(string(upstream.Email), "127.0.0.1") || upstream.Connection != settings.ConnectionMattermost {
		t.Error("mail would be sent to the relay itself")
	}
	// An admin's edit of the SMTP page switches the relay off.
	s.flows.Apply(t.Context(), &s.snapshot)
	if back, err := s.flows.WayBack(t.Context()); err != nil || back != nil {
		t.Error(back, err)
	}
}
