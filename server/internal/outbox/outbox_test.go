package outbox

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier/peer"
	"postroom/server/internal/settings"
	"postroom/server/internal/store"
)

func TestAResetIsDeliveredAndForgotten(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	w.peer.At(peer.Greeting, peer.SayAndClose("421 4.3.2 Later"))
	w.ask(o, "reset", "anna")
	w.eventually("the mail waits", func() bool { return w.states() == "deferred" })
	waiting := w.dump()
	w.peer.At(peer.Greeting, nil)
	w.hurry()
	w.eventually("the mail is sent", func() bool { return w.states() == "sent" })

	taken := w.peer.Mails()
	if len(taken) != 1 || taken[0].To != "anna@example.com" || taken[0].From != "noreply@example.com" {
		t.Fatalf("%+v", taken)
	}
	header, _, token := w.read(taken[0])
	if !strings.Contains(waiting, hex.EncodeToString(digestOf(token))) {
		t.Error("the digest is not in the database: this test looks at the wrong thing")
	}
	// S5, S6: neither token nor body lie there in clear, while it waits or after; nor in the log.
	for name, text := range map[string]string{"database, waiting": waiting, "database, sent": w.dump(), "log": w.log.String()} {
		for _, secret := range []string{token, hex.EncodeToString([]byte(token)), "token=", "Reset your password", header.Get("Subject"), keyOne} {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("%q is in the %s", secret, name)
			}
		}
	}
	if sealed := w.text(`SELECT count(*) FROM postroom.mails WHERE sealed IS NOT NULL`); sealed != "0" {
		t.Error("the body was not wiped")
	}
	mails, err := w.store.Mails(t.Context(), store.MailFilter{}, 10)
	if err != nil || len(mails) != 1 {
		t.Fatal(mails, err)
	}
	got := mails[0]
	if got.MessageID != header.Get("Message-Id") || got.Attempts != 2 || *got.Connection != "mattermost" || *got.Step != "final_dot" ||
		*got.ReplyCode != 250 || !strings.Contains(*got.ReplyText, "queued as 1") || got.MaskedTo == "anna@example.com" {
		t.Errorf("%+v", got)
	}
	found, err := w.store.Look(t.Context(), "reset", digestOf(token))
	if err != nil || found.Row == nil || found.Row.AccountID != "anna" || found.Row.Address != "anna@example.com" || found.Row.PasswordStamp != 1764000000000 {
		t.Errorf("%+v, %v", found.Row, err)
	}
	// S33: who asked, from where, what was decided.
	acts, err := w.store.TakeActs(t.Context(), 10, time.Minute)
	if err != nil || len(acts) != 1 {
		t.Fatal(acts, err)
	}
	var record store.AuditRecord
	if err := json.Unmarshal(acts[0].Body, &record); err != nil {
		t.Fatal(err)
	}
	if record.Event != "sendPasswordReset" || record.Status != "success" || record.ClientAddress != "203.0.113.7" || record.RequestID != "request-1" ||
		record.Facts["account_id"] != "anna" || record.Facts["decision"] != "mail" || record.Facts["address"] != "a***@example.com" ||
		record.Facts["mail_id"] != got.ID || strings.Contains(string(acts[0].Body), token) || strings.Contains(string(acts[0].Body), "anna@") {
		t.Errorf("%s", acts[0].Body)
	}
	status := o.Status(t.Context())
	if status.State != Working || status.Connection != "mattermost" || status.Counts["sent"] != 1 || len(status.Warnings) != 0 {
		t.Errorf("%+v", status)
	}
}

func TestWhoGetsNoMail(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	w.exec(`UPDATE users SET authservice = 'saml', authdata = 'x' WHERE id = 'anna'`,
		`UPDATE users SET deleteat = 1 WHERE id = 'ben'`, `UPDATE users SET emailverified = true WHERE id = 'cleo'`)
	w.ask(o, "reset", "anna")
	w.ask(o, "reset", "ben")
	w.ask(o, "verify", "cleo")
	w.ask(o, "reset", "nobody")
	w.decided(4)
	reasons := w.text(`SELECT string_agg(body->'facts'->>'reason', ' ' ORDER BY body->'facts'->>'reason') FROM postroom.acts`)
	if reasons != "already_verified deactivated no_account sso" {
		t.Errorf("%s", reasons)
	}
	if n := w.text(`SELECT (SELECT count(*) FROM postroom.tokens) + (SELECT count(*) FROM postroom.mails)`); n != "0" {
		t.Errorf("%s tokens and mails were made", n)
	}
	if log := w.log.String(); strings.Contains(log, "nobody@") || strings.Contains(log, "anna@") {
		t.Errorf("an address is in the log: %s", log)
	}
}

