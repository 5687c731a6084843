package specs

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// unlucky is a server of its own with the relay on, and an upstream server at which anything may go wrong. Each mail
// has a domain of its own, which the outbox shows, and a sender of its own, which the peer is told.
type unlucky struct {
	node     *harness.Node
	admin    *harness.Client
	database string
	relay    harness.Submission
	forward  *harness.Forwarder // what the relay's upstream is; another server can be put behind it
	peer     *harness.Sink      // with STARTTLS and AUTH
	trouble  *trouble
	people   []*harness.User // with no mail on its way
}

const faultZone = ".faults.test"

func faultAddress(id string) string { return "person@" + id + faultZone }

// TestUpstreamFaults is what an upstream server can do to mail that Mattermost gave the relay, and what becomes of a heap
// of it: R2 to R5, R9 to R11, R17, R22, R27, R28, S30.
func TestUpstreamFaults(t *testing.T) {
	t.Parallel()
	node, admin, database := separateNamed(t, harness.NodeConfig{})
	u := &unlucky{node: node, admin: admin, database: database, peer: must(house.stage.StartSecureSink())(t)}
	u.forward = must(house.stage.StartForwarder(u.peer.Port))(t)
	u.trouble = newTrouble(u.peer)
	u.people = welcomed(t, admin, 5)
	u.upstream(t, "127.0.0.1", u.forward.Port, true)

	deaf := u.askDeafServer(t)
	t.Run("a stall at each step", u.stalls)
	t.Run("each fault at each step", u.everyFault)
	t.Run("three recipients, three fates", u.threeFates)
	t.Run("broken off before the last reply", u.brokenOff)
	t.Run("the relay's door", u.door)
	t.Run("two hundred at once", u.atOnce)
	t.Run("what was put off arrives, once", u.allArrive)
	t.Run("a server that accepts no connection", func(t *testing.T) { deaf(t) })
	t.Run("Postfix's smtp-sink", u.smtpSink)
	t.Run("a name that nobody has", u.noSuchName)
	t.Run("a heap of notifications", u.heap)
	t.Run("a fallback", u.fallback)
	t.Run("another AtRestEncryptKey", u.otherKey)
	t.Run("another SiteURL", u.otherSite)
}

// upstream has the relay send to another server: an admin edits the SMTP page and switches the relay on again.
func (u *unlucky) upstream(t *testing.T, server string, port int, secure bool) {
	t.Helper()
	settings := map[string]any{
		"SMTPServer": server, "SMTPPort": fmt.Sprint(port), "ConnectionSecurity": "", "EnableSMTPAuth": false,
		"SMTPUsername": "", "SMTPPassword": "", "SkipServerCertificateVerification": false,
	}
	if secure {
		settings["ConnectionSecurity"], settings["EnableSMTPAuth"], settings["SkipServerCertificateVerification"] = "STARTTLS", true, true
		settings["SMTPUsername"], settings["SMTPPassword"] = "acme", "a-password-of-the-upstream"
	}
	check(t, u.admin.Patch(map[string]any{"EmailSettings": settings}))
	check(t, harness.Eventually(mailWithin, func() error {
		var status relayStatus
		if err := u.admin.Must("GET", harness.Plugin+"/api/v1/relay", nil, &status); err != nil || status.Enabled || !status.Healthy {
			return fmt.Errorf("the relay is not ready to be switched on: %+v %w", status, err)
		}
		return nil
	}))
	if status := switchRelay(t, u.admin, "enable"); !status.Enabled {
		t.Fatalf("%+v", status)
	}
	u.relay = must(u.node.Submission())(t)
}

// welcomed makes accounts and waits until Mattermost has greeted them, before the relay is on: what comes after is the test's.
func welcomed(t *testing.T, admin *harness.Client, number int) (people []*harness.User) {
	t.Helper()
	for range number {
		user := must(admin.CreateUser(unique("welcomed"), "en"))(t)
		waitAny(t, user.Email, func(*harness.Message) bool { return true })
		people = append(people, user)
	}
	return people
}

