package flow

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // CRAM-MD5's own
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier/peer"
)

const (
	patience     = 30 * time.Second
	testID       = "6c6b8e0a-5f0e-4a0e-9d7b-1f2a3b4c5d6e"
	testPassword = "hunter2-and-a-half"
)

var anna = Asker{UserID: "anna", Address: "203.0.113.7", RequestID: "r", UserAgent: "test"}

// form is Mattermost's settings as the console posts them, for a peer.
func form(p *peer.Peer, change map[string]any) Input {
	settings := map[string]any{
		"FeedbackName": "", "FeedbackEmail": "from@example.com", "ReplyToAddress": "", "EnableSMTPAuth": false, "SMTPUsername": "",
		"SMTPPassword": "", "SMTPServer": "localhost", "SMTPPort": fmt.Sprint(p.Port), "SMTPServerTimeout": 10,
		"ConnectionSecurity": "", "SkipServerCertificateVerification": true,
	}
	maps.Copy(settings, change)
	raw, _ := json.Marshal(map[string]any{"EmailSettings": settings})
	return Input{Body: raw}
}

// run is a test that runs, and what it has told.
type run struct {
	events chan TestEvent
	ended  chan struct{}
	answer Answer
	err    error
}

// begin starts one, and waits for it to be told that it has begun.
func (s *stage) begin(name string, input Input, id string) *run {
	s.Helper()
	r := &run{events: make(chan TestEvent, 1000), ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.answer, r.err = s.flows.TestConnection(s.Context(), name, input, anna, id, func(event TestEvent) error { r.events <- event; return nil })
	}()
	if event := r.next(s); event.Begun == "" || id != "" && event.Begun != id {
		s.Fatalf("%+v", event)
	}
	return r
}

func (r *run) next(s *stage) TestEvent {
	s.Helper()
	for {
		select {
		case event := <-r.events:
			if event != (TestEvent{}) { // no sign of life
				return event
			}
		case <-r.ended:
			select {
			case event := <-r.events:
				return event
			default:
				s.Fatalf("nothing more is told: %+v %v", r.answer, r.err)
			}
		case <-time.After(patience):
			s.Fatal("nothing is told")
		}
	}
}

// until reads on to a step.
func (r *run) until(s *stage, name string) core.Step {
	s.Helper()
	for {
		if event := r.next(s); event.Step != nil && event.Step.Step == name {
			return *event.Step
		}
	}
}

func (r *run) done(s *stage) *Tested {
	s.Helper()
	for {
		if event := r.next(s); event.Done != nil {
			return event.Done
		}
	}
}

func step(found core.Diagnosis, name string) core.Step {
	for _, step := range found.Steps {
		if step.Step == name {
			return step
		}
	}
	return core.Step{}
}

// audited are the acts that wait for the shim.
func (s *stage) audited() string {
	s.Helper()
	acts, err := s.flows.Store.TakeActs(s.Context(), 100, time.Millisecond)
	if err != nil {
		s.Fatal(err)
	}
	raw, err := json.Marshal(acts)
	if err != nil {
		s.Fatal(err)
	}
	return string(raw)
}