// A new request kills the older token and cancels its mail (S9).
func TestANewRequestReplacesTheOlder(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	w.peer.At(peer.MAIL, peer.Say("451 4.3.0 Later"))
	w.ask(o, "reset", "anna")
	w.eventually("the first waits", func() bool { return w.states() == "deferred" })
	w.age("1 minute")
	w.ask(o, "reset", "anna")
	w.eventually("the second waits", func() bool { return w.states() == "cancelled deferred" })
	w.peer.At(peer.MAIL, nil)
	w.hurry()
	w.eventually("the second is sent", func() bool { return w.states() == "cancelled sent" })
	time.Sleep(300 * time.Millisecond)
	if taken := w.peer.Mails(); len(taken) != 1 {
		t.Fatalf("%d mails left", len(taken))
	}
	if n := w.text(`SELECT count(*) FROM postroom.tokens`); n != "1" {
		t.Errorf("%s tokens are live", n)
	}
}

// A repeat within seconds sends no second mail, however close (S10).
func TestARepeatSendsNoSecondMail(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { w.ask(o, "reset", "anna") })
	}
	all.Wait()
	w.decided(20)
	w.eventually("one is sent", func() bool { return w.states() == "sent" })
	if reasons := w.text(`SELECT count(*) FROM postroom.acts WHERE body->'facts'->>'reason' = 'repeat'`); reasons != "19" {
		t.Errorf("%s repeats", reasons)
	}
}

func TestAnAccountsLimit(t *testing.T) {
	w := newWorld(t)
	w.settings.LimitAccountPerHour = 3
	o := w.start()
	for i := range 5 {
		w.ask(o, "reset", "anna")
		w.decided(i + 1)
		w.age("20 seconds")
	}
	w.ask(o, "verify", "anna") // is counted apart
	w.decided(6)
	if limited := w.text(`SELECT count(*) FROM postroom.acts WHERE body->'facts'->>'reason' = 'account_limited'`); limited != "2" {
		t.Errorf("%s of 5 were limited", limited)
	}
	// A limited request leaves the live link alone.
	if n := w.text(`SELECT count(*) FROM postroom.tokens`); n != "2" {
		t.Errorf("%s tokens", n)
	}
}

func TestReplies(t *testing.T) {
	for name, c := range map[string]struct {
		at, state string
		do        peer.Action
		check     string
	}{
		"550":     {peer.RCPT, "failed", peer.Say("550-5.1.1 No such\n550 5.1.1 person"), `reply_code = 550 AND enhanced = '5.1.1' AND step = 'rcpt_to' AND sealed IS NULL AND finished_at IS NOT NULL`},
		"450":     {peer.RCPT, "deferred", peer.Say("450 4.2.1 Busy"), `reply_code = 450 AND enhanced = '4.2.1' AND sealed IS NOT NULL AND next_attempt_at BETWEEN now() AND now() + interval '20 s'`},
		"421":     {peer.DATA, "deferred", peer.SayAndClose("421 4.3.2 Bye"), `reply_code = 421 AND next_attempt_at IS NOT NULL`},
		"garbage": {peer.MAIL, "deferred", peer.SayAndClose("what?"), `reply_code IS NULL AND next_attempt_at IS NOT NULL`},
		// R9: perhaps it arrived; account mail is tried again.
		"closed after the dot": {peer.Dot, "perhaps_delivered", peer.Keep(peer.Close()), `step = 'final_dot' AND next_attempt_at IS NOT NULL AND sealed IS NOT NULL`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.start()
			w.peer.At(c.at, c.do)
			w.ask(o, "reset", "anna")
			w.eventually(c.state, func() bool { return w.states() == c.state })
			if w.text(`SELECT count(*) FROM postroom.mails WHERE `+c.check) != "1" {
				t.Errorf("not so: %s\n%s", c.check, w.text(`SELECT to_jsonb(m) - 'sealed' FROM postroom.mails m`))
			}
			if c.state == "failed" {
				return
			}
			w.peer.At(c.at, nil)
			w.hurry()
			w.eventually("it is sent", func() bool { return w.states() == "sent" })
			if id := w.text(`SELECT message_id FROM postroom.mails`); !strings.Contains(w.peer.Mails()[len(w.peer.Mails())-1].Data, id) {
				t.Error("the repeat has another Message-ID")
			}
		})
	}
}

// R18: what expires in the queue, or whose token is used, is cancelled and never delivered late.
func TestNothingIsSentLate(t *testing.T) {
	for name, change := range map[string]string{
		"the token expired":  `UPDATE postroom.tokens SET expires_at = now()`,
		"the token was used": `DELETE FROM postroom.tokens`,
		"the mail expired":   `UPDATE postroom.mails SET expires_at = now()`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.start()
			w.peer.At(peer.MAIL, peer.Say("451 4.3.0 Later"))
			w.ask(o, "reset", "anna")
			w.eventually("it waits", func() bool { return w.states() == "deferred" })
			w.exec(change)
			w.peer.At(peer.MAIL, nil)
			w.hurry()
			w.eventually("it is cancelled", func() bool { return w.states() == "cancelled" })
			if len(w.peer.Mails()) > 0 || w.text(`SELECT count(*) FROM postroom.mails WHERE sealed IS NULL AND reason <> ''`) != "1" {
				t.Error("it was sent, or its body is still there, or no reason is given")
			}
		})
	}
}

