// Package peer is an SMTP server for tests that does at each step what the test tells it: stall, refuse, close, say
// garbage. What it takes, it keeps.
package peer

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Steps at which it can be told to do something else.
const (
	Greeting = "greeting"
	EHLO     = "EHLO"
	STARTTLS = "STARTTLS"
	AUTH     = "AUTH"
	MAIL     = "MAIL"
	RCPT     = "RCPT"
	DATA     = "DATA"
	Body     = "body" // after 354, instead of reading
	Dot      = "dot"  // after the final dot
	QUIT     = "QUIT"

	// Handshake is before the server's part in a TLS handshake.
	Handshake = "handshake"
)

// Mail is one mail as taken.
type Mail struct {
	Helo, From, To string
	Params         string // what follows the address in MAIL
	Data           string
	TLS            bool
	User, Password string
	At             time.Time
}

// Peer is a running server.
type Peer struct {
	Port int

	// Extensions are what EHLO offers; AUTH and STARTTLS among them are honoured.
	Extensions []string
	// TLS is the server's side of STARTTLS, or of every connection where Implicit is set.
	TLS      *tls.Config
	Implicit bool

	mu       sync.Mutex
	at       map[string]Action
	mails    []Mail
	commands []string
	open     map[net.Conn]bool
	listener net.Listener
}

// Action does something at a step, and says whether the conversation goes on.
type Action func(*Session) bool

// Session is one conversation.
type Session struct {
	net.Conn
	peer *Peer
	in   *bufio.Reader
	mail Mail
	line string // the client's last
	last byte   // first octet of the last reply
	// from, to: MAIL and RCPT were taken, so that DATA may be.
	from, to bool
}

// Say answers so instead; the conversation goes on, as the client thinks fit.
func Say(reply string) Action {
	return func(s *Session) bool { return s.reply(reply) }
}

// SayAndClose answers and closes.
func SayAndClose(reply string) Action {
	return func(s *Session) bool { s.reply(reply); return false }
}

// Stall never answers.
func Stall() Action {
	return func(s *Session) bool { _, _ = io.Copy(io.Discard, s.in); return false }
}

// Deaf reads nothing more, so that the client's words stay in the network.
func Deaf(until <-chan struct{}) Action {
	return func(*Session) bool { <-until; return false }
}

// Endless begins a reply that has no end.
func Endless() Action {
	return func(s *Session) bool {
		for s.reply("250-" + strings.Repeat("x", 4000)) {
		}
		return false
	}
}

// Close closes without a word.
func Close() Action { return func(*Session) bool { return false } }

// Reset breaks the connection (RST).
func Reset() Action {
	return func(s *Session) bool {
		if tcp, ok := s.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		return false
	}
}

// Drip says the reply an octet at a time.
func Drip(reply string, every time.Duration) Action {
	return func(s *Session) bool {
		s.last = reply[0]
		for i := range len(reply) {
			if _, err := io.WriteString(s.Conn, reply[i:i+1]); err != nil {
				return false
			}
			time.Sleep(every)
		}
		return true
	}
}

// After waits, then does the usual or what is given.
func After(wait time.Duration, then Action) Action {
	return func(s *Session) bool { time.Sleep(wait); return then(s) }
}

// ToRecipients is for RCPT: each address is answered by its own action, any other as usual.
func ToRecipients(actions map[string]Action) Action {
	return func(s *Session) bool {
		if to, _ := address(s.line); actions[to] != nil {
			return actions[to](s)
		}
		return usual["RCPT"](s, s.line)
	}
}

// Start runs one on 127.0.0.1 until the test ends; change it by configure before it listens.
func Start(t testing.TB, configure ...func(*Peer)) *Peer {
	t.Helper()
	p := &Peer{
		Extensions: []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"},
		at:         map[string]Action{}, open: map[net.Conn]bool{},
	}
	for _, change := range configure {
		change(p)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.listener, p.Port = listener, listener.Addr().(*net.TCPAddr).Port
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		for conn := range p.open {
			_ = conn.Close()
		}
	})
	return p
}

// At sets what is done at a step; nil is the usual.
func (p *Peer) At(step string, do Action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[step] = do
}

// Mails are those taken with a 2xx.
func (p *Peer) Mails() []Mail {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Mail(nil), p.mails...)
}

// Commands are all lines that clients sent outside of bodies.
func (p *Peer) Commands() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.commands...)
}

func (p *Peer) serve(conn net.Conn) {
	p.mu.Lock()
	p.open[conn] = true
	p.mu.Unlock()
	defer func() {
		_ = conn.Close()
		p.mu.Lock()
		delete(p.open, conn)
		p.mu.Unlock()
	}()
	s := &Session{Conn: conn, peer: p}
	s.in = bufio.NewReader(s.Conn)
	if p.Implicit && !s.do(Handshake, (*Session).secure) {
		return
	}
	if !s.do(Greeting, func(s *Session) bool { return s.reply("220 peer.test ESMTP") }) {
		return
	}
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		p.mu.Lock()
		p.commands = append(p.commands, line)
		p.mu.Unlock()
		s.line = line
		verb, rest, _ := strings.Cut(line, " ")
		usual, known := usual[strings.ToUpper(verb)]
		if !known {
			usual = func(s *Session, _ string) bool { return s.reply("502 5.5.2 Unknown") }
		}
		if !s.do(strings.ToUpper(verb), func(s *Session) bool { return usual(s, rest) }) {
			return
		}
		switch strings.ToUpper(verb) {
		case "MAIL":
			s.from, s.to = s.last == '2', false
		case "RCPT":
			s.to = s.to || s.from && s.last == '2'
		case "DATA", "RSET", "EHLO", "HELO":
			s.from, s.to = false, false
		}
	}
}

