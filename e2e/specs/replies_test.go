package specs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// everyFault: R3. Each mail meets one fault at one step; those before MAIL any mail meets.
func (u *unlucky) everyFault(t *testing.T) {
	const reply, garbage = true, false
	for name, fault := range map[string]struct {
		harness.Fault
		isReply        bool
		code           int
		enhanced, text string
	}{
		"temporary":  {harness.Fault{Reply: "450 4.2.1 Not now"}, reply, 450, "4.2.1", "Not now"},
		"permanent":  {harness.Fault{Reply: "554 5.7.1 Never"}, reply, 554, "5.7.1", "Never"},
		"going down": {harness.Fault{Reply: "421 4.3.2 Going down", Close: true}, reply, 421, "4.3.2", "Going down"},
		"many lines": {harness.Fault{Reply: "451-4.3.0 one\n451-4.3.0 two\n451 4.3.0 three"}, reply, 451, "4.3.0", "three"},
		"garbage":    {harness.Fault{Reply: "Hello, stranger"}, garbage, 0, "", ""},
		"over-long":  {harness.Fault{Reply: "250-" + strings.Repeat(strings.Repeat("x", 60)+"\n250-", 6000) + "\n250 end", Close: true}, garbage, 0, "", ""},
		"wrong code": {harness.Fault{Reply: "354 Go on"}, garbage, 0, "", ""},
		"cut":        {harness.Fault{Cut: true}, garbage, 0, "", ""},
	} {
		for i, step := range steps {
			made := fault.Fault
			switch step.command {
			case "BODY":
				continue
			case "HANDSHAKE": // no SMTP is spoken there
				if name != "garbage" && name != "cut" {
					continue
				}
			case "DATA":
				if name == "wrong code" {
					made.Reply = "250 2.0.0 Ok"
				}
			}
			id := fmt.Sprintf("%s%d", strings.ReplaceAll(name, " ", ""), i)
			u.trouble.with(func(at where) harness.Fault {
				if at.command == step.command && (at.sender == "" || at.sender == id) {
					return made
				}
				return harness.Fault{}
			})
			u.hand(t, id)
			mail := u.becomes(t, id, "deferred", "failed", "perhaps_delivered", "sent")
			u.trouble.with(nil)
			if name == "permanent" && step.command == "AUTH" {
				u.unpause(t) // else it is tried again after a minute
			}
			label := name + " at " + step.command
			switch {
			case mail.State == "sent":
				t.Errorf("%s: sent without a 2xx after the final dot: %+v", label, mail)
			case step.command == "." && !fault.isReply:
				if mail.State != "perhaps_delivered" || mail.NextAttemptAt != nil || mail.Attempts != 1 {
					t.Errorf("%s: %+v", label, mail)
				}
			case name == "permanent" && step.ofTheMail:
				if mail.State != "failed" || mail.NextAttemptAt != nil || mail.Attempts != 1 || !strings.Contains(mail.Reason, step.words) {
					t.Errorf("%s: %+v", label, mail)
				}
			default:
				expectPutOff(t, mail, step)
			}
			if fault.isReply && (mail.ReplyCode != fault.code || mail.Enhanced != fault.enhanced || !strings.Contains(mail.ReplyText, fault.text)) {
				t.Errorf("%s: the reply is shown as %d %q %q", label, mail.ReplyCode, mail.Enhanced, mail.ReplyText)
			}
		}
	}
}

