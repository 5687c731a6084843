package flow

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const invalidLink = "api.user.reset_password.invalid_link.app_error"

func TestALinkIsUsedOnce(t *testing.T) {
	s := newStage(t)
	token := s.token("reset")
	if page := s.look("reset", token); page.Status != http.StatusOK {
		t.Fatal(page.Status, page.HTML)
	}
	var wins atomic.Int32
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			if s.post("reset", token, "New-password-1").Audit != nil {
				wins.Add(1)
			}
		})
	}
	all.Wait()
	if wins.Load() != 1 || s.called() != 1 {
		t.Fatalf("%d won, Mattermost was called %d times", wins.Load(), s.called())
	}
	if page := s.look("reset", token); page.Status != http.StatusNotFound {
		t.Error(page.Status)
	}
	if n := s.count(`SELECT count(*) FROM tokens`) + s.count(`SELECT count(*) FROM postroom.tokens`); n != 0 {
		t.Errorf("%d tokens are left", n)
	}
}

func TestARefusedPasswordLeavesTheLink(t *testing.T) {
	s := newStage(t)
	token := s.token("reset")
	s.play(refusal(http.StatusBadRequest, "model.user.is_valid.pwd_min_length.app_error", "Your password must be at least 14 characters <long>."))
	answer := s.post("reset", token, "weak")
	if answer.Page.Status != http.StatusUnprocessableEntity || !strings.Contains(answer.Page.HTML, "at least 14 characters &lt;long&gt;.") || answer.Audit.Success {
		t.Fatal(answer.Page.Status, answer.Page.HTML)
	}
	if n := s.count(`SELECT count(*) FROM tokens`); n != 0 {
		t.Error("the inner token stays after a refusal")
	}
	s.play(s.agree)
	if answer := s.post("reset", token, "A-better-password-1"); !answer.Audit.Success || answer.Page.Status != http.StatusOK {
		t.Fatal(answer.Page.Status)
	}
}

func TestAReplicaMayLag(t *testing.T) {
	s := newStage(t)
	token := s.token("reset")
	s.play(func(w http.ResponseWriter, body map[string]string) {
		if s.calls < 3 {
			refusal(http.StatusBadRequest, invalidLink, "The reset link does not appear to be valid.")(w, body)
			return
		}
		s.agree(w, body)
	})
	if answer := s.post("reset", token, "New-password-1"); !answer.Audit.Success || s.called() != 3 {
		t.Fatal(answer.Page.Status, s.called())
	}
}

// TestOutcomeUnknown breaks the call after Mattermost has, or has not, changed the password: the password stamp
// tells, and no link lives on after a change.
func TestOutcomeUnknown(t *testing.T) {
	hangUp := func(w http.ResponseWriter) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	t.Run("changed", func(t *testing.T) {
		s := newStage(t)
		token := s.token("reset")
		s.play(func(w http.ResponseWriter, _ map[string]string) { s.change(); hangUp(w) })
		if answer := s.post("reset", token, "New-password-1"); !answer.Audit.Success || answer.Page.Status != http.StatusOK {
			t.Fatal(answer.Page.Status)
		}
		if page := s.look("reset", token); page.Status == http.StatusOK {
			t.Error("the link lives on")
		}
	})
	t.Run("not changed", func(t *testing.T) {
		s := newStage(t)
		token := s.token("reset")
		s.play(func(w http.ResponseWriter, _ map[string]string) { hangUp(w) })
		if answer := s.post("reset", token, "New-password-1"); answer.Audit.Success {
			t.Fatal("success was claimed")
		}
		s.play(s.agree)
		if answer := s.post("reset", token, "New-password-1"); !answer.Audit.Success {
			t.Fatal(answer.Page.Status, answer.Page.HTML)
		}
	})
	// A crash between Mattermost's agreement and ours: the claim lapses, and the stamp has killed the link.
	t.Run("crash", func(t *testing.T) {
		s := newStage(t)
		token := s.token("reset")
		s.exec(`UPDATE postroom.tokens SET claim_id = gen_random_uuid(), claimed_until = now() - interval '1 second'`)
		s.change()
		if answer := s.post("reset", token, "New-password-1"); answer.Page.Status != http.StatusGone || s.called() != 0 {
			t.Fatal(answer.Page.Status, s.called())
		}
	})
}

