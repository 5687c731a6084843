package flow

import (
	"encoding/json"
	"strings"
	"testing"

	"postroom/server/internal/link"
	"postroom/server/internal/settings"
	"postroom/server/internal/store"
)

const savedEmail = `{"SMTPServer":"smtp.example.com","SMTPPort":"587","ConnectionSecurity":"STARTTLS","EnableSMTPAuth":true,
	"SMTPUsername":"mm","SMTPPassword":"hunter2","SkipServerCertificateVerification":null,"FeedbackEmail":"noreply@example.com"}`

// switchable is a stage whose relay listens.
func switchable(t *testing.T) (*stage, RelayPort) {
	s := newStage(t)
	port := RelayPort{Port: 24817, Username: "postroom-relay", Password: "made up"}
	s.flows.Switching.Node, s.flows.Switching.Port = "one", func() (RelayPort, error) { return port, nil }
	if _, err := s.flows.Store.CreateRelay(t.Context(), port.Port, []byte("sealed"), []byte("sealed")); err != nil {
		t.Fatal(err)
	}
	s.snapshot.Email = json.RawMessage(savedEmail)
	s.flows.Apply(t.Context(), &s.snapshot)
	return s, port
}

func mark(t *testing.T, s *stage) string {
	t.Helper()
	mark, err := s.flows.RelayMark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return mark
}

