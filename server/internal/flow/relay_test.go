package flow

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/smtp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"postroom/server/internal/engine"
	"postroom/server/internal/limits"
	"postroom/server/internal/outbox"
	"postroom/server/internal/pgtest"
	"postroom/server/internal/relay"
	"postroom/server/internal/store"
	"postroom/server/internal/subjects"
)

const mattermostsToken = "713e9a9a8850a4de8e20a741537d172bee9a0a9663d417e45fa572d508a9a5ab"

// sample is a mail that a real Mattermost sent, and its recipients (core/tests/relay/README.md).
func sample(t testing.TB, name string) (message []byte, to []string) {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "core", "tests", "relay")
	message, err := os.ReadFile(filepath.Join(dir, name+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, name+".envelope.json"))
	if err != nil {
		t.Fatal(err)
	}
	var envelope struct{ To []string }
	if err := json.Unmarshal(text, &envelope); err != nil {
		t.Fatal(err)
	}
	return message, envelope.To
}

// relayStage has the samples' people in it.
func relayStage(t testing.TB) *stage {
	t.Helper()
	s := newStage(t)
	s.snapshot.Site.Name, s.snapshot.Site.FromAddress = "Acme Chat", "noreply@example.com"
	s.flows.Outbox.Apply(s.flows.Apply(t.Context(), &s.snapshot))
	for id, email := range map[string]string{"annaen": "anna.en@example.com", "berten": "bert.en@example.com"} {
		s.exec(fmt.Sprintf(`INSERT INTO users (id, username, email, deleteat, emailverified, roles, lastpasswordupdate, locale, authservice)
			VALUES ('%s', '%s', '%s', 0, false, 'system_user', 1, 'en', '')`, id, id, email))
	}
	return s
}

// mattermostMints puts a token of Mattermost's own into its table.
func (s *stage) mattermostMints(token, kind, user, email string) {
	s.Helper()
	s.exec(fmt.Sprintf(`INSERT INTO tokens (token, createat, type, extra) VALUES ('%s', (extract(epoch FROM now()) * 1000)::bigint, '%s', '{"UserId":"%s","Email":"%s"}')`,
		token, kind, user, email))
}

func (s *stage) take(message []byte, to ...string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
	defer cancel()
	if err := s.flows.Take(ctx, "noreply@example.com", to, message); err != nil {
		s.Fatal(err)
	}
}

// mails are all of them, once they have come to rest.
func (s *stage) mails(n int) []store.Mail {
	s.Helper()
	for waited := time.Now(); time.Since(waited) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		mails, err := s.flows.Store.Mails(s.Context(), store.MailFilter{}, 100)
		if err != nil {
			s.Fatal(err)
		}
		resting := 0
		for _, mail := range mails {
			if mail.FinishedAt != nil || mail.State == store.StateHeld {
				resting++
			}
		}
		if len(mails) == n && resting == n {
			return mails
		}
	}
	s.Fatalf("there are not %d mails at rest: %d", n, s.count(`SELECT count(*) FROM postroom.mails`))
	return nil
}