// threeFates: R4. One mail of the relay's to three people, whom the upstream server answers differently.
func (u *unlucky) threeFates(t *testing.T) {
	u.trouble.with(func(at where) harness.Fault {
		switch at.recipient {
		case faultAddress("later"):
			return harness.Fault{Reply: "450 4.2.2 Mailbox full"}
		case faultAddress("never"):
			return harness.Fault{Reply: "550 5.1.1 No such person"}
		}
		return harness.Fault{}
	})
	how, err := u.relay.SendAll("three@sender.test", []string{faultAddress("now"), faultAddress("later"), faultAddress("never")}, notification("three"))
	if how != harness.Accepted {
		t.Fatal(how, err)
	}
	u.becomes(t, "now", "sent")
	if mail := u.becomes(t, "never", "failed"); mail.Enhanced != "5.1.1" {
		t.Errorf("%+v", mail)
	}
	if mail := u.becomes(t, "later", "deferred"); mail.Enhanced != "4.2.2" || mail.NextAttemptAt == nil {
		t.Errorf("%+v", mail)
	}
	u.trouble.with(nil)
	if mail := u.becomes(t, "later", "sent"); mail.Attempts < 2 {
		t.Errorf("%+v", mail)
	}
	if now, never := u.trouble.tries(faultAddress("now")), u.trouble.tries(faultAddress("never")); now != 1 || never != 1 {
		t.Errorf("the accepted one was tried %d times, the refused one %d times", now, never)
	}
}

// brokenOff: R9. The peer has the mail and nobody knows: what someone waits for goes again, as the same mail.
func (u *unlucky) brokenOff(t *testing.T) {
	user := u.people[4]
	waiting := map[string]string{"reset": user.Email, "invitation": faultAddress("invited")}
	cut := map[string]bool{}
	recipient := map[string]string{} // by sender
	u.trouble.with(func(at where) harness.Fault {
		if at.recipient != "" {
			recipient[at.sender] = at.recipient
		}
		if to := recipient[at.sender]; at.command == "." && !cut[to] && (to == waiting["reset"] || to == waiting["invitation"] || to == faultAddress("told")) {
			cut[to] = true
			return harness.Fault{Cut: true}
		}
		return harness.Fault{}
	})
	// By Mattermost's own endpoint, through the relay.
	expectOK(t, must(viaProxy(u.node.Client).RequestReset(user.Email))(t))
	u.handMail(t, "invited", []byte(strings.ReplaceAll(string(notification("invited")), "You were mentioned",
		u.node.Client.Base+"/signup_user_complete/?d=3D%7B%7D&t=3Dabc You were invited")))
	u.hand(t, "told")

	told := u.becomes(t, "told", "perhaps_delivered")
	if told.NextAttemptAt != nil || told.FinishedAt == nil || told.Attempts != 1 || !strings.Contains(told.Reason, "receipt never came") {
		t.Errorf("a notification: %+v", told)
	}
	for kind, address := range waiting {
		check(t, harness.Eventually(time.Minute, func() error {
			if n := len(arrivals(u.peer, address)); n < 2 {
				return fmt.Errorf("the %s has come %d times", kind, n)
			}
			return nil
		}))
	}
	invited := u.becomes(t, "invited", "sent")
	if invited.Kind != "invitation" || invited.Attempts < 2 {
		t.Errorf("%+v", invited)
	}
	for kind, address := range waiting {
		came := arrivals(u.peer, address)
		if first, second := messageID(t, came[0]), messageID(t, came[1]); len(came) != 2 || first != second {
			t.Errorf("the %s came %d times, as %s and %s", kind, len(came), first, second)
		}
	}
	u.trouble.with(nil)
	if n := len(arrivals(u.peer, faultAddress("told"))); n != 1 {
		t.Errorf("the notification came %d times", n)
	}
}

func messageID(t *testing.T, mail harness.Received) string {
	t.Helper()
	return must(harness.ParseMessage(mail.Data))(t).Header.Get("Message-Id")
}