// hand gives the relay a notification.
func (u *unlucky) hand(t *testing.T, id string) { u.handMail(t, id, notification(id)) }

func (u *unlucky) handMail(t *testing.T, id string, message []byte) {
	t.Helper()
	if how, err := u.relay.Send(id+"@sender.test", faultAddress(id), message); how != harness.Accepted {
		t.Fatalf("%s: %s %v", id, how, err)
	}
}

// becomes waits until the mail is in one of the states.
func (u *unlucky) becomes(t *testing.T, id string, states ...string) (found harness.Mail) {
	t.Helper()
	check(t, harness.Eventually(time.Minute, func() error {
		mails, err := u.admin.Mails()
		if err != nil {
			return err
		}
		for _, mail := range mails {
			if strings.HasSuffix(mail.MaskedTo, "@"+id+faultZone) {
				if found = mail; strings.Contains(" "+strings.Join(states, " ")+" ", " "+mail.State+" ") {
					return nil
				}
			}
		}
		return fmt.Errorf("%s is none of %v but %+v", id, states, found)
	}))
	return found
}

// arrivals is how often a mail has come to a sink, answered or not.
func arrivals(sink *harness.Sink, address string) (messages []harness.Received) {
	for _, mail := range sink.Mails() {
		for _, to := range mail.To {
			if to == address {
				messages = append(messages, mail)
			}
		}
	}
	return messages
}

// trouble decides what goes wrong at the peer, and where.
type trouble struct {
	mu      sync.Mutex
	senders map[int]string // of a conversation
	tried   map[string]int // by recipient, how often it was named
	decide  func(where) harness.Fault
}

// where is a command in a conversation, and whose mail that is about; "" before MAIL.
type where struct{ command, sender, recipient string }

func newTrouble(peer *harness.Sink) *trouble {
	all := &trouble{senders: map[int]string{}, tried: map[string]int{}}
	peer.Behave(harness.Behaviour{At: all.at})
	return all
}

func (all *trouble) at(moment harness.Moment) harness.Fault {
	all.mu.Lock()
	defer all.mu.Unlock()
	_, after, _ := strings.Cut(moment.Argument, "<")
	address, _, _ := strings.Cut(after, ">")
	place := where{command: moment.Command}
	switch moment.Command {
	case "MAIL":
		all.senders[moment.Conversation] = strings.TrimSuffix(address, "@sender.test")
	case "RCPT":
		place.recipient = address
		all.tried[address]++
	}
	place.sender = all.senders[moment.Conversation]
	fault := harness.Fault{}
	if all.decide != nil {
		fault = all.decide(place)
	}
	// Each mail is to come over a connection of its own, so that every step is met: none is left to be kept.
	switch {
	case fault != harness.Fault{}:
	case moment.Command == ".":
		fault.Close = true
	case moment.Command == "RSET":
		fault.Cut = true
	}
	return fault
}

// with has faults decided so from now on; nil for none.
func (all *trouble) with(decide func(where) harness.Fault) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.decide = decide
}

func (all *trouble) tries(address string) int {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.tried[address]
}

// step is a command of the conversation, as the outbox names it in words.
type step struct {
	command, words string
	ofTheMail      bool // what the peer says there is about the mail, not about us
}

var steps = []step{
	{"CONNECT", "the mail server's greeting", false}, {"EHLO", "the hello (EHLO)", false},
	{"STARTTLS", "starting TLS (STARTTLS)", false}, {"HANDSHAKE", "the TLS handshake", false},
	{"AUTH", "logging in to the mail server (AUTH)", false}, {"MAIL", "naming the sender (MAIL FROM)", true},
	{"RCPT", "naming the recipient (RCPT TO)", true}, {"DATA", "offering the message (DATA)", true},
	{"BODY", "sending the message", true}, {".", "the end of the message (final dot)", true}}

