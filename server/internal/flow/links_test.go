package flow

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"postroom/server/internal/store"
)

// Tokens of Mattermost's in the samples.
const (
	resetToken   = mattermostsToken
	pendingToken = "c4b9df3838c16165c93839207469e5ab3f9ae1b7f037c64638f7fa19d18e7663"
)

// byMattermost has Mattermost mint and mail a reset or verification link, as its own endpoint does.
func (s *stage) byMattermost(name, token, kind, user string) {
	s.Helper()
	message, to := sample(s.TB, name)
	s.mattermostMints(token, kind, user, to[0])
	s.take(message, to...)
	if n := s.count(`SELECT count(*) FROM tokens`); n != 0 {
		s.Errorf("%d of Mattermost's tokens lie in its table", n)
	}
}

// byEndpoint asks the plugin's own.
func (s *stage) byEndpoint(kind, email string) {
	s.Helper()
	answer, err := s.flows.Request(s.Context(), kind, Input{Body: fmt.Appendf(nil, `{"email":%q}`, email)}, nil, asker)
	if err != nil || answer.JSON == nil {
		s.Fatal(answer, err)
	}
}

// decided waits until that many requests were decided, however they came.
func (s *stage) decided(n int) {
	s.Helper()
	for waited := time.Now(); time.Since(waited) < 15*time.Second; time.Sleep(10 * time.Millisecond) {
		if s.count(`SELECT count(*) FROM postroom.acts`) == n {
			return
		}
	}
	s.Fatalf("%d of %d requests were decided", s.count(`SELECT count(*) FROM postroom.acts`), n)
}

func (s *stage) older() {
	s.exec(`UPDATE postroom.tokens SET requested_at = requested_at - interval '16 seconds'`)
}

// upstreamDown has every mail wait.
func (s *stage) upstreamDown() {
	s.Helper()
	s.snapshot.Connection, s.snapshot.Email = "mattermost", json.RawMessage(`{"SMTPServer":"127.0.0.1","SMTPPort":"1"}`)
	s.flows.Outbox.Apply(s.flows.Apply(s.Context(), &s.snapshot))
}

// TestARepeatThroughMattermostSendsNoSecondMail (S10), and what became of it is listed and audited (S33).
func TestARepeatThroughMattermostSendsNoSecondMail(t *testing.T) {
	s := relayStage(t)
	s.byMattermost("reset.en", resetToken, store.InnerReset, "annaen")
	first := s.mails(1)[0]
	s.byMattermost("reset.en", resetToken, store.InnerReset, "annaen")
	second := s.mails(2)[0]
	if second.State != store.StateCancelled || second.Reason == nil || !strings.Contains(*second.Reason, "15 seconds") ||
		second.HasBody || second.FinishedAt == nil || second.Kind != "reset" || second.MaskedTo != first.MaskedTo {
		t.Errorf("%+v", second)
	}
	if found := linkPattern.FindStringSubmatch(s.body(first.ID)); found == nil || s.look("reset", found[1]).Status != 200 {
		t.Error("the first link is dead")
	}
	acts, err := s.flows.Store.TakeActs(t.Context(), 10, time.Minute)
	if err != nil || len(acts) != 2 {
		t.Fatal(acts, err)
	}
	for i, want := range []string{`"decision":"mail"`, `"reason":"repeat"`} {
		var record store.AuditRecord
		if json.Unmarshal(acts[i].Body, &record) != nil || !strings.Contains(strings.ReplaceAll(string(acts[i].Body), ": ", ":"), want) ||
			record.Facts["account_id"] != "annaen" || record.Facts["mail_id"] == "" || strings.Contains(string(acts[i].Body), "anna.en@") {
			t.Errorf("%s lacks %s", acts[i].Body, want)
		}
	}
}