func TestMattermostOutOfReach(t *testing.T) {
	s := newStage(t)
	token := s.token("reset")
	elsewhere := s.snapshot
	elsewhere.ListenAddress = "127.0.0.1:1"
	s.flows.Apply(t.Context(), &elsewhere)
	if answer := s.post("reset", token, "New-password-1"); answer.Page.Status != http.StatusServiceUnavailable {
		t.Fatal(answer.Page.Status)
	}
	s.flows.Apply(t.Context(), &s.snapshot)
	if answer := s.post("reset", token, "New-password-1"); !answer.Audit.Success {
		t.Fatal(answer.Page.Status)
	}
}

// TestWhatKillsALink is S11 and S8: each change, before the link is opened and before it is posted.
func TestWhatKillsALink(t *testing.T) {
	for name, sql := range map[string]string{
		"address":      `UPDATE users SET email = 'other@example.com'`,
		"password":     `UPDATE users SET lastpasswordupdate = 2`,
		"deactivation": `UPDATE users SET deleteat = 1`,
		"sso":          `UPDATE users SET authservice = 'saml', authdata = 'x'`,
		"expiry":       `UPDATE postroom.tokens SET expires_at = now() - interval '1 second'`,
		"account gone": `DELETE FROM users`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			token := s.token("reset")
			s.exec(sql)
			if page := s.look("reset", token); page.Status != http.StatusGone || strings.Contains(page.HTML, "<form") {
				t.Error(page.Status, page.HTML)
			}
			if answer := s.post("reset", token, "New-password-1"); answer.Page.Status != http.StatusGone || s.called() != 0 {
				t.Error(answer.Page.Status, s.called())
			}
		})
	}
}

func TestTheClockOfTheDatabaseDecides(t *testing.T) {
	s := newStage(t)
	token := s.token("reset")
	s.exec(`UPDATE postroom.tokens SET expires_at = now() + interval '2 seconds'`)
	if page := s.look("reset", token); page.Status != http.StatusOK {
		t.Error("dead before its time", page.Status)
	}
	s.exec(`SELECT pg_sleep(2.1)`)
	if page := s.look("reset", token); page.Status != http.StatusGone {
		t.Error("alive after its time", page.Status)
	}
}

func TestVerification(t *testing.T) {
	s := newStage(t)
	token := s.token("verify")
	if page := s.look("reset", token); page.Status != http.StatusNotFound {
		t.Error("a verification token opens a reset", page.Status)
	}
	for range 10 {
		if page := s.look("verify", token); page.Status != http.StatusOK {
			t.Fatal(page.Status)
		}
	}
	s.play(func(w http.ResponseWriter, _ map[string]string) {
		s.exec(`UPDATE users SET emailverified = true`)
		_, _ = w.Write([]byte(`{"status":"OK"}`))
	})
	if answer := s.post("verify", token, ""); !answer.Audit.Success || answer.Page.Status != http.StatusOK {
		t.Fatal(answer.Page.Status, answer.Page.HTML)
	}
	if page := s.look("verify", token); page.Status == http.StatusOK {
		t.Error("a verification link works twice")
	}
}

func TestGuessesAreLimited(t *testing.T) {
	s := newStage(t)
	token := s.token("reset")
	limited := s.snapshot
	limited.LimitClientPerMinute = 5
	s.flows.Apply(t.Context(), &limited)
	for guess := range 5 {
		wrong := []string{strings.Repeat("A", 43), "short", "", strings.Repeat("ä", 43), token + token}[guess]
		if page := s.look("reset", wrong); page.Status != http.StatusNotFound {
			t.Fatal(page.Status)
		}
	}
	if page := s.look("reset", strings.Repeat("B", 43)); page.Status != http.StatusTooManyRequests {
		t.Error(page.Status)
	}
	if answer := s.post("reset", token, "New-password-1"); answer.Page.Status != http.StatusTooManyRequests || s.called() != 0 {
		t.Error(answer.Page.Status)
	}
	other := asker
	other.Address = "203.0.113.8"
	if answer, err := s.flows.ShowLanding(t.Context(), "reset", token, other); err != nil || answer.Page.Status != http.StatusOK {
		t.Error("another client is limited too", err)
	}
}