func (s *Session) do(step string, usual Action) bool {
	s.peer.mu.Lock()
	told := s.peer.at[step]
	s.peer.mu.Unlock()
	if told != nil {
		return told(s)
	}
	return usual(s)
}

func (s *Session) secure() bool {
	s.Conn = tls.Server(s.Conn, s.peer.TLS)
	s.in, s.mail.TLS = bufio.NewReader(s.Conn), true
	return true
}

func (s *Session) reply(text string) bool {
	s.last = text[0]
	_, err := io.WriteString(s.Conn, strings.ReplaceAll(text, "\n", "\r\n")+"\r\n")
	return err == nil
}

var usual = map[string]func(*Session, string) bool{
	"EHLO": func(s *Session, name string) bool {
		s.mail.Helo = name
		lines := append([]string{"peer.test"}, s.peer.Extensions...)
		for i, line := range lines {
			mark := "-"
			if i == len(lines)-1 {
				mark = " "
			}
			if !s.reply("250" + mark + line) {
				return false
			}
		}
		return true
	},
	"HELO": func(s *Session, name string) bool { s.mail.Helo = name; return s.reply("250 peer.test") },
	"STARTTLS": func(s *Session, _ string) bool {
		if s.peer.TLS == nil {
			return s.reply("502 5.5.1 Not here")
		}
		if !s.reply("220 2.0.0 Go ahead") {
			return false
		}
		return s.do(Handshake, (*Session).secure)
	},
	"AUTH": func(s *Session, rest string) bool {
		mechanism, initial, _ := strings.Cut(rest, " ")
		switch strings.ToUpper(mechanism) {
		case "PLAIN":
			if parts := strings.Split(decode(initial), "\x00"); len(parts) == 3 {
				s.mail.User, s.mail.Password = parts[1], parts[2]
			}
		case "LOGIN":
			for _, ask := range []struct {
				prompt string
				into   *string
			}{{"Username:", &s.mail.User}, {"Password:", &s.mail.Password}} {
				if !s.reply("334 " + base64.StdEncoding.EncodeToString([]byte(ask.prompt))) {
					return false
				}
				line, err := s.in.ReadString('\n')
				if err != nil {
					return false
				}
				*ask.into = decode(strings.TrimSpace(line))
			}
		default:
			return s.reply("504 5.5.4 Unknown mechanism")
		}
		return s.reply("235 2.7.0 Welcome")
	},
	"MAIL": func(s *Session, rest string) bool {
		s.mail.From, s.mail.Params = address(rest)
		return s.reply("250 2.1.0 Ok")
	},
	"RCPT": func(s *Session, rest string) bool {
		if !s.from {
			return s.reply("503 5.5.1 Who is it from?")
		}
		s.mail.To, _ = address(rest)
		return s.reply("250 2.1.5 Ok")
	},
	"DATA": func(s *Session, _ string) bool {
		if !s.to {
			return s.reply("554 5.5.1 No valid recipients")
		}
		if !s.reply("354 Go on") {
			return false
		}
		return s.do(Body, (*Session).take)
	},
	"QUIT": func(s *Session, _ string) bool { s.reply("221 2.0.0 Bye"); return false },
	"RSET": func(s *Session, _ string) bool { return s.reply("250 2.0.0 Ok") },
	"NOOP": func(s *Session, _ string) bool { return s.reply("250 2.0.0 Ok") },
}

func (s *Session) take() bool {
	var data strings.Builder
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		data.WriteString(strings.TrimPrefix(line, "."))
	}
	mail := s.mail
	mail.Data, mail.At = data.String(), time.Now()
	return s.do(Dot, func(s *Session) bool {
		s.peer.mu.Lock()
		s.peer.mails = append(s.peer.mails, mail)
		s.peer.mu.Unlock()
		return s.reply("250 2.0.0 Ok: queued as 1")
	})
}

// Keep is what Dot usually does, less its reply: the mail is taken, and then comes something else.
func Keep(then Action) Action {
	return func(s *Session) bool {
		s.peer.mu.Lock()
		s.peer.mails = append(s.peer.mails, Mail{From: s.mail.From, To: s.mail.To, At: time.Now()})
		s.peer.mu.Unlock()
		return then(s)
	}
}

func decode(text string) string {
	plain, _ := base64.StdEncoding.DecodeString(text)
	return string(plain)
}

func address(text string) (string, string) {
	_, text, _ = strings.Cut(text, "<")
	address, params, _ := strings.Cut(text, ">")
	return address, strings.TrimSpace(params)
}

// Line is the client's last command.
func (s *Session) Line() string { return s.line }

// Ask sends a challenge (RFC 4954), and gives the client's response as it came.
func (s *Session) Ask(challenge string) string {
	if !s.reply("334 " + base64.StdEncoding.EncodeToString([]byte(challenge))) {
		return ""
	}
	return s.Next()
}

// Next reads the client's next line.
func (s *Session) Next() string {
	line, _ := s.in.ReadString('\n')
	return strings.TrimRight(line, "\r\n")
}