func TestCaptureKeepsEveryMail(t *testing.T) {
	w := newWorld(t)
	w.settings.Email = json.RawMessage(`{"SMTPServer": "localhost", "SMTPPort": "10025"}`) // Mattermost's default: none is set
	o := w.start()
	w.ask(o, "reset", "anna")
	w.eventually("it is captured", func() bool { return w.states() == "held" })
	if status := o.Status(t.Context()); status.Connection != "capture" {
		t.Errorf("%+v", status)
	}
	mails, err := w.store.Mails(t.Context(), store.MailFilter{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	mail, err := w.store.Mail(t.Context(), mails[0].ID)
	if err != nil || *mail.HeldBy != store.HeldByCapture || *mail.Connection != "capture" || mail.FinishedAt == nil {
		t.Fatalf("%+v, %v", mail, err)
	}
	opened, err := o.open(t.Context(), time.Now(), keyOne, mail.ID, mail.Sealed)
	if err != nil || opened.EnvelopeTo != "anna@example.com" {
		t.Fatalf("%+v, %v", opened, err)
	}
	_, _, token := w.read(peer.Mail{Data: string(opened.Message)})
	if found, err := w.store.Look(t.Context(), "reset", digestOf(token)); err != nil || found.Row == nil {
		t.Errorf("its link is dead: %v", err)
	}
	// A newer request leaves the captured mail to be looked at.
	w.age("1 minute")
	w.ask(o, "reset", "anna")
	w.eventually("both are captured", func() bool { return w.states() == "held held" })
}

func TestAConnectionThatIsNotSet(t *testing.T) {
	w := newWorld(t)
	w.settings.Connection, w.settings.Email = settings.ConnectionMattermost, nil
	o := w.start()
	w.ask(o, "reset", "anna")
	w.eventually("a warning says so", func() bool {
		return strings.Contains(strings.Join(o.Status(t.Context()).Warnings, "\n"), "EmailSettings.SMTPServer is not set")
	})
	if w.states() != "queued" {
		t.Error(w.states())
	}
}

// A configuration that can't work is waited out, said once, and taken up when it is mended.
func TestAnEmptySiteURLIsWaitedOut(t *testing.T) {
	w := newWorld(t)
	w.settings.Site.URL = ""
	o := w.start()
	w.ask(o, "reset", "anna")
	w.ask(o, "reset", "ben")
	w.eventually("a warning says so", func() bool { return strings.Contains(strings.Join(o.Status(t.Context()).Warnings, "\n"), "site.url") })
	time.Sleep(1500 * time.Millisecond)
	if n := strings.Count(w.log.String(), "level=WARN msg=\"A request waits: core"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, w.log.String())
	}
	w.settings.Site.URL = site
	mended := w.settings
	o.Apply(&mended)
	w.hurry()
	w.eventually("both are sent", func() bool { return w.states() == "sent sent" })
}

func TestATestMailIsRecorded(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	send := func(connection core.Connection) core.Outcome {
		t.Helper()
		var mail TestMail
		if err := o.engine.Call(t.Context(), "compose_test", time.Now(), struct {
			To     string    `json:"to"`
			Locale string    `json:"locale"`
			Site   core.Site `json:"site"`
		}{"admin@example.com", "en", w.settings.Site}, &mail); err != nil {
			t.Fatal(err)
		}
		return o.SendTest(t.Context(), connection, mail, nil)
	}
	connection := core.Connection{Server: "127.0.0.1", Port: w.peer.Port, Security: "none"}
	if outcome := send(connection); !outcome.Accepted() {
		t.Fatalf("%+v", outcome)
	}
	w.peer.At(peer.RCPT, peer.Say("450 4.2.1 Busy"))
	if outcome := send(connection); outcome.Reply == nil || outcome.Reply.Code != 450 {
		t.Fatalf("%+v", outcome)
	}
	if states := w.states(); states != "sent failed" { // tried once
		t.Error(states)
	}
	if n := w.text(`SELECT count(*) FROM postroom.mails WHERE kind = 'test' AND connection = 'test' AND finished_at IS NOT NULL`); n != "2" {
		t.Error(n)
	}
}

// One commit is shared by all who wait for it, and each request is there.
func TestManyAtOnceAreAllTaken(t *testing.T) {
	w := newWorld(t)
	o := w.node()
	if err := w.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.ended.Go(o.acceptLoop) // no workers
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() { w.ask(o, "reset", fmt.Sprint("person", i)) })
	}
	all.Wait()
	if n := w.text(`SELECT count(DISTINCT args->>'email') FROM postroom.river_job`); n != "300" {
		t.Errorf("%s of 300", n)
	}
	if commits := w.text(`SELECT count(DISTINCT created_at) FROM postroom.river_job`); commits == "300" {
		t.Error("each had a commit of its own")
	}
	if row := w.text(`SELECT args->>'site_url' FROM postroom.river_job LIMIT 1`); row != site {
		t.Errorf("the SiteURL is %q", row)
	}
	// Whoever has gone is answered with an error.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Accept(gone, Request{Kind: "reset", Email: "x@example.com"}); err == nil {
		t.Error("accepted for someone who has gone")
	}
}