func TestEachStepIsToldWhenItEnds(t *testing.T) {
	s, p := newStage(t), peer.Start(t, func(p *peer.Peer) { p.Extensions = []string{"8BITMIME"} })
	release := make(chan struct{})
	p.At(peer.RCPT, func(conversation *peer.Session) bool {
		<-release
		return peer.Say("250 2.1.5 Ok")(conversation)
	})
	p.At(peer.Dot, peer.Keep(peer.Say("250 2.0.0 Ok: queued as 4Zq7E2E")))
	r := s.begin("mattermost", form(p, nil), testID)
	if found := r.until(s, "mail_from"); found.State != "ok" {
		t.Errorf("%+v", found)
	}
	close(release) // RCPT was not answered before that was told
	if found := r.until(s, "queued"); found.State != "ok" {
		t.Errorf("%+v", found)
	}
	tested := r.done(s)
	if tested.Error != nil || tested.Cancelled || tested.Diagnosis.SentTo != "anna@example.com" || tested.Diagnosis.QueueID == nil || *tested.Diagnosis.QueueID != "4Zq7E2E" {
		t.Errorf("%+v", tested)
	}
	var order []string
	for _, step := range tested.Diagnosis.Steps {
		order = append(order, step.Step)
	}
	if want := "dns tcp greeting ehlo auth mail_from rcpt_to data queued spf dkim dmarc mx ptr"; strings.Join(order, " ") != want {
		t.Errorf("the steps are %v", order)
	}
	if found := step(tested.Diagnosis, "spf"); found.State == "ok" || found.Said == "" { // nobody answers there
		t.Errorf("%+v", found)
	}
	if mails := p.Mails(); len(mails) != 1 {
		t.Errorf("%+v", mails)
	}
	audit := s.audited()
	for _, word := range []string{"postroomTestConnection", fmt.Sprintf("localhost:%d", p.Port), "accepted", "anna", "203.0.113.7"} {
		if !strings.Contains(audit, word) {
			t.Errorf("the audit record lacks %s: %s", word, audit)
		}
	}
}

// email/test answers with Mattermost's words and the diagnosis, and what to change in its message.
func TestMailTested(t *testing.T) {
	s, p := newStage(t), peer.Start(t)
	answer, err := s.flows.TestMail(t.Context(), form(p, nil), anna, "")
	raw, _ := json.Marshal(answer.JSON)
	if err != nil || !strings.HasPrefix(string(raw), `{"status":"OK","diagnosis":{"steps":[{"step":"dns"`) {
		t.Errorf("%s %v", raw, err)
	}
	p.At(peer.RCPT, peer.Say("550 5.1.1 No such person"))
	answer, err = s.flows.TestMail(t.Context(), form(p, nil), anna, "")
	if err != nil || answer.AppError == nil || answer.Diagnosis == nil {
		t.Fatalf("%+v %v", answer, err)
	}
	found := step(*answer.Diagnosis, "rcpt_to")
	if answer.AppError.Status != 500 || answer.AppError.ID != "app.admin.test_email.failure" || found.State != "failed" ||
		!strings.HasPrefix(answer.AppError.Message, "Connection unsuccessful: ") || !strings.Contains(answer.AppError.Message, "5.1.1 No such person") ||
		!strings.Contains(answer.AppError.Message, found.Advice) {
		t.Errorf("%+v %+v", answer.AppError, found)
	}
}

func TestATestIsCancelled(t *testing.T) {
	s, p := newStage(t), peer.Start(t)
	p.At(peer.EHLO, peer.Stall())
	r := s.begin("mattermost", form(p, nil), testID)
	r.until(s, "greeting")
	if answer, err := s.flows.CancelTest(t.Context(), testID, Asker{UserID: "bert"}); err != nil || answer.AppError == nil || answer.AppError.Status != 404 {
		t.Errorf("another user cancels: %+v %v", answer, err)
	}
	if answer, err := s.flows.CancelTest(t.Context(), testID, anna); err != nil || answer.AppError != nil {
		t.Fatalf("%+v %v", answer, err)
	}
	tested := r.done(s)
	if !tested.Cancelled || tested.Error == nil || tested.Error.ID != "plugin.postroom.test_cancelled.app_error" || tested.Diagnosis.SentTo != "" {
		t.Errorf("%+v", tested)
	}
	if audit := s.audited(); !strings.Contains(audit, `"cancelled"`) {
		t.Error(audit)
	}
}