// TestTheAccountsLimitHoldsForMattermostsEndpointsToo (S12): one limit, whichever way in.
func TestTheAccountsLimitHoldsForMattermostsEndpointsToo(t *testing.T) {
	s := relayStage(t)
	s.snapshot.LimitAccountPerHour = 2
	s.flows.Outbox.Apply(s.flows.Apply(t.Context(), &s.snapshot))
	s.byEndpoint("reset", "anna.en@example.com")
	s.decided(1)
	s.older()
	s.byMattermost("reset.en", resetToken, store.InnerReset, "annaen")
	live := s.count(`SELECT count(*) FROM postroom.tokens`)
	s.older()
	s.byMattermost("reset.en", resetToken, store.InnerReset, "annaen")
	if mail := s.mails(3)[0]; mail.State != store.StateCancelled || !strings.Contains(*mail.Reason, "LimitAccountPerHour") {
		t.Errorf("%+v", mail)
	}
	s.byEndpoint("reset", "anna.en@example.com")
	s.decided(4)
	if n := s.count(`SELECT count(*) FROM postroom.acts WHERE body->'facts'->>'reason' = 'account_limited'`); n != 2 || live != 1 {
		t.Errorf("%d of 2 were limited, %d links live", n, live)
	}
	if found := linkPattern.FindStringSubmatch(s.body(s.mails(3)[1].ID)); found == nil || s.look("reset", found[1]).Status != 200 {
		t.Error("a limited request killed the live link")
	}
}

// TestTheOlderLinkDiesWhicheverWayTheNewerComes (S9, R18).
func TestTheOlderLinkDiesWhicheverWayTheNewerComes(t *testing.T) {
	endpoint := func(s *stage) { s.byEndpoint("reset", "anna.en@example.com") }
	native := func(s *stage) { s.byMattermost("reset.en", resetToken, store.InnerReset, "annaen") }
	for name, ways := range map[string][2]func(*stage){
		"endpoint, Mattermost": {endpoint, native}, "Mattermost, endpoint": {native, endpoint}, "Mattermost twice": {native, native},
	} {
		t.Run(name, func(t *testing.T) {
			s := relayStage(t)
			s.upstreamDown()
			ways[0](s)
			s.decided(1)
			waits := func(want string) {
				t.Helper()
				for waited := time.Now(); s.count(`SELECT count(*) FROM postroom.mails WHERE state IN (`+want+`)`) != 1; time.Sleep(10 * time.Millisecond) {
					if time.Since(waited) > 15*time.Second {
						t.Fatal("no mail is ", want)
					}
				}
			}
			waits(`'deferred'`)
			s.older()
			ways[1](s)
			s.decided(2)
			waits(`'cancelled'`)
			waits(`'deferred'`)
			if n := s.count(`SELECT count(*) FROM postroom.mails m JOIN postroom.tokens t ON t.digest = m.token_digest
				WHERE m.state = 'deferred' AND t.account_id = 'annaen'`); n != 1 || s.count(`SELECT count(*) FROM postroom.tokens`) != 1 {
				t.Error("the link that lives is not the newer mail's")
			}
		})
	}
}

// TestAPendingAddressIsNobodyElsesBusiness: three kinds share the verification's link. A stranger may ask for a
// verification of the present address as often as he likes: the one of the pending address is neither held back nor
// killed by that.
func TestAPendingAddressIsNobodyElsesBusiness(t *testing.T) {
	s := relayStage(t)
	s.snapshot.LimitAccountPerHour = 1
	s.flows.Outbox.Apply(s.flows.Apply(t.Context(), &s.snapshot))
	s.byEndpoint("verify", "anna.en@example.com")
	s.decided(1)
	s.byMattermost("email_change_verify.en", pendingToken, store.InnerVerify, "annaen")
	pending := s.mails(2)[0]
	if pending.State != store.StateHeld || pending.Kind != store.LinkEmailChange {
		t.Fatalf("%+v", pending)
	}
	s.older()
	s.byEndpoint("verify", "anna.en@example.com")
	s.decided(3)
	if n := s.count(`SELECT count(*) FROM postroom.tokens WHERE purpose = 'verify'`); n != 2 {
		t.Errorf("%d of 2 links live", n)
	}
	if found := linkPattern.FindStringSubmatch(s.body(pending.ID)); found == nil || s.look("verify", found[1]).Status != 200 {
		t.Error("the pending address's link is dead")
	}
	// Its own repeat is one.
	s.exec(`DELETE FROM postroom.account_limits`)
	s.exec(`UPDATE postroom.tokens SET requested_at = now()`)
	s.byMattermost("email_change_verify.en", pendingToken, store.InnerVerify, "annaen")
	if mail := s.mails(3)[0]; mail.State != store.StateCancelled {
		t.Errorf("%+v", mail)
	}
}