func TestTheRelayIsRefusedUntilEveryNodeTakesMail(t *testing.T) {
	s, _ := switchable(t)
	for _, node := range [][2]string{{"one", ""}, {"two", "another program listens on the relay's port"}} {
		if err := s.flows.Store.SayHere(t.Context(), store.Node{Name: node[0], Problem: node[1], Relay: mark(t, s)}, true); err != nil {
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
	if err := s.flows.Store.SayHere(t.Context(), store.Node{Name: "one", Relay: mark(t, s)}, true); err != nil {
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

// written are Mattermost's settings with some changed, as it sends them.
func written(t *testing.T, settings link.EmailSettings, change func(*link.EmailSettings)) json.RawMessage {
	t.Helper()
	change(&settings)
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (s *stage) relayStatus() RelayStatus {
	s.Helper()
	answer, err := s.flows.RelayStatus(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return answer.JSON.(RelayStatus)
}

// on is a stage whose relay was switched on, as far as the settings go.
func switchedOn(t *testing.T) (*stage, RelayPort, link.EmailSettings) {
	s, port := switchable(t)
	if err := s.flows.Store.SayHere(t.Context(), store.Node{Name: "one", Relay: mark(t, s)}, true); err != nil {
		t.Fatal(err)
	}
	if answer, err := s.flows.SwitchRelay(t.Context(), true); err != nil || answer.Switch == nil {
		t.Fatalf("%+v %v", answer, err)
	}
	var original link.EmailSettings
	if err := json.Unmarshal([]byte(savedEmail), &original); err != nil {
		t.Fatal(err)
	}
	s.snapshot.Email = written(t, port.settings(), func(*link.EmailSettings) {})
	s.flows.Apply(t.Context(), &s.snapshot)
	return s, port, original
}

// What is the relay's in part is named, never sent on to the relay itself, and can be put right both ways.
func TestSettingsThatAreTheRelaysInPart(t *testing.T) {
	for name, try := range map[string]struct {
		change   func(*link.EmailSettings)
		trouble  string // of the status
		upstream func(*link.EmailSettings)
	}{
		"the certificate is looked at": {
			func(e *link.EmailSettings) { e.SkipServerCertificateVerification = false },
			"SkipServerCertificateVerification differ", func(*link.EmailSettings) {},
		},
		"another user": {
			func(e *link.EmailSettings) { e.SMTPUsername, e.SMTPPassword = "mm", "hunter3" },
			"SMTPUsername, SMTPPassword differ", func(*link.EmailSettings) {},
		},
		"another server by an environment variable": {
			func(e *link.EmailSettings) { e.SMTPServer = "smtp2.example.com" },
			"SMTPServer were set since", func(e *link.EmailSettings) { e.SMTPServer = "smtp2.example.com" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, port, want := switchedOn(t)
			try.upstream(&want)
			in := s.snapshot
			in.Email = written(t, port.settings(), try.change)
			upstream := s.flows.Apply(t.Context(), &in)
			var have link.EmailSettings
			if err := json.Unmarshal(upstream.Email, &have); err != nil || have != want {
				t.Errorf("mail goes on to %s:%s as %s", have.SMTPServer, have.SMTPPort, have.SMTPUsername)
			}
			if status := s.relayStatus(); status.Enabled || !strings.Contains(status.Problem, try.trouble) || strings.Contains(status.Problem, "hunter") {
				t.Errorf("%+v", status)
			}
			answer, err := s.flows.SwitchRelay(t.Context(), false)
			if err != nil || answer.Switch == nil || answer.Switch.Settings != want {
				t.Errorf("off: %+v %v", answer, err)
			}
			if answer, err = s.flows.SwitchRelay(t.Context(), true); err != nil || answer.Switch == nil || answer.Switch.Settings != port.settings() {
				t.Fatalf("on: %+v %v", answer, err)
			}
			s.flows.Apply(t.Context(), &s.snapshot) // as it was written
			if back, err := s.flows.WayBack(t.Context()); err != nil || back == nil || back.Settings != want {
				t.Errorf("the original is another now: %v", err)
			}
		})
	}
}

// An admin's own server is never touched, whatever the form left in the fields of a login that is off.
func TestAnAdminsServerIsHisOwn(t *testing.T) {
	s, port, _ := switchedOn(t)
	in := s.snapshot
	in.Email = written(t, port.settings(), func(e *link.EmailSettings) {
		e.SMTPServer, e.SMTPPort, e.EnableSMTPAuth = "smtp2.example.com", "25", false
	})
	if upstream := s.flows.Apply(t.Context(), &in); string(upstream.Email) != string(in.Email) {
		t.Error("the admin's settings were changed")
	}
	if back, err := s.flows.WayBack(t.Context()); back != nil || err != nil || s.relayStatus().Problem != "" {
		t.Error(back, err, s.relayStatus())
	}
}

func TestAKeyThatChangedIsSaidAndMendedByItself(t *testing.T) {
	s, _, _ := switchedOn(t)
	in := s.snapshot
	in.AtRestKey = strings.Repeat("x", 32)
	s.flows.Apply(t.Context(), &in)
	if status := s.relayStatus(); !status.Enabled || status.Healthy || !strings.Contains(status.Problem, "AtRestEncryptKey has changed") || s.flows.UpstreamKnown() {
		t.Errorf("%+v", status)
	}
	answer, err := s.flows.SwitchRelay(t.Context(), false)
	if err != nil || answer.AppError == nil || !strings.Contains(answer.AppError.Message, "Put the key back, or set the SMTP server") {
		t.Errorf("%+v %v", answer, err)
	}
	s.flows.Apply(t.Context(), &s.snapshot)
	if status := s.relayStatus(); !status.Healthy || status.Problem != "" || !s.flows.UpstreamKnown() {
		t.Errorf("%+v", status)
	}
}

func TestANodeThatHasNotTakenUpTheNewPortIsNamed(t *testing.T) {
	s, _ := switchable(t)
	for name, relay := range map[string]string{"one": mark(t, s), "two": "another"} {
		if err := s.flows.Store.SayHere(t.Context(), store.Node{Name: name, Relay: relay}, true); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := s.flows.SwitchRelay(t.Context(), true)
	if err != nil || answer.Switch != nil || !strings.Contains(answer.AppError.Message, "two: it has not taken up") {
		t.Fatalf("%+v %v", answer.AppError, err)
	}
}