// A client that reads no more, and one that has left.
func TestATestEndsWithItsClient(t *testing.T) {
	s, p := newStage(t), peer.Start(t)
	p.At(peer.EHLO, peer.Stall())
	began := time.Now()
	gone := errors.New("nobody reads")
	if _, err := s.flows.TestConnection(t.Context(), "mattermost", form(p, nil), anna, "", func(event TestEvent) error {
		if event.Step != nil && event.Step.Step == "greeting" {
			return gone
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > patience-5*time.Second { // EHLO has 30 s
		t.Errorf("it went on for %s", took)
	}
}

func TestAFourthTestIsToldWhenThereIsRoom(t *testing.T) {
	s, p := newStage(t), peer.Start(t)
	p.At(peer.EHLO, peer.Stall())
	var three []*run
	for range 3 {
		three = append(three, s.begin("mattermost", form(p, nil), ""))
	}
	for name, ask := range map[string]func() (Answer, error){
		"email/test": func() (Answer, error) { return s.flows.TestMail(t.Context(), form(p, nil), anna, "") },
		"a stream": func() (Answer, error) {
			return s.flows.TestConnection(t.Context(), "mattermost", form(p, nil), anna, "", func(event TestEvent) error {
				t.Errorf("it tells %+v", event)
				return nil
			})
		},
	} {
		answer, err := ask()
		if err != nil || answer.AppError == nil || answer.AppError.Status != 429 || answer.RetryAt.Before(time.Now()) || answer.RetryAt.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s: %+v %v", name, answer, err)
		}
	}
	for id := range three {
		for trial := range s.runningTests() {
			_, _ = s.flows.CancelTest(t.Context(), trial, Asker{Admin: true})
		}
		if tested := three[id].done(s); !tested.Cancelled {
			t.Errorf("%+v", tested)
		}
	}
}

// runningTests are those in the database.
func (s *stage) runningTests() map[string]bool {
	s.Helper()
	found := map[string]bool{}
	rows, err := s.flows.Store.Pool().Query(s.Context(), `SELECT id::text FROM postroom.trials`)
	if err != nil {
		s.Fatal(err)
	}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			s.Fatal(err)
		}
		found[id] = true
	}
	return found
}

// The whole is bounded, and a bound that is reached is no cancellation.
func TestATestIsBounded(t *testing.T) {
	s, p := newStage(t), peer.Start(t)
	s.flows.Trials.Within = 3 * time.Second
	p.At(peer.EHLO, peer.Stall())
	tested := s.begin("mattermost", form(p, nil), "").done(s)
	if found := step(tested.Diagnosis, "ehlo"); tested.Cancelled || tested.Error == nil || tested.Error.Status != 500 || found.State != "failed" {
		t.Errorf("%+v", tested)
	}
}

// Postroom's own connections, saved and not.
func TestOwnConnectionsAreTested(t *testing.T) {
	s, saved, typed := newStage(t), peer.Start(t), peer.Start(t)
	own := func(p *peer.Peer, change map[string]string) map[string]string {
		settings := map[string]string{"PrimaryHost": "127.0.0.1", "PrimaryPort": fmt.Sprint(p.Port), "PrimarySecurity": "none"}
		maps.Copy(settings, change)
		return settings
	}
	s.snapshot.Own = own(saved, nil)
	s.flows.Apply(t.Context(), &s.snapshot)
	if tested := s.begin("primary", Input{}, "").done(s); tested.Error != nil || len(saved.Mails()) != 1 {
		t.Errorf("%+v", tested.Error)
	}
	body, _ := json.Marshal(map[string]any{"settings": own(typed, map[string]string{"FromAddress": "typed@example.com"})})
	if tested := s.begin("primary", Input{Body: body}, "").done(s); tested.Error != nil || len(typed.Mails()) != 1 || typed.Mails()[0].From != "typed@example.com" {
		t.Errorf("%+v %+v", tested.Error, typed.Mails())
	}
	for name, c := range map[string]struct {
		connection, body string
		status           int
		words            string
	}{
		"none of that name": {"other", "", 404, ""},
		"not set":           {"fallback", "", 404, ""},
		"no JSON":           {"primary", "hello", 400, "settings"},
		"can't be used":     {"primary", `{"settings": {"PrimaryHost": "127.0.0.1", "PrimaryPort": "no port", "PrimarySecurity": "none"}}`, 400, "PrimaryPort"},
	} {
		answer, err := s.flows.TestConnection(t.Context(), c.connection, Input{Body: []byte(c.body)}, anna, "", func(TestEvent) error { t.Error(name, "begins"); return nil })
		if err != nil || answer.AppError == nil || answer.AppError.Status != c.status || !strings.Contains(answer.AppError.Message, c.words) {
			t.Errorf("%s: %+v %v", name, answer.AppError, err)
		}
	}
}

