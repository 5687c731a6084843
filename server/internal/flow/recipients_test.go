package flow

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"postroom/server/internal/courier/peer"
	"postroom/server/internal/store"
)

// TestThreeRecipientsHaveAStateEach (R4): one mail, handed to the relay by SMTP, of which the upstream server takes one
// recipient, defers another and refuses the third. Only the deferred one is tried again.
func TestThreeRecipientsHaveAStateEach(t *testing.T) {
	s := relayStage(t)
	upstream := peer.Start(t)
	const good, busy, bad = "anna.en@example.com", "bert.en@example.com", "gone@elsewhere.example"
	upstream.At(peer.RCPT, peer.ToRecipients(map[string]peer.Action{
		busy: peer.Say("450 4.2.1 Mailbox busy"), bad: peer.Say("550 5.1.1 No such person"),
	}))
	s.snapshot.Connection = "mattermost"
	s.snapshot.Email = json.RawMessage(fmt.Sprintf(`{"SMTPServer":"127.0.0.1","SMTPPort":"%d"}`, upstream.Port))
	s.flows.Outbox.Apply(s.flows.Apply(t.Context(), &s.snapshot))
	_, send := s.listening()
	message, _ := sample(t, "notification.en")
	if err := send("noreply@example.com", []string{good, busy, bad}, message); err != nil {
		t.Fatal(err)
	}
	states := func(want string) map[string]store.Mail {
		t.Helper()
		for waited := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			mails, _, _ := s.list("")
			is, by := []string{}, map[string]store.Mail{}
			for _, state := range []string{store.StateSent, store.StateDeferred, store.StateFailed} {
				for _, mail := range mails {
					if mail.State == state {
						is, by[state] = append(is, state), mail
					}
				}
			}
			if strings.Join(is, " ") == want {
				return by
			}
			if time.Since(waited) > 15*time.Second {
				t.Fatalf("%v, not %s", is, want)
			}
		}
	}
	by := states("sent deferred failed")
	if mail := by[store.StateFailed]; *mail.ReplyCode != 550 || *mail.Enhanced != "5.1.1" || mail.MaskedTo != "g***@elsewhere.example" {
		t.Errorf("%+v", mail)
	}
	if mail := by[store.StateDeferred]; *mail.ReplyCode != 450 || mail.NextAttemptAt == nil || mail.MaskedTo != "b***@example.com" {
		t.Errorf("%+v", mail)
	}
	upstream.At(peer.RCPT, nil)
	s.exec(`UPDATE postroom.mails SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL;
		UPDATE postroom.river_job SET state = 'available', scheduled_at = now() WHERE state = 'scheduled'`)
	states("sent sent failed")
	asked := map[string]int{}
	for _, line := range upstream.Commands() {
		for _, to := range []string{good, busy, bad} {
			if strings.HasPrefix(line, "RCPT") && strings.Contains(line, to) {
				asked[to]++
			}
		}
	}
	if asked[good] != 1 || asked[busy] != 2 || asked[bad] != 1 {
		t.Errorf("RCPT: %v", asked)
	}
	for _, mail := range upstream.Mails() {
		if mail.To == bad {
			t.Error("the refused recipient got it")
		}
	}
}
