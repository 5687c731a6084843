package relay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/smtp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// mail is what the relay handed on.
type mail struct {
	from    string
	to      []string
	message string
}

// taker keeps what it is given, or does as it is told.
type taker struct {
	mu    sync.Mutex
	mails []mail
	ready func(context.Context) error
	take  func(context.Context) error
}

func (k *taker) Ready(ctx context.Context) error {
	if k.ready != nil {
		return k.ready(ctx)
	}
	return nil
}

func (k *taker) Take(ctx context.Context, from string, to []string, message []byte) error {
	if k.take != nil {
		if err := k.take(ctx); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mails = append(k.mails, mail{from, slices.Clone(to), string(message)})
	return nil
}

func (k *taker) taken() []mail {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.mails)
}

type fixture struct {
	t           *testing.T
	relay       *Relay
	taker       *taker
	certificate tls.Certificate
	credentials Credentials
	log         *locked
}

func start(t *testing.T, change ...func(*Options)) *fixture {
	t.Helper()
	both, err := NewCertificate(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, taker: &taker{}, log: &locked{}}
	if f.certificate, err = Certificate(both); err != nil {
		t.Fatal(err)
	}
	if f.credentials, err = NewCredentials(); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limits := Defaults
	options := Options{Listener: socket, Taker: f.taker, TLS: f.certificate, Credentials: f.credentials, Limits: &limits,
		Log: slog.New(slog.NewTextHandler(f.log, nil))}
	for _, c := range change {
		c(&options)
	}
	if f.relay, err = New(options); err != nil {
		t.Fatal(err)
	}
	f.relay.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = f.relay.Close(ctx)
	})
	return f
}

type locked struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func (f *fixture) dial() net.Conn {
	f.t.Helper()
	conn, err := tls.Dial("tcp", f.relay.Address().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		f.t.Fatal(err)
	}
	return conn
}

// loginAuth is Mattermost's (platform/shared/mail/mail.go).
type loginAuth struct{ Credentials }

func (a loginAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, errors.New("unencrypted connection")
	}
	return "LOGIN", []byte{}, nil
}

func (a loginAuth) Next(fromServer []byte, more bool) ([]byte, error) {
	switch string(fromServer) {
	case "Username:":
		return []byte(a.Username), nil
	case "Password:":
		return []byte(a.Password), nil
	}
	if more {
		return nil, errors.New("unknown fromServer")
	}
	return nil, nil
}

// client is a connection made as Mattermost makes it: implicit TLS, EHLO localhost, the server's name with its port.
func (f *fixture) client(auth func(host string) smtp.Auth) (*smtp.Client, error) {
	address := f.relay.Address().String()
	client, err := smtp.NewClient(f.dial(), address)
	if err != nil {
		return nil, err
	}
	if err := client.Hello("localhost"); err != nil {
		return nil, err
	}
	return client, client.Auth(auth(address))
}

func (f *fixture) plain(host string) smtp.Auth {
	return smtp.PlainAuth("", f.credentials.Username, f.credentials.Password, host)
}

// send sends one mail as Mattermost does, and leaves as it does: without QUIT.
func (f *fixture) send(auth func(string) smtp.Auth, from string, to []string, message string) error {
	client, err := f.client(auth)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	if err := client.Mail(from); err != nil {
		return err
	}
	for _, recipient := range to {
		if err := client.Rcpt(recipient); err != nil {
			return err
		}
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, message); err != nil {
		return err
	}
	return w.Close()
}

const letter = "Subject: Hi\r\n\r\n.leading dot\r\nüml\r\n"