// body is a captured mail, decoded as far as a test has to look.
func (s *stage) body(id string) string {
	s.Helper()
	answer, err := s.flows.Mail(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	raw, err := json.Marshal(answer.JSON)
	if err != nil {
		s.Fatal(err)
	}
	var shown struct{ Body string }
	if err := json.Unmarshal(raw, &shown); err != nil {
		s.Fatal(err)
	}
	return strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(shown.Body)
}

func TestMattermostsResetIsTakenWithItsToken(t *testing.T) {
	s := relayStage(t)
	s.mattermostMints(mattermostsToken, store.InnerReset, "annaen", "anna.en@example.com")
	message, to := sample(t, "reset.en")
	s.take(message, to...)
	mail := s.mails(1)[0]
	if mail.Kind != "reset" || mail.Class != store.ClassAccount || mail.MaskedTo != "a***@example.com" || mail.State != store.StateHeld {
		t.Errorf("%+v", mail)
	}
	if n := s.count(`SELECT count(*) FROM tokens`); n != 0 {
		t.Error("Mattermost's token is still in its table")
	}
	if n := s.count(`SELECT count(*) FROM postroom.tokens WHERE account_id = 'annaen' AND purpose = 'reset' AND password_stamp = 1`); n != 1 {
		t.Error("ours is not in ours")
	}
	body := s.body(mail.ID)
	link := linkPattern.FindStringSubmatch(body)
	if link == nil || strings.Contains(body, mattermostsToken) {
		t.Fatal(body)
	}
	// And the link does what it says.
	if page := s.look("reset", link[1]); page.Status != 200 {
		t.Error(page.HTML)
	}
	if answer := s.post("reset", link[1], "a new password 1"); answer.Page.Status != 200 || s.called() != 1 {
		t.Error(answer.Page.HTML)
	}
}

// TestAVerificationOfAPendingAddress: it is not the account's address yet, and the token is bound to both (S11, S28).
func TestAVerificationOfAPendingAddress(t *testing.T) {
	s := relayStage(t)
	s.mattermostMints("c4b9df3838c16165c93839207469e5ab3f9ae1b7f037c64638f7fa19d18e7663", store.InnerVerify, "annaen", "anna.new.en@example.com")
	message, to := sample(t, "email_change_verify.en")
	s.take(message, to...)
	mail := s.mails(1)[0]
	if mail.Kind != "email_change_verify" || s.count(`SELECT count(*) FROM tokens`) != 0 {
		t.Errorf("%+v", mail)
	}
	if n := s.count(`SELECT count(*) FROM postroom.tokens WHERE address = 'anna.new.en@example.com' AND replaces = 'anna.en@example.com'`); n != 1 {
		t.Error("the token is not bound to the address it replaces")
	}
	link := linkPattern.FindStringSubmatch(s.body(mail.ID))
	if link == nil {
		t.Fatal("no link of ours")
	}
	if page := s.look("verify", link[1]); page.Status != 200 {
		t.Error(page.HTML)
	}
	s.exec(`UPDATE users SET email = 'anna.other@example.com' WHERE id = 'annaen'`)
	if page := s.look("verify", link[1]); page.Status == 200 {
		t.Error("it lives on though the address has changed meanwhile")
	}
}

func TestOtherMailIsPassedOnByItsClass(t *testing.T) {
	s := relayStage(t)
	for i, c := range []struct{ sample, kind, class string }{
		{"invitation.en", "invitation", store.ClassInvitation}, {"notification.en", "notification", store.ClassNotification},
		{"password_change.en", "password_change", store.ClassAccount},
		{"reset.en", "other", store.ClassNotification}, // no such token: not believed
	} {
		message, to := sample(t, c.sample)
		s.take(message, to...)
		mail := s.mails(i + 1)[0]
		if mail.Kind != c.kind || mail.Class != c.class {
			t.Errorf("%s: %s, %s, %v", c.sample, mail.Kind, mail.Class, mail.Note)
		}
		lifetime := mail.ExpiresAt.Sub(mail.QueuedAt).Round(time.Hour)
		if want := map[string]time.Duration{store.ClassInvitation: 48 * time.Hour}[c.class]; want != 0 && lifetime != want || lifetime < 24*time.Hour {
			t.Errorf("%s lives %v", c.sample, lifetime)
		}
	}
	if n := s.count(`SELECT count(*) FROM postroom.tokens`); n != 0 {
		t.Error("a token came of a mail that was not believed")
	}
	if n := s.count(`SELECT count(*) FROM postroom.mails WHERE account_id = 'annaen'`); n != 3 {
		t.Errorf("%d mails are known as anna's, to go with her account", n)
	}
}

// TestATokenQuotedInANotificationIsLeftAlone: a message may hold a live link of another's.
func TestATokenQuotedInANotificationIsLeftAlone(t *testing.T) {
	s := relayStage(t)
	s.mattermostMints("ee8e658590c9a5e119400a774415a01db104de1ee6e2c29ec69aa73ef46544d2", store.InnerReset, "berten", "bert.en@example.com")
	message, to := sample(t, "notification.en")
	s.take(message, to...)
	if mail := s.mails(1)[0]; mail.Kind != "notification" || s.count(`SELECT count(*) FROM tokens`) != 1 {
		t.Errorf("%+v", mail)
	}
}

// TestEachRecipientHasHisOwnRow (R4).
func TestEachRecipientHasHisOwnRow(t *testing.T) {
	s := relayStage(t)
	message, _ := sample(t, "notification.en")
	s.take(message, "anna.en@example.com", "bert.en@example.com", "guest@elsewhere.example")
	masked := map[string]bool{}
	for _, mail := range s.mails(3) {
		masked[mail.MaskedTo] = true
		if !strings.Contains(s.body(mail.ID), "Subject:") {
			t.Error("a row does not open")
		}
	}
	if len(masked) != 3 {
		t.Error(masked)
	}
}

// TestNothingInAMailIsRefused (R12): junk goes on as it came.
func TestNothingInAMailIsRefused(t *testing.T) {
	s := relayStage(t)
	junk := []string{"", "\r\n", "no header at all\r\n", "Subject: \x00\xff\x80\r\n\r\n\x00\x01\r\n", strings.Repeat("(", 5000) + "\r\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", 500)}
	for _, message := range junk {
		s.take([]byte(message), "anna.en@example.com")
	}
	s.mails(len(junk))
	// What even the reading of a mail would trip over is sealed without a look at it.
	relayed, err := s.flows.takeIn(t.Context(), s.flows.current.Load(), &incoming{from: "a@example.com", to: []string{"anna.en@example.com", "x"}, message: []byte("anything\r\n"), passed: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.flows.Outbox.Commit(t.Context(), relayed); err != nil {
		t.Fatal(err)
	}
	var passed int
	for _, mail := range s.mails(len(junk) + 2) {
		if mail.Note != nil && *mail.Note == "passed_on:test" {
			passed++
			if mail.Kind != "other" || s.body(mail.ID) != "anything\r\n" {
				t.Errorf("%+v", mail)
			}
		}
	}
	if passed != 2 {
		t.Errorf("%d of 2 recipients", passed)
	}
	for err, want := range map[error]bool{
		engine.ErrTrapped: true, engine.ErrDeadline: true, &engine.CoreError{Code: "internal"}: true,
		context.Canceled: false, errors.New("no connection"): false,
	} {
		if coresFault(fmt.Errorf("wrapped: %w", err)) != want {
			t.Errorf("%v", err)
		}
	}
}

func TestCommittedOnceHoweverOftenItIsTried(t *testing.T) {
	s := relayStage(t)
	s.mattermostMints(mattermostsToken, store.InnerReset, "annaen", "anna.en@example.com")
	reset, resetTo := sample(t, "reset.en")
	note, noteTo := sample(t, "notification.en")
	for _, mail := range []*incoming{{to: resetTo, message: reset}, {to: noteTo, message: note}} {
		taken, err := s.flows.takeIn(t.Context(), s.flows.current.Load(), mail)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // the first was committed, and its answer lost on the way
			if err := s.flows.Outbox.Commit(t.Context(), taken); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.mails(2)
	if n := s.count(`SELECT count(*) FROM postroom.tokens`); n != 1 {
		t.Errorf("%d tokens", n)
	}
}

// TestWhatChangesMeanwhileIsAskedAgain: a token used, or an account changed, between the look and the commit.
func TestWhatChangesMeanwhileIsAskedAgain(t *testing.T) {
	s := relayStage(t)
	message, to := sample(t, "reset.en")
	for _, change := range []string{`DELETE FROM tokens`, `UPDATE users SET lastpasswordupdate = 7 WHERE id = 'annaen'`} {
		s.exec(`DELETE FROM tokens`)
		s.mattermostMints(mattermostsToken, store.InnerReset, "annaen", "anna.en@example.com")
		taken, err := s.flows.takeIn(t.Context(), s.flows.current.Load(), &incoming{to: to, message: message})
		if err != nil || taken.Link == nil {
			t.Fatal(taken, err)
		}
		s.exec(change)
		if err := s.flows.Outbox.Commit(t.Context(), taken); !errors.Is(err, outbox.ErrMoved) {
			t.Errorf("after %s: %v", change, err)
		}
		if n := s.count(`SELECT (SELECT count(*) FROM postroom.mails) + (SELECT count(*) FROM postroom.tokens)`); n != 0 {
			t.Errorf("after %s something was written", change)
		}
	}
}

// TestTheDatabaseIsAwayForAWhile (R6): a mail waits for it and is stored once; longer, it is refused.
func TestTheDatabaseIsAwayForAWhile(t *testing.T) {
	s := relayStage(t)
	line := pgtest.NewLine(t)
	db, err := store.Open(t.Context(), pgtest.Rewritten(t, s.dataSource, line.Port()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	log := slog.New(slog.DiscardHandler)
	snapshot := s.snapshot
	box, err := outbox.New(outbox.Options{Store: db, Engine: s.flows.Engine, Log: log, Node: "behind the line", Settings: &snapshot})
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = box.Stop(ctx)
	})
	f := &Flows{Engine: s.flows.Engine, Store: db, Outbox: box, Limits: limits.New(s.flows.Engine), Log: log,
		Subjects: subjects.New(mattermostDir(t)), Switching: s.flows.Switching}
	f.Apply(t.Context(), &snapshot)
	message, to := sample(t, "notification.en")
	take := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		if err := f.Ready(ctx); err != nil {
			return err
		}
		return f.Take(ctx, "noreply@example.com", to, message)
	}
	if err := take(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	for _, trouble := range []func(){line.Cut, line.Stall} {
		trouble()
		if err := take(time.Second); err == nil {
			t.Error("stored in a database that is away")
		}
		var waiting sync.WaitGroup
		for range 20 {
			waiting.Go(func() {
				if err := take(30 * time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(1500 * time.Millisecond)
		line.Mend()
		waiting.Wait()
	}
	// What was refused may have been stored all the same (a stalled line): at most those two more.
	if n := s.count(`SELECT count(*) FROM postroom.mails`); n < 41 || n > 43 {
		t.Errorf("%d mails of 41", n)
	}
}

// listening is a real relay before the flows.
func (s *stage) listening() (address string, send func(from string, to []string, message []byte) error) {
	s.Helper()
	secrets, err := s.flows.RelaySecrets(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	socket, err := relay.Listen(secrets.Port)
	if err != nil {
		s.Fatal(err)
	}
	listener, err := relay.New(relay.Options{Listener: socket, Taker: s.flows, TLS: secrets.Certificate, Credentials: secrets.Credentials,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.Fatal(err)
	}
	listener.Start()
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = listener.Close(ctx)
	})
	address = listener.Address().String()
	return address, func(from string, to []string, message []byte) error {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		client, err := smtp.NewClient(conn, address)
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }() // no QUIT
		err = client.Hello("localhost")
		if err == nil {
			err = client.Auth(smtp.PlainAuth("", secrets.Credentials.Username, secrets.Credentials.Password, address))
		}
		if err == nil {
			err = client.Mail(from)
		}
		for _, recipient := range to {
			if err == nil {
				err = client.Rcpt(recipient)
			}
		}
		if err != nil {
			return err
		}
		w, err := client.Data()
		if err != nil {
			return err
		}
		if _, err := w.Write(message); err != nil {
			return err
		}
		return w.Close()
	}
}

func TestThroughTheListener(t *testing.T) {
	s := relayStage(t)
	_, send := s.listening()
	s.mattermostMints(mattermostsToken, store.InnerReset, "annaen", "anna.en@example.com")
	message, to := sample(t, "reset.en")
	if err := send("noreply@example.com", to, message); err != nil {
		t.Fatal(err)
	}
	note, noteTo := sample(t, "notification.en")
	var senders sync.WaitGroup
	for range 50 {
		senders.Go(func() {
			if err := send("noreply@example.com", noteTo, note); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	kinds := map[string]int{}
	for _, mail := range s.mails(51) {
		kinds[mail.Kind]++
	}
	if kinds["reset"] != 1 || kinds["notification"] != 50 {
		t.Error(kinds)
	}
}

func TestRelaySecrets(t *testing.T) {
	s := relayStage(t)
	var starting sync.WaitGroup
	all := make([]*RelaySecrets, 4)
	for i := range all { // nodes at their first start
		starting.Go(func() {
			var err error
			if all[i], err = s.flows.RelaySecrets(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	for _, other := range all[1:] {
		if other.Port != all[0].Port || other.Credentials != all[0].Credentials || string(other.Certificate.Certificate[0]) != string(all[0].Certificate.Certificate[0]) {
			t.Error("nodes differ")
		}
	}
	first := all[0]
	if len(first.Credentials.Password) != 43 || first.Port < 20000 || first.Port > 29999 {
		t.Errorf("port %d", first.Port)
	}
	state, err := s.flows.Store.RelayState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if dump := string(state.Certificate) + string(state.Credentials); strings.Contains(dump, first.Credentials.Password) || strings.Contains(dump, "PRIVATE") {
		t.Error("the secrets lie in clear")
	}
	// AtRestEncryptKey has changed. Mattermost's settings name the relay: its password goes on.
	s.snapshot.AtRestKey = strings.Repeat("n", 32)
	s.snapshot.Email = json.RawMessage(fmt.Sprintf(`{"SMTPServer": "127.0.0.1", "SMTPPort": "%d", "SMTPUsername": "%s", "SMTPPassword": "%s"}`,
		first.Port, first.Credentials.Username, first.Credentials.Password))
	s.flows.Apply(t.Context(), &s.snapshot)
	second, err := s.flows.RelaySecrets(t.Context())
	if err != nil || second.Credentials != first.Credentials || second.Port != first.Port {
		t.Fatalf("%v", err)
	}
	// They don't, and a node is there that takes mail with those: it is this one that differs.
	s.snapshot.AtRestKey, s.snapshot.Email = strings.Repeat("m", 32), json.RawMessage(`{}`)
	s.flows.Apply(t.Context(), &s.snapshot)
	if err := s.flows.Store.SayHere(t.Context(), store.Node{Name: "other", Relay: second.Mark}, true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.flows.RelaySecrets(t.Context()); !errors.Is(err, ErrOtherKey) {
		t.Fatal(err)
	}
	if _, err := s.flows.NewerRelaySecrets(t.Context()); !errors.Is(err, ErrOtherKey) {
		t.Error(err)
	}
	// It is gone: others are made, once.
	if err := s.flows.Store.SayGone(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	third, err := s.flows.RelaySecrets(t.Context())
	if err != nil || third.Credentials == first.Credentials {
		t.Fatalf("%v", err)
	}
	if again, err := s.flows.RelaySecrets(t.Context()); err != nil || again.Credentials != third.Credentials {
		t.Errorf("%v", err)
	}
	// A stranger had the port, and may have heard the password.
	moved, err := s.flows.MoveRelay(t.Context())
	if err != nil || moved.Port == third.Port || moved.Credentials.Password == third.Credentials.Password || moved.Mark == third.Mark {
		t.Errorf("not moved: %v", err)
	}
	if newer, err := s.flows.NewerRelaySecrets(t.Context()); err != nil || newer.Port != moved.Port || newer.Credentials != moved.Credentials {
		t.Errorf("%v", err)
	}
}

// TestNoTokenOfMattermostsStays (S5): of a reset that was taken, neither its token nor ours lies anywhere in clear.
func TestNoTokenOfMattermostsStays(t *testing.T) {
	s := relayStage(t)
	s.mattermostMints(mattermostsToken, store.InnerReset, "annaen", "anna.en@example.com")
	message, to := sample(t, "reset.en")
	s.take(message, to...)
	ours := linkPattern.FindStringSubmatch(s.body(s.mails(1)[0].ID))[1]
	conn := pgtest.Connect(t, s.dataSource)
	for _, table := range []string{"tokens", "postroom.tokens", "postroom.mails", "postroom.river_job", "postroom.acts", "postroom.relay"} {
		var all string
		if err := conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(t::text, ' '), '') FROM `+table+` t`).Scan(&all); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(all, mattermostsToken) || strings.Contains(all, ours) || regexp.MustCompile(`anna\.en@`).MatchString(all) && table != "postroom.tokens" {
			t.Errorf("%s holds what it must not", table)
		}
	}
}

// TestALargeMail goes through whole: pictures of a notification.
func TestALargeMail(t *testing.T) {
	s := relayStage(t)
	message := []byte("From: mm@example.com\r\nTo: anna.en@example.com\r\nSubject: pictures\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat(strings.Repeat("A", 76)+"\r\n", 12<<20/78))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.flows.Take(ctx, "mm@example.com", []string{"anna.en@example.com"}, message); err != nil {
		t.Fatal(err)
	}
	mail := s.mails(1)[0]
	if mail.Size < len(message) || mail.Note != nil && strings.Contains(*mail.Note, "passed_on") {
		t.Errorf("%d of %d octets, %v", mail.Size, len(message), mail.Note)
	}
	if body := s.body(mail.ID); len(body) < 12<<20 {
		t.Errorf("%d octets open", len(body))
	}
}
