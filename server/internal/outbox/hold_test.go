package outbox

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"postroom/server/internal/courier/peer"
)

const elsewhere = "https://staging.example.com/chat"

// waiting is a world in which anna's mail waits, its outbox stopped, as a dump of a database has it.
func waitingWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	o := w.start()
	w.peer.At(peer.MAIL, peer.Say("451 4.3.0 Later"))
	w.ask(o, "reset", "anna")
	w.eventually("it waits", func() bool { return w.states() == "deferred" })
	if err := o.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.peer.At(peer.MAIL, nil)
	w.hurry()
	return w
}

// A copy of the database under another SiteURL sends nothing until someone decides (R28).
func TestACopyElsewhereIsHeld(t *testing.T) {
	held := func(t *testing.T) (*world, *Outbox) {
		w := waitingWorld(t)
		w.settings.Site.URL = elsewhere
		o := w.node()
		if err := o.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.eventually("it is held", func() bool { return o.Status(t.Context()).State == Held })
		w.ask(o, "reset", "ben") // is stored, and waits too
		time.Sleep(500 * time.Millisecond)
		status := o.Status(t.Context())
		if w.states() != "held" || len(w.peer.Mails()) > 0 || status.FilledFor != site || !strings.Contains(status.Problem, elsewhere) {
			t.Errorf("%s, %d mails, %+v", w.states(), len(w.peer.Mails()), status)
		}
		if by := w.text(`SELECT held_by FROM postroom.mails`); by != "site_url" {
			t.Errorf("held by %q", by)
		}
		return w, o
	}
	t.Run("go on", func(t *testing.T) {
		w, o := held(t)
		if err := o.Decide(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		w.eventually("both are sent", func() bool { return len(w.peer.Mails()) == 2 })
		for _, taken := range w.peer.Mails() {
			_, body, _ := w.read(taken)
			if !strings.Contains(body, elsewhere+"/plugins/postroom/reset?token=") || strings.Contains(body, site) {
				t.Errorf("its links are of the old SiteURL: %s", body)
			}
		}
		w.eventually("the old one is cancelled", func() bool { return w.states() == "cancelled sent sent" })
		w.eventually("the hold is over", func() bool { return o.Status(t.Context()).State == Working })
		if err := o.Decide(t.Context(), true); !errors.Is(err, ErrNotHeld) {
			t.Error(err)
		}
	})
	t.Run("discard", func(t *testing.T) {
		w, o := held(t)
		if err := o.Decide(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		w.eventually("it works", func() bool { return o.Status(t.Context()).State == Working })
		if w.states() != "cancelled" || w.text(`SELECT count(*) FROM postroom.tokens`) != "0" {
			t.Errorf("%s, %s tokens", w.states(), w.text(`SELECT count(*) FROM postroom.tokens`))
		}
		w.ask(o, "reset", "cleo")
		w.eventually("new mail is sent", func() bool { return w.states() == "cancelled sent" })
		if taken := w.peer.Mails(); len(taken) != 1 || taken[0].To != "cleo@example.com" {
			t.Errorf("%+v", taken)
		}
	})
	t.Run("restored under its own", func(t *testing.T) {
		w, o := held(t)
		w.settings.Site.URL = site + "/" // the same
		back := w.settings
		o.Apply(&back)
		w.eventually("it works", func() bool { return o.Status(t.Context()).State == Working })
		w.eventually("both are sent", func() bool { return w.states() == "sent sent" })
	})
}

func TestASiteURLMayChangeWhileNothingWaits(t *testing.T) {
	w := newWorld(t)
	o := w.start()
	w.ask(o, "reset", "anna")
	w.eventually("it is sent", func() bool { return w.states() == "sent" })
	w.settings.Site.URL = elsewhere
	moved := w.settings
	o.Apply(&moved)
	w.eventually("it is adopted", func() bool { return w.text(`SELECT site_url FROM postroom.guard`) == elsewhere })
	w.ask(o, "reset", "ben")
	w.eventually("the next is sent", func() bool { return w.states() == "sent sent" })
}

// A settings change holds a working outbox too, and lets go of a node that was only late to hear of it.
func TestASiteURLThatChangesWhileMailWaits(t *testing.T) {
	w := newWorld(t)
	w.peer.At(peer.MAIL, peer.Say("451 4.3.0 Later"))
	o, late := w.start(), w.start(w.otherStore)
	w.ask(o, "reset", "anna")
	w.eventually("it waits", func() bool { return w.states() == "deferred" })
	w.peer.At(peer.MAIL, nil)
	w.settings.Site.URL = elsewhere
	moved := w.settings
	o.Apply(&moved)
	w.eventually("it is held", func() bool { return o.Status(t.Context()).State == Held && w.states() == "held" })
	w.hurry()
	time.Sleep(300 * time.Millisecond)
	if len(w.peer.Mails()) > 0 {
		t.Fatal("the late node sent it")
	}
	if err := o.Decide(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	w.eventually("it is sent, whatever the late node thinks", func() bool { return w.states() == "cancelled sent" })
	late.Apply(&moved)
	w.eventually("the late node works too", func() bool { return late.Status(t.Context()).State == Working })
	w.ask(late, "reset", "ben")
	w.eventually("it is sent", func() bool { return w.states() == "cancelled sent sent" })
}

// R27: a mail sealed under another key is left to a node that has it.
func TestAnotherNodeHasTheKey(t *testing.T) {
	w := waitingWorld(t)
	w.settings.AtRestKey = keyTwo
	lacking := w.start()
	w.eventually("it is noticed", func() bool {
		return strings.Contains(strings.Join(lacking.Status(t.Context()).Warnings, "\n"), "AtRestEncryptKey")
	})
	time.Sleep(700 * time.Millisecond)
	if w.states() != "deferred" || strings.Count(w.log.String(), "another AtRestEncryptKey") != 1 {
		t.Errorf("%s\n%s", w.states(), w.log.String())
	}
	w.settings.AtRestKey = keyOne
	w.start(w.otherStore)
	// Either may come across it.
	w.eventually("the other sends it", func() bool { w.hurry(); return w.states() == "sent" })
}

// R27: when nobody has the key, account mail is minted and composed anew.
func TestNobodyHasTheKey(t *testing.T) {
	w := waitingWorld(t)
	w.exec(`UPDATE postroom.tokens SET redirect = '/team'`)
	w.settings.AtRestKey = keyTwo
	w.start()
	w.eventually("its key is missed", w.keyIsMissed)
	w.exec(`UPDATE postroom.mails SET key_missing_since = key_missing_since - interval '121 s'`)
	w.hurry()
	w.eventually("a new one is sent", func() bool { return w.states() == "cancelled sent" })
	if reason := w.text(`SELECT reason FROM postroom.mails WHERE state = 'cancelled'`); !strings.Contains(reason, "AtRestEncryptKey") {
		t.Error(reason)
	}
	taken := w.peer.Mails()
	_, _, token := w.read(taken[0])
	found, err := w.store.Look(t.Context(), "reset", digestOf(token))
	if err != nil || found.Row == nil || found.Row.Redirect == nil || *found.Row.Redirect != "/team" {
		t.Errorf("%+v, %v", found.Row, err)
	}
	if n := w.text(`SELECT count(*) FROM postroom.tokens`); n != "1" {
		t.Errorf("%s tokens", n)
	}
}

func TestWhatNobodyCanOpenFailsAtItsEnd(t *testing.T) {
	w := waitingWorld(t)
	w.settings.AtRestKey = keyTwo
	w.start()
	w.eventually("its key is missed", w.keyIsMissed)
	w.exec(`UPDATE postroom.mails SET expires_at = now()`)
	w.hurry()
	w.eventually("it fails", func() bool { return w.states() == "failed" })
	if reason := w.text(`SELECT reason FROM postroom.mails`); !strings.Contains(reason, "AtRestEncryptKey") {
		t.Error(reason)
	}
}

func TestADamagedBodyFails(t *testing.T) {
	w := waitingWorld(t)
	w.exec(`UPDATE postroom.mails SET sealed = overlay(sealed PLACING '\x00000000' FROM length(sealed) - 3)`)
	w.start()
	w.eventually("it fails", func() bool { return w.states() == "failed" })
	if reason := w.text(`SELECT reason FROM postroom.mails`); !strings.Contains(reason, "damaged") || len(w.peer.Mails()) > 0 {
		t.Error(reason)
	}
}

// No AtRestEncryptKey: requests wait, and a warning names the setting's mend.
func TestNoKey(t *testing.T) {
	w := newWorld(t)
	w.settings.AtRestKey = ""
	w.settings.Email = json.RawMessage(`{}`)
	o := w.start()
	w.ask(o, "reset", "anna")
	w.eventually("a warning says so", func() bool {
		return strings.Contains(strings.Join(o.Status(t.Context()).Warnings, "\n"), "AtRestEncryptKey")
	})
	if w.states() != "" {
		t.Error(w.states())
	}
}
