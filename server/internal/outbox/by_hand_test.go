package outbox

import (
	"strings"
	"testing"

	"postroom/server/internal/courier/peer"
	"postroom/server/internal/store"
)

func (w *world) idOf(condition string) string {
	w.t.Helper()
	return w.text(`SELECT id FROM postroom.mails WHERE ` + condition)
}

func TestAMailIsCancelledByHand(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	w.peer.At(peer.MAIL, peer.Say("451 4.3.0 Later"))
	w.ask(o, "reset", "anna")
	w.relay(o, 1)
	w.eventually("both wait", func() bool { return w.states() == "deferred deferred" })
	for _, kind := range []string{"reset", "notification"} {
		if done, err := o.Cancel(t.Context(), w.idOf(`kind = '`+kind+`'`)); err != nil || done.Refused != nil || done.Kind != kind {
			t.Fatalf("%+v, %v", done, err)
		}
	}
	if n := w.text(`SELECT count(*) FROM postroom.mails WHERE state = 'cancelled' AND sealed IS NULL AND reason LIKE '%administrator%'`); n != "2" {
		t.Error(w.states())
	}
	if n := w.text(`SELECT count(*) FROM postroom.tokens`); n != "0" {
		t.Error("a link that was never sent lives")
	}
	if done, err := o.Cancel(t.Context(), w.idOf(`kind = 'reset'`)); err != nil || done.Refused == nil || done.Refused.Status != 409 {
		t.Errorf("%+v, %v", done, err)
	}
	w.peer.At(peer.MAIL, nil)
	w.hurry()
	w.ask(o, "reset", "anna") // not a repeat: the cancelled one's link is gone
	w.eventually("the new one is sent", func() bool { return strings.Contains(w.states(), "sent") })
	if len(w.peer.Mails()) != 1 {
		t.Error("a cancelled mail left")
	}
}

// TestAnAccountMailIsSentAgainWithANewLink (S25), as another mail, and the old link is dead.
func TestAnAccountMailIsSentAgainWithANewLink(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	w.ask(o, "reset", "anna")
	w.eventually("it is sent", func() bool { return w.states() == "sent" })
	id := w.idOf(`true`)
	done, err := o.Resend(t.Context(), id)
	if err != nil || done.Refused != nil || done.NewMailID == "" || done.NewMailID == id {
		t.Fatalf("%+v, %v", done, err)
	}
	w.eventually("the other is sent", func() bool { return w.states() == "sent sent" })
	_, _, first := w.read(w.peer.Mails()[0])
	_, _, second := w.read(w.peer.Mails()[1])
	for token, lives := range map[string]bool{first: false, second: true} {
		if found, err := w.store.Look(t.Context(), "reset", digestOf(token)); err != nil || (found.Row != nil) != lives {
			t.Errorf("%+v, %v", found, err)
		}
	}
	w.exec(`UPDATE users SET deleteat = 1 WHERE id = 'anna'`)
	if done, err := o.Resend(t.Context(), id); err != nil || done.Refused == nil || !strings.Contains(done.Refused.Message, "deactivated") {
		t.Errorf("%+v, %v", done, err)
	}
	if done, err := o.Resend(t.Context(), "00000000-0000-4000-8000-00000000000f"); err != nil || done.Refused == nil || done.Refused.Status != 404 {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestARelayedMailIsSentAgainAsItIs: one that failed keeps its body for that; one that was sent has none.
func TestARelayedMailIsSentAgainAsItIs(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	w.peer.At(peer.RCPT, peer.Say("550 5.7.1 not today"))
	w.relay(o, 1)
	w.eventually("it fails", func() bool { return w.states() == store.StateFailed })
	id := w.idOf(`sealed IS NOT NULL`)
	w.peer.At(peer.RCPT, nil)
	if done, err := o.Resend(t.Context(), id); err != nil || done.Refused != nil || done.NewMailID != "" {
		t.Fatalf("%+v, %v", done, err)
	}
	w.eventually("it is sent", func() bool { return w.states() == store.StateSent })
	if n := w.text(`SELECT count(*) FROM postroom.mails WHERE attempts = 1 AND sealed IS NULL AND expires_at > now() + interval '23 hours'`); n != "1" {
		t.Error(w.text(`SELECT to_jsonb(m) FROM postroom.mails m`))
	}
	if done, err := o.Resend(t.Context(), id); err != nil || done.Refused == nil || !strings.Contains(done.Refused.Message, "not kept") {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestADeactivatedAccountGetsNothing: not by the hook, nor, when that was missed, by the keeper.
func TestADeactivatedAccountGetsNothing(t *testing.T) {
	for name, hook := range map[string]bool{"hook": true, "keeper": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			sweep := quick
			sweep.SweepPeriod = sweep.KeeperPeriod
			o := w.start(func(o *Options) {
				if !hook {
					o.Tuning = &sweep
				}
			})
			w.peer.At(peer.MAIL, peer.Say("451 4.3.0 Later"))
			w.ask(o, "reset", "anna")
			w.ask(o, "reset", "ben")
			w.eventually("both wait", func() bool { return w.states() == "deferred deferred" })
			w.exec(`UPDATE users SET deleteat = 1 WHERE id = 'anna'`)
			if hook {
				if err := o.Deactivate(t.Context(), "anna"); err != nil {
					t.Fatal(err)
				}
			}
			w.eventually("anna's is cancelled", func() bool {
				return w.text(`SELECT count(*) FROM postroom.mails WHERE account_id = 'anna' AND state = 'cancelled' AND reason LIKE '%deactivated%'`) == "1"
			})
			if left := w.text(`SELECT string_agg(account_id, ' ') FROM postroom.tokens`); left != "ben" {
				t.Error(left)
			}
		})
	}
}

// TestADeletedAccountIsForgotten (S26), by itself.
func TestADeletedAccountIsForgotten(t *testing.T) {
	w := newWorld(t)
	sweep := quick
	sweep.SweepPeriod = sweep.KeeperPeriod
	o := w.start(func(o *Options) { o.Tuning = &sweep })
	w.ask(o, "reset", "anna")
	w.ask(o, "verify", "ben")
	w.relay(o, 3) // anna's
	w.eventually("all are sent", func() bool { return w.text(`SELECT count(*) FROM postroom.mails WHERE state = 'sent'`) == "5" })
	w.exec(`DELETE FROM users WHERE id = 'anna'`, `UPDATE postroom.river_job SET created_at = created_at - interval '31 minutes' WHERE state = 'completed'`)
	w.eventually("anna is forgotten", func() bool {
		return w.text(`SELECT (SELECT count(*) FROM postroom.mails WHERE account_id = 'anna') + (SELECT count(*) FROM postroom.tokens WHERE account_id = 'anna')
			+ (SELECT count(*) FROM postroom.account_limits WHERE account_id = 'anna') + (SELECT count(*) FROM postroom.acts WHERE body::text LIKE '%anna%')
			+ (SELECT count(*) FROM postroom.river_job WHERE args::text LIKE '%anna%')`) == "0"
	})
	if n := w.text(`SELECT (SELECT count(*) FROM postroom.mails) + (SELECT count(*) FROM postroom.tokens)`); n != "2" {
		t.Errorf("%s rows of ben's are left", n)
	}
}