// allArrive has an admin send at once what still waits, and counts: what was put off has come once, what was refused for
// good never, what perhaps came at most once.
func (u *unlucky) allArrive(t *testing.T) {
	states := map[string]string{}
	check(t, harness.Eventually(2*time.Minute, func() error {
		rows, err := u.rows(`SELECT id::text, split_part(masked_to, '@', 2), state, (next_attempt_at > now() + interval '3 seconds')::text FROM postroom.mails WHERE masked_to LIKE '%' || $1`, faultZone)
		if err != nil {
			return err
		}
		open := 0
		for _, row := range rows {
			mail := strings.Split(row, "\t")
			states[mail[1]] = mail[2]
			switch mail[2] {
			case "queued", "sending", "deferred":
				open++
			}
			if mail[2] == "deferred" && mail[3] == "true" {
				if _, err := u.admin.Do("POST", harness.Plugin+"/api/v1/mails/"+mail[0]+"/resend", nil); err != nil {
					return err
				}
			}
		}
		if open > 0 {
			return fmt.Errorf("%d mails still wait", open)
		}
		return nil
	}))
	count := map[string]int{}
	for domain, state := range states {
		count[state]++
		n := len(arrivals(u.peer, "person@"+domain))
		twice := domain == "invited"+faultZone
		if n > 1 && !twice || state == "sent" && n == 0 || state == "failed" && n > 0 {
			t.Errorf("%s is %s and came %d times", domain, state, n)
		}
	}
	t.Log(count)
}

func (u *unlucky) rows(query string, args ...any) ([]string, error) {
	return house.postgres.Rows(u.database, query, args...)
}

// smtpSink: R2 and R3 again with software that is not ours at the other end.
func (u *unlucky) smtpSink(t *testing.T) {
	u.upstream(t, "127.0.0.1", u.forward.Port, false)
	for i, test := range []struct {
		options         []string
		state, enhanced string
		step            step
	}{
		{[]string{"-r", "RCPT"}, "deferred", "4.3.0", steps[6]},
		{[]string{"-f", "."}, "failed", "5.3.0", steps[9]},
		{[]string{"-q", "DATA"}, "deferred", "", steps[7]},
		{[]string{"-Q", "MAIL"}, "deferred", "", steps[5]},
		{[]string{"-p", "-W", "MAIL:3"}, "sent", "", step{}}, // while it waits it answers what follows: no PIPELINING then
	} {
		sink := must(house.stage.StartPostfixSink(test.options...))(t)
		u.forward.To(sink.Port)
		id := fmt.Sprint("sink", i)
		u.hand(t, id)
		if test.state == "sent" { // slow, and no more than that
			u.becomes(t, id, "sending")
		}
		mail := u.becomes(t, id, test.state)
		if test.enhanced != "" && mail.Enhanced != test.enhanced || !strings.Contains(mail.Reason, test.step.words) {
			t.Errorf("smtp-sink %v: %+v", test.options, mail)
		}
		sink.Stop()
	}
	whole := must(house.stage.StartPostfixSink())(t)
	u.forward.To(whole.Port)
	for _, i := range []int{0, 2, 3} {
		id := fmt.Sprint("sink", i)
		u.becomes(t, id, "sent")
		check(t, harness.Eventually(mailWithin, func() error {
			if came, err := whole.All(faultAddress(id)); err != nil || len(came) != 1 {
				return fmt.Errorf("%d mails for %s have come: %w", len(came), id, err)
			}
			return nil
		}))
	}
}

// noSuchName: R17. The upstream server's name has no address; the mail waits, and leaves when it has. That all addresses
// of a name are tried, and are looked up again at each attempt, is the courier's own test.
func (u *unlucky) noSuchName(t *testing.T) {
	u.upstream(t, "mail.postroom.invalid", 25, false)
	u.hand(t, "nowhere")
	mail := u.becomes(t, "nowhere", "deferred", "failed")
	expectPutOff(t, mail, step{command: "DNS", words: "looking the mail server's name up"})
	later := must(house.stage.StartSink())(t)
	u.upstream(t, "127.0.0.1", later.Port, false)
	u.becomes(t, "nowhere", "sent")
	if n := len(arrivals(later, faultAddress("nowhere"))); n != 1 {
		t.Errorf("it came %d times", n)
	}
}
