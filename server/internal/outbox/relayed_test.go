package outbox

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier/peer"
	"postroom/server/internal/store"
)

// notification is a mail of Mattermost's, sealed as it came.
func (w *world) notification(key string, number int) *Relayed {
	w.t.Helper()
	var passed core.PassMailResult
	err := realEngine(w.t).Call(context.Background(), core.OpPassMail, time.Now(), core.PassMailArgs{
		Message:      fmt.Appendf(nil, "Subject: notification %d\r\n\r\nbody\r\n", number),
		EnvelopeFrom: "mm@example.com", EnvelopeTo: []string{"anna@example.com"}, Key: key,
	}, &passed)
	if err != nil {
		w.t.Fatal(err)
	}
	return &Relayed{Mails: []store.NewMail{{
		ID: passed.Recipients[0].ID, Kind: "notification", Class: store.ClassNotification, AccountID: "anna", MaskedTo: "a***@example.com",
		Size: passed.Mail.Size, KeyID: passed.Mail.KeyID, ExpiresAt: time.UnixMilli(passed.Mail.ExpiresAt), Sealed: passed.Recipients[0].Sealed,
	}}}
}

// relay commits that many notifications, many at once.
func (w *world) relay(o *Outbox, n int) {
	w.t.Helper()
	var callers sync.WaitGroup
	for from := range 10 {
		callers.Go(func() {
			for i := from; i < n; i += 10 {
				if err := o.Commit(context.Background(), w.notification(keyOne, i)); err != nil {
					w.t.Error(err)
				}
			}
		})
	}
	callers.Wait()
}

func TestRelayedMailIsSentAndWiped(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	w.relay(o, 60) // more than there are senders: some go through River
	w.eventually("all are sent", func() bool {
		return w.text(`SELECT count(*) FROM postroom.mails WHERE state = 'sent' AND sealed IS NULL AND class = 'notification'`) == "60"
	})
	seen := map[string]bool{}
	for _, mail := range w.peer.Mails() {
		seen[mail.Data] = true
	}
	if len(seen) != 60 || len(w.peer.Mails()) != 60 {
		t.Errorf("%d different ones among %d", len(seen), len(w.peer.Mails()))
	}
}

// TestAResetPassesAHeapOfNotifications (R11): account mail has senders, workers and connections of its own.
func TestAResetPassesAHeapOfNotifications(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	w.peer.At(peer.RCPT, peer.After(200*time.Millisecond, peer.Say("250 2.1.5 Ok")))
	w.relay(o, 600)
	began := time.Now()
	w.ask(o, "reset", "ben")
	w.eventually("the reset is sent", func() bool {
		return w.text(`SELECT state FROM postroom.mails WHERE kind = 'reset'`) == store.StateSent
	})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if heap := w.text(`SELECT count(*) > 100 FROM postroom.mails m, (SELECT finished_at FROM postroom.mails WHERE kind = 'reset') r
		WHERE m.kind = 'notification' AND (m.finished_at IS NULL OR m.finished_at > r.finished_at)`); heap != "true" {
		t.Error("there was no heap to pass")
	}
}

// TestALifetimeThatEnds: a notification is shown as failed, not sent late and not called cancelled.
func TestALifetimeThatEnds(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	w.peer.At(peer.RCPT, peer.Say("450 4.2.1 later"))
	w.relay(o, 1)
	w.eventually("it is deferred", func() bool { return w.states() == store.StateDeferred })
	w.exec(`UPDATE postroom.mails SET expires_at = now()`)
	w.hurry()
	w.eventually("it has failed", func() bool { return w.states() == store.StateFailed })
	if why := w.text(`SELECT reason FROM postroom.mails`); !strings.Contains(why, "lifetime") {
		t.Error(why)
	}
}

// TestAKeyThatDiffers: a mail sealed under another key than this node's waits for a node that has it.
func TestAKeyThatDiffers(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	if err := o.Commit(t.Context(), w.notification(keyTwo, 1)); err != nil {
		t.Fatal(err)
	}
	w.eventually("its key is missed", w.keyIsMissed)
	w.exec(`UPDATE postroom.mails SET key_missing_since = key_missing_since - interval '121 s'`)
	job := w.text(`SELECT job_id FROM postroom.mails`)
	w.hurry()
	w.eventually("it is looked at again", func() bool { return w.text(`SELECT job_id FROM postroom.mails`) != job })
	// One job too many ends; were it to look again, there would be one more at each look.
	extra, err := o.client.Insert(t.Context(), sendArgs{MailID: w.text(`SELECT id FROM postroom.mails`)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("the job too many ends", func() bool {
		return w.text(fmt.Sprintf(`SELECT state FROM postroom.river_job WHERE id = %d`, extra.Job.ID)) == "completed"
	})
	if waiting := w.text(`SELECT count(*) FROM postroom.river_job WHERE kind = 'send' AND state <> 'completed'`); waiting != "1" {
		t.Errorf("%s jobs wait for one mail", waiting)
	}
	if state := w.states(); state != store.StateQueued {
		t.Error(state)
	}
}

// TestWhatPerhapsArrivedGoesAgainByItsClass (R9): an invitation does, a notification does not.
func TestWhatPerhapsArrivedGoesAgainByItsClass(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	w.peer.At(peer.Dot, peer.Keep(peer.Close()))
	invitation := w.notification(keyOne, 1)
	invitation.Mails[0].Kind, invitation.Mails[0].Class = "invitation", store.ClassInvitation
	for _, mail := range []*Relayed{invitation, w.notification(keyOne, 2)} {
		if err := o.Commit(t.Context(), mail); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually("both have perhaps arrived", func() bool { return w.states() == "perhaps_delivered perhaps_delivered" })
	if n := w.text(`SELECT string_agg(class, ' ') FROM postroom.mails WHERE next_attempt_at IS NOT NULL AND sealed IS NOT NULL AND finished_at IS NULL`); n != "invitation" {
		t.Errorf("goes again: %q", n)
	}
	if n := w.text(`SELECT string_agg(class, ' ') FROM postroom.mails WHERE finished_at IS NOT NULL AND sealed IS NULL`); n != "notification" {
		t.Errorf("has come to its end: %q", n)
	}
	w.peer.At(peer.Dot, nil)
	w.hurry()
	w.eventually("the invitation is sent", func() bool {
		return w.text(`SELECT state FROM postroom.mails WHERE class = 'invitation'`) == store.StateSent
	})
	if n := len(w.peer.Mails()); n != 3 {
		t.Errorf("the server saw %d mails of 3", n)
	}
}

// TestAMailThatWasPutAsideIsShownAndCanBeSentAgain (R12, R13).
func TestAMailThatWasPutAsideIsShownAndCanBeSentAgain(t *testing.T) {
	w := newWorld(t)
	o := w.start(trapsAt("open"))
	w.relay(o, 1)
	w.eventually("it is put aside", func() bool { w.hurry(); return w.states() == store.StateFailed })
	shown, err := w.store.Mails(t.Context(), store.MailFilter{State: store.StateFailed}, 10)
	if err != nil || len(shown) != 1 || !strings.HasPrefix(*shown[0].Reason, "Put aside: ") || !shown[0].HasBody {
		t.Fatalf("%+v, %v", shown, err)
	}
	if err := o.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	mended := w.start()
	if done, err := mended.Resend(t.Context(), shown[0].ID); err != nil || done.Refused != nil {
		t.Fatalf("%+v, %v", done, err)
	}
	w.eventually("it is sent", func() bool { return w.states() == store.StateSent })
}