// No secret in any form is in what is told, answered, logged or audited, also where the server says it back.
func TestATestTellsNoSecret(t *testing.T) {
	s := newStage(t)
	var logged bytes.Buffer
	var mutex sync.Mutex
	s.flows.Log = slog.New(slog.NewTextHandler(writer(func(text []byte) {
		mutex.Lock()
		defer mutex.Unlock()
		logged.Write(text)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, mechanism := range []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"} {
		t.Run(mechanism, func(t *testing.T) {
			var heard []string
			p := peer.Start(t, func(p *peer.Peer) { p.Extensions = []string{"AUTH " + mechanism} })
			p.At(peer.AUTH, func(session *peer.Session) bool {
				_, initial, _ := strings.Cut(strings.TrimPrefix(session.Line(), "AUTH "), " ")
				heard = append(heard, initial)
				echo := func(session *peer.Session) bool {
					mutex.Lock()
					defer mutex.Unlock()
					said := strings.Join(heard, " ")
					for _, word := range heard {
						plain, _ := base64.StdEncoding.DecodeString(word)
						said += " " + strings.ReplaceAll(string(plain), "\x00", " ") + " " + hex.EncodeToString(plain)
					}
					return peer.Say("535 5.7.8 I do not like " + said)(session)
				}
				ask := func(challenge string) { heard = append(heard, session.Ask(challenge)) }
				switch mechanism {
				case "LOGIN":
					ask("Username:")
					ask("Password:")
				case "CRAM-MD5":
					ask(cramChallenge)
				case "SCRAM-SHA-256":
					first, _ := base64.StdEncoding.DecodeString(initial)
					_, nonce, _ := strings.Cut(string(first), ",r=")
					ask("r=" + nonce + "peers,s=" + base64.StdEncoding.EncodeToString([]byte("salt-of-the-peer")) + ",i=4096")
				}
				return echo(session)
			})
			input := form(p, map[string]any{"EnableSMTPAuth": true, "SMTPUsername": "postroom", "SMTPPassword": testPassword})
			answer, err := s.flows.TestMail(t.Context(), input, anna, "")
			if err != nil || answer.AppError == nil || answer.Diagnosis == nil || step(*answer.Diagnosis, "auth").State != "failed" {
				t.Fatalf("%+v %v", answer, err)
			}
			r := s.begin("mattermost", input, "")
			var told []any
			for {
				event := r.next(s)
				told = append(told, event)
				if event.Done != nil {
					break
				}
			}
			mutex.Lock()
			defer mutex.Unlock()
			if len(heard) < 2 {
				t.Fatalf("the peer has heard %q", heard)
			}
			mac := hmac.New(md5.New, []byte(testPassword))
			mac.Write([]byte(cramChallenge))
			digest := mac.Sum(nil)
			secrets := []string{testPassword, hex.EncodeToString([]byte(testPassword)), base64.StdEncoding.EncodeToString([]byte(testPassword)),
				base64.StdEncoding.EncodeToString([]byte("\x00postroom\x00" + testPassword)), hex.EncodeToString(digest), base64.StdEncoding.EncodeToString(digest)}
			for _, word := range heard {
				plain, _ := base64.StdEncoding.DecodeString(word)
				if string(plain) == "postroom" || len(plain) == 0 { // the user's name is none
					continue
				}
				secrets = append(secrets, word)
				if _, proof, is := strings.Cut(string(plain), ",p="); is {
					secrets = append(secrets, proof)
				}
			}
			for what, text := range map[string]string{
				"the answer": asJSON(t, answer), "the events": asJSON(t, told), "the log": logged.String(), "the audit log": s.audited(),
			} {
				for _, secret := range secrets {
					if strings.Contains(text, secret) {
						t.Errorf("%s has %q: %s", what, secret, text)
					}
				}
			}
		})
	}
}

const cramChallenge = "<1896.697170952@peer.test>"

type writer func([]byte)

func (w writer) Write(text []byte) (int, error) { w(text); return len(text), nil }

func asJSON(t *testing.T, what any) string {
	t.Helper()
	raw, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