// stalls: R2, and R5 at one step. Each stalled mail is shown as being sent, others pass it by, and when its connection is
// cut at last it is put off with the step named. That a stall ends by itself is asserted where its deadlines are short:
// in the courier's own tests, and in the console's test.
func (u *unlucky) stalls(t *testing.T) {
	release := make(chan struct{})
	large := string(notification("BODY")) + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 8_000_000/78)
	for i, step := range append(steps, step{"MAIL", "naming the sender (MAIL FROM)", true}) {
		reached := make(chan struct{})
		var once sync.Once
		u.trouble.with(func(at where) (fault harness.Fault) {
			if at.command == step.command {
				once.Do(func() {
					fault = harness.Fault{Until: release, Cut: true, Drip: i == len(steps)}
					close(reached)
				})
			}
			return fault
		})
		id := fmt.Sprint("stall", i)
		if step.command == "BODY" { // what fits into the buffers on the way would be sent whole
			u.handMail(t, id, []byte(large))
		} else {
			u.hand(t, id)
		}
		select {
		case <-reached:
		case <-time.After(mailWithin):
			t.Fatalf("nothing came to %s: %+v", step.command, u.becomes(t, id, "queued", "sending", "deferred", "failed", "sent"))
		}
	}
	u.trouble.with(nil)
	u.hand(t, "passes")
	u.becomes(t, "passes", "sent")
	for i := range len(steps) + 1 {
		if mail := u.becomes(t, fmt.Sprint("stall", i), "sending"); mail.Attempts > 1 {
			t.Errorf("stalled at %s: %+v", steps[i].command, mail)
		}
	}
	close(release)
	for i, step := range append(steps, step{"MAIL", "naming the sender (MAIL FROM)", true}) {
		id := fmt.Sprint("stall", i)
		switch step.command {
		case ".":
			mail := u.becomes(t, id, "perhaps_delivered")
			if mail.NextAttemptAt != nil || !strings.Contains(mail.Reason, step.words) {
				t.Errorf("cut at %s: %+v", step.command, mail)
			}
		default:
			expectPutOff(t, u.becomes(t, id, "deferred", "failed"), step)
		}
	}
}

// expectPutOff checks a mail whose first attempt did not succeed and that is to be tried again, 10 s later and jittered.
func expectPutOff(t *testing.T, mail harness.Mail, step step) {
	t.Helper()
	if mail.State != "deferred" || mail.NextAttemptAt == nil || mail.FinishedAt != nil || !strings.Contains(mail.Reason, "at "+step.words+":") &&
		!strings.Contains(mail.Reason, "at "+step.words+", ") {
		t.Errorf("%s: %+v", step.command, mail)
		return
	}
	if mail.Attempts != 1 { // a machine so slow that it was tried again already
		t.Logf("%s: tried %d times before it was looked at", step.command, mail.Attempts)
	} else if wait := mail.NextAttemptAt.Sub(mail.QueuedAt); wait < 7*time.Second {
		t.Errorf("%s: tried again %s after it was queued", step.command, wait)
	}
}

// askDeafServer begins the console's test of a server whose port answers nothing: 10 s for that step, whoever waits.
func (u *unlucky) askDeafServer(t *testing.T) (check func(*testing.T)) {
	t.Helper()
	port := must(house.stage.StartDeafPort())(t)
	body := configuration(t, map[string]any{"SMTPServer": "127.0.0.1", "SMTPPort": fmt.Sprint(port), "SMTPPassword": ""})
	type answer struct {
		reply *harness.Reply
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		reply, err := u.admin.Do("POST", harness.Plugin+emailTest, body)
		answers <- answer{reply, err}
	}()
	return func(t *testing.T) {
		got := <-answers
		reply := must(got.reply, got.err)(t)
		if reply.Status != 500 || !strings.Contains(string(reply.Body), "connecting to the mail server") || reply.Took < 9*time.Second || reply.Took > 20*time.Second {
			t.Errorf("%s after %s", reply, reply.Took)
		}
	}
}