func TestMattermostsManners(t *testing.T) {
	f := start(t)
	login := func(string) smtp.Auth { return loginAuth{f.credentials} }
	for name, auth := range map[string]func(string) smtp.Auth{"PLAIN": f.plain, "LOGIN": login} {
		if err := f.send(auth, "mm@example.com", []string{"anna@example.com", "bén@example.com"}, letter); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := f.send(f.plain, "", []string{"anna@example.com"}, letter); err != nil {
		t.Fatalf("no envelope sender: %v", err)
	}
	mails := f.taker.taken()
	if len(mails) != 3 {
		t.Fatalf("%d mails", len(mails))
	}
	for _, m := range mails[:2] {
		if m.from != "mm@example.com" || !slices.Equal(m.to, []string{"anna@example.com", "bén@example.com"}) || m.message != letter {
			t.Errorf("%+v", m)
		}
	}
	// Several mails on one connection are welcome too.
	client, err := f.client(f.plain)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		w := must(t, client, fmt.Sprintf("%d@example.com", i))
		_, _ = io.WriteString(w, letter)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Quit(); err != nil {
		t.Error(err)
	}
	if mails := f.taker.taken(); len(mails) != 6 || mails[5].to[0] != "2@example.com" || len(mails[5].to) != 1 {
		t.Errorf("%+v", mails)
	}
}

func must(t *testing.T, client *smtp.Client, to string) io.WriteCloser {
	t.Helper()
	err := client.Mail("mm@example.com")
	if err == nil {
		err = client.Rcpt(to)
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := client.Data()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTwoHundredAtOnceAndMoreWait(t *testing.T) {
	f := start(t, func(o *Options) { o.Limits.Login, o.Limits.Connections = time.Minute, 200 })
	var ready, senders sync.WaitGroup
	all := make(chan struct{})
	ready.Add(200)
	for i := range 200 {
		senders.Go(func() {
			client, err := f.client(f.plain)
			ready.Done()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = client.Close() }()
			<-all // everybody is connected
			w := must(t, client, fmt.Sprintf("u%d@example.com", i))
			_, _ = io.WriteString(w, letter)
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	ready.Wait()
	late := make(chan error, 1)
	go func() { late <- f.send(f.plain, "mm@example.com", []string{"late@example.com"}, letter) }()
	select {
	case err := <-late:
		t.Errorf("the 201st was served beside 200: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	close(all)
	senders.Wait()
	if err := <-late; err != nil {
		t.Errorf("the 201st: %v", err)
	}
	if n := len(f.taker.taken()); n != 201 {
		t.Errorf("%d mails", n)
	}
}

// talk sends lines over TLS and gives the code of each reply.
type talk struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (f *fixture) talk() *talk {
	conn := f.dial()
	f.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	k := &talk{f.t, conn, bufio.NewReader(conn)}
	if code := k.reply(); code != "220" {
		f.t.Fatalf("greeted with %s", code)
	}
	return k
}

// reply is a reply's code, "" when the connection ended.
func (k *talk) reply() string {
	for {
		line, err := k.in.ReadString('\n')
		if err != nil {
			return ""
		}
		if len(line) > 3 && line[3] == ' ' {
			return line[:3]
		}
	}
}

func (k *talk) say(line string) string {
	_, _ = io.WriteString(k.conn, line)
	return k.reply()
}

// login brings the conversation to where data may follow.
func (f *fixture) login() *talk {
	k := f.talk()
	_, plain, _ := smtp.PlainAuth("", f.credentials.Username, f.credentials.Password, "localhost").Start(&smtp.ServerInfo{Name: "localhost", TLS: true})
	for _, step := range []struct{ line, code string }{
		{"EHLO localhost\r\n", "250"}, {"AUTH PLAIN " + base64of(plain) + "\r\n", "235"},
		{"MAIL FROM:<mm@example.com> BODY=8BITMIME\r\n", "250"}, {"RCPT TO:<anna@example.com>\r\n", "250"},
	} {
		if code := k.say(step.line); code != step.code {
			f.t.Fatalf("%s answered %s", strings.Fields(step.line)[0], code)
		}
	}
	return k
}

func TestNobodyWithoutLogin(t *testing.T) {
	f := start(t)
	k := f.talk()
	for _, step := range []struct{ line, code string }{
		{"MAIL FROM:<a@example.com>\r\n", "502"}, {"EHLO localhost\r\n", "250"}, {"MAIL FROM:<a@example.com>\r\n", "530"},
		{"RCPT TO:<a@example.com>\r\n", "502"}, {"DATA\r\n", "502"}, {"VRFY root\r\n", "252"}, {"EXPN root\r\n", "502"},
		{"STARTTLS\r\n", "502"}, {"AUTH CRAM-MD5\r\n", "504"}, {"AUTH PLAIN AGEAYg==\r\n", "535"}, {"AUTH PLAIN =\r\n", "454"},
	} {
		if code := k.say(step.line); code != step.code {
			t.Errorf("%q: %s", step.line, code)
		}
	}
	// Wrong three times: the connection ends.
	k = f.talk()
	k.say("EHLO x\r\n")
	for range 3 {
		if code := k.say("AUTH PLAIN AGEAYg==\r\n"); code != "535" {
			t.Fatalf("wrong credentials: %s", code)
		}
	}
	if code := k.say("NOOP\r\n"); code != "" {
		t.Errorf("goes on after three wrong logins: %s", code)
	}
	// Without TLS there is no conversation at all.
	plain, err := net.Dial("tcp", f.relay.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	_ = plain.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(plain, "EHLO localhost\r\nMAIL FROM:<a@example.com>\r\n")
	if answer, _ := io.ReadAll(plain); strings.Contains(string(answer), "220") || strings.Contains(string(answer), "250") {
		t.Errorf("speaks in clear: %q", answer)
	}
	if strings.Contains(f.log.String(), f.credentials.Password) {
		t.Error("the log holds the password")
	}
	if len(f.taker.taken()) != 0 {
		t.Error("a mail was taken")
	}
}

func TestOnlyLoopback(t *testing.T) {
	f := start(t)
	socket, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	if _, err := New(Options{Listener: socket, Taker: f.taker, TLS: f.certificate, Credentials: f.credentials, Log: slog.Default()}); err == nil {
		t.Error("listens on every interface")
	}
}

// TestSmuggling: what CVE-2023-51764, 51765 and 51766 are about. No second mail comes of one, however a sender and the
// relay might differ about where the first ends, and no mail is taken whose end is in doubt.
func TestSmuggling(t *testing.T) {
	second := "MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nboo\r\n.\r\n"
	for name, end := range map[string]string{
		"LF.LF": "\n.\n", "LF.CRLF": "\n.\r\n", "CRLF.LF": "\r\n.\n", "CR.CR": "\r.\r", "CR.CRLF": "\r.\r\n", "CRLF.CR": "\r\n.\r",
		"CR.LF": "\r.\n", "LF.CR": "\n.\r", "CRLF.CRCRLF": "\r\n.\r\r\n", "CRLF.NULCRLF, LF": "\r\n.\x00\r\n\n", "CRCRLF.CRLF": "\r\r\n.\r\n",
		"a bare LF in a line": "a\nb", "a bare CR in a line": "a\rb",
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			k := f.login()
			if code := k.say("DATA\r\n"); code != "354" {
				t.Fatal(code)
			}
			_, _ = io.WriteString(k.conn, "Subject: first\r\n\r\nbody"+end+second+"\r\n.\r\n"+second)
			if code := k.reply(); code != "521" {
				t.Errorf("answered %q", code)
			}
			if code := k.reply(); code != "" {
				t.Errorf("and goes on with %q", code)
			}
			if mails := f.taker.taken(); len(mails) != 0 {
				t.Errorf("took %+v", mails)
			}
		})
	}
	t.Run("in a command", func(t *testing.T) {
		f := start(t)
		k := f.talk()
		k.say("EHLO localhost\nMAIL FROM:<a@example.com>\r\n")
		for code := k.reply(); code != ""; code = k.reply() {
			if code != "421" {
				t.Errorf("what follows is answered %q", code)
			}
		}
	})
	t.Run("a command in the middle of a read", func(t *testing.T) {
		f := start(t)
		k := f.login()
		k.say("DATA\r\n")
		for _, octet := range []byte("Subject: x\r\n\r\nbody\r\n..\r\n.\r\n") {
			if _, err := k.conn.Write([]byte{octet}); err != nil {
				t.Fatal(err)
			}
		}
		if code := k.reply(); code != "250" {
			t.Fatal(code)
		}
		if mails := f.taker.taken(); len(mails) != 1 || mails[0].message != "Subject: x\r\n\r\nbody\r\n.\r\n" {
			t.Errorf("%+v", mails)
		}
	})
}

func TestTooLarge(t *testing.T) {
	f := start(t, func(o *Options) { o.Limits.MessageBytes = 1 << 20 })
	line := strings.Repeat("x", 70) + "\r\n"
	err := f.send(f.plain, "mm@example.com", []string{"anna@example.com"}, "Subject: x\r\n\r\n"+strings.Repeat(line, 20_000))
	if err == nil || !strings.HasPrefix(err.Error(), "552") {
		t.Errorf("a mail over the limit: %v", err)
	}
	if code := f.loginWithSize(2 << 20); code != "552" {
		t.Errorf("SIZE over the limit: %s", code)
	}
	var senders sync.WaitGroup
	for range 10 { // more large ones than places for them
		senders.Go(func() {
			if err := f.send(f.plain, "mm@example.com", []string{"anna@example.com"}, "Subject: x\r\n\r\n"+strings.Repeat(line, 10_000)); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	if mails := f.taker.taken(); len(mails) != 10 || len(mails[9].message) != 14+720_000 {
		t.Errorf("%d mails", len(mails))
	}
}

func (f *fixture) loginWithSize(size int) string {
	k := f.login()
	k.say("RSET\r\n")
	return k.say(fmt.Sprintf("MAIL FROM:<mm@example.com> SIZE=%d\r\n", size))
}

func TestWhatCannotBeStoredIsRefusedForNow(t *testing.T) {
	f := start(t)
	f.taker.take = func(context.Context) error { return errors.New("the disk is full") }
	if err := f.send(f.plain, "mm@example.com", []string{"anna@example.com"}, letter); err == nil || !strings.HasPrefix(err.Error(), "452") {
		t.Errorf("at the end: %v", err)
	}
	f.taker.ready = func(context.Context) error { return errors.New("the database is away") }
	client, err := f.client(f.plain)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Mail("mm@example.com"); err == nil || !strings.HasPrefix(err.Error(), "452") {
		t.Errorf("before data: %v", err)
	}
	if len(f.taker.taken()) != 0 {
		t.Error("a mail was taken")
	}
}

// TestAPanicCostsOneMail and nothing else.
func TestAPanicCostsOneMail(t *testing.T) {
	f := start(t)
	f.taker.take = func(context.Context) error { panic("secret words of a mail") }
	if err := f.send(f.plain, "mm@example.com", []string{"anna@example.com"}, letter); err == nil || !strings.HasPrefix(err.Error(), "421") {
		t.Errorf("answered %v", err)
	}
	f.taker.take = nil
	if err := f.send(f.plain, "mm@example.com", []string{"anna@example.com"}, letter); err != nil {
		t.Error(err)
	}
	if strings.Contains(f.log.String(), "secret words") {
		t.Error("the log holds what the mail was about")
	}
}

// TestSlowWriters: one octet at a time for ever is cut off, at each stage, and nothing of it becomes a command; others
// are served meanwhile (R5).
func TestSlowWriters(t *testing.T) {
	f := start(t, func(o *Options) { o.Limits.Login, o.Limits.Command = 700*time.Millisecond, 700*time.Millisecond })
	drip := func(conn net.Conn, text string) {
		for i := 0; ; i++ {
			if _, err := conn.Write([]byte{text[i%len(text)]}); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	began := time.Now()
	var all sync.WaitGroup
	all.Go(func() { // says nothing at all, not even to TLS
		plain, err := net.Dial("tcp", f.relay.Address().String())
		if err != nil {
			t.Error(err)
			return
		}
		_ = plain.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadAll(plain); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Error("a silent connection stays")
		}
	})
	all.Go(func() {
		k := f.talk()
		go drip(k.conn, "EHLO localhost")
		for k.reply() != "" {
		}
	})
	all.Go(func() {
		k := f.login()
		k.say("DATA\r\n")
		go drip(k.conn, "QUIT\r\nMAIL FROM:<evil@example.com>\r\n")
		if code := k.reply(); code != "421" {
			t.Errorf("a dripping mail: %q", code)
		}
		if code := k.reply(); code != "" {
			t.Errorf("and then %q", code)
		}
	})
	for range 5 {
		if err := f.send(f.plain, "mm@example.com", []string{"anna@example.com"}, letter); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("cut off after %v", took)
	}
	if n := len(f.taker.taken()); n != 5 {
		t.Errorf("%d mails", n)
	}
}

// TestCloseLetsFinish: a mail under way is taken, one that takes too long is refused, and nobody new is served.
func TestCloseLetsFinish(t *testing.T) {
	f := start(t)
	taking, hold := make(chan struct{}), make(chan struct{})
	f.taker.take = func(ctx context.Context) error {
		close(taking)
		<-hold
		return ctx.Err()
	}
	sent := make(chan error, 1)
	go func() { sent <- f.send(f.plain, "mm@example.com", []string{"anna@example.com"}, letter) }()
	<-taking
	closed := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		closed <- f.relay.Close(ctx)
	}()
	time.Sleep(50 * time.Millisecond)
	if _, err := net.DialTimeout("tcp", f.relay.Address().String(), time.Second); err == nil {
		t.Error("still accepts")
	}
	close(hold)
	if err := <-sent; err != nil {
		t.Errorf("the mail under way: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}

	f = start(t)
	f.taker.take = func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	go func() { sent <- f.send(f.plain, "mm@example.com", []string{"anna@example.com"}, letter) }()
	time.Sleep(300 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := f.relay.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closed with %v", err)
	}
	if err := <-sent; err == nil {
		t.Error("a mail that was not taken was answered 250")
	}
}

// TestAcceptsInTheBacklog: who connects before Start waits.
func TestAcceptsInTheBacklog(t *testing.T) {
	f := start(t)
	address := f.relay.Address().String()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other, err := New(Options{Listener: socket, Taker: f.taker, TLS: f.certificate, Credentials: f.credentials, Log: slog.Default()})
	if err != nil {
		t.Fatal(err)
	}
	f.relay = other
	sent := make(chan error, 1)
	go func() { sent <- f.send(f.plain, "mm@example.com", []string{"anna@example.com"}, letter) }()
	time.Sleep(100 * time.Millisecond)
	other.Start()
	if err := <-sent; err != nil {
		t.Errorf("%v (%s)", err, address)
	}
}

func TestCheck(t *testing.T) {
	f := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	address := f.relay.Address().String()
	if err := Check(ctx, address, f.certificate, f.credentials); err != nil {
		t.Error(err)
	}
	if err := Check(ctx, address, f.certificate, Credentials{Username, "wrong"}); err == nil {
		t.Error("other credentials pass")
	}
	other := start(t)
	if err := Check(ctx, address, other.certificate, f.credentials); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("another's port: %v", err)
	}
	if err := Check(ctx, "127.0.0.1:1", f.certificate, f.credentials); err == nil {
		t.Error("nobody listens, and that is well")
	}
}

// TestHugeMailsTakeTurns, and none is lost or holds a place for ever.
func TestHugeMailsTakeTurns(t *testing.T) {
	f := start(t)
	var mu sync.Mutex
	now, most := 0, 0
	f.taker.take = func(context.Context) error {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return nil
	}
	message := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", largeMail/64)
	var senders sync.WaitGroup
	for range 6 {
		senders.Go(func() {
			if err := f.send(f.plain, "mm@example.com", []string{"anna@example.com"}, message); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	if len(f.taker.taken()) != 6 || most != hugeMails {
		t.Errorf("%d mails, %d at once", len(f.taker.taken()), most)
	}
	if len(f.relay.large) != 0 || len(f.relay.huge) != 0 {
		t.Error("places stay taken")
	}
}
