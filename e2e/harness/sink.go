package harness

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// Sink is an SMTP server (RFC 5321) that takes every mail and keeps it: enough for a demo that may install
// nothing. It stores what came over the wire, dot-stuffing undone, line ends as they were.
type Sink struct {
	Port int

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	mails    []Received
	talk     []string
	behave   Behaviour
}

// Behaviour changes how a sink answers. The zero value takes everything at once.
type Behaviour struct {
	// Delay comes before the reply to the final dot.
	Delay time.Duration
	// Replies has another reply, by command ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."), such as "451 4.3.0 Later".
	Replies map[string]string
	// Stall has the commands that are never answered.
	Stall map[string]bool
}

// Received is one mail as it came.
type Received struct {
	From string
	To   []string
	Data []byte
	At   time.Time
}

// StartSink opens a sink on a free port of 127.0.0.1.
func (s *Stage) StartSink() (*Sink, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	sink := &Sink{Port: port, conns: map[net.Conn]bool{}}
	s.OnClose(sink.Down)
	return sink, sink.Up()
}

// Up opens the port, again if it was closed.
func (s *Sink) Up() error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.listener = listener
	s.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = true
			s.mu.Unlock()
			go s.serve(conn)
		}
	}()
	return nil
}

// Down closes the port and every connection: who connects now is refused.
func (s *Sink) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.listener.Close()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

// Behave changes how it answers from now on.
func (s *Sink) Behave(how Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behave = how
}

// Mails gives what has come so far.
func (s *Sink) Mails() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Received(nil), s.mails...)
}

// Conversation gives every line said so far, both sides, the mail's own lines left out.
func (s *Sink) Conversation() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.talk...)
}

// To gives Postroom's mails for an address, parsed.
func (s *Sink) To(address string) ([]*Message, error) { return onlyOurs(s.All(address)) }

// All gives every mail for an address, also those that Mattermost sends by itself: welcome, password changed.
func (s *Sink) All(address string) ([]*Message, error) {
	var out []*Message
	for _, mail := range s.Mails() {
		for _, to := range mail.To {
			if strings.EqualFold(to, address) {
				message, err := ParseMessage(mail.Data)
				if err != nil {
					return nil, err
				}
				message.EnvelopeFrom = mail.From
				out = append(out, message)
			}
		}
	}
	return out, nil
}

func (s *Sink) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	in := bufio.NewReader(conn)
	reply := func(command, usual string) bool {
		s.mu.Lock()
		behave := s.behave
		s.mu.Unlock()
		if behave.Stall[command] {
			_, _ = in.ReadByte()
			return false
		}
		if command == "." {
			time.Sleep(behave.Delay)
		}
		if other, ok := behave.Replies[command]; ok {
			usual = other
		}
		s.say("S: " + usual)
		_, err := conn.Write([]byte(strings.ReplaceAll(usual, "\n", "\r\n") + "\r\n"))
		return err == nil && usual[0] == '2'
	}
	if !reply("CONNECT", "220 sink.test ESMTP") {
		return
	}
	mail := Received{}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.say("C: " + line)
		verb, rest, _ := strings.Cut(line, " ")
		switch verb = strings.ToUpper(verb); verb {
		case "EHLO":
			reply(verb, "250-sink.test\n250-8BITMIME\n250-ENHANCEDSTATUSCODES\n250 SIZE 10485760")
		case "MAIL":
			if reply(verb, "250 2.1.0 Ok") {
				mail = Received{From: path(rest)}
			}
		case "RCPT":
			if reply(verb, "250 2.1.5 Ok") {
				mail.To = append(mail.To, path(rest))
			}
		case "DATA":
			if reply(verb, "354 End data with <CR><LF>.<CR><LF>"); s.refuses(verb) {
				continue
			}
			if mail.Data, err = readData(in); err != nil {
				return
			}
			mail.At = time.Now()
			// Kept before the reply: whoever has seen the reply finds the mail here.
			accepted := !s.refuses(".")
			if accepted {
				s.mu.Lock()
				s.mails = append(s.mails, mail)
				s.mu.Unlock()
			}
			reply(".", "250 2.0.0 Ok: queued")
			mail = Received{}
		case "RSET":
			mail = Received{}
			reply(verb, "250 2.0.0 Ok")
		case "NOOP":
			reply(verb, "250 2.0.0 Ok")
		case "QUIT":
			reply(verb, "221 2.0.0 Bye")
			return
		default:
			reply(verb, "502 5.5.2 Command not recognised")
		}
	}
}

// refuses tells whether a command is answered with a 4xx or 5xx, or not at all.
func (s *Sink) refuses(command string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	other, ok := s.behave.Replies[command]
	return s.behave.Stall[command] || ok && (other[0] == '4' || other[0] == '5')
}

func (s *Sink) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.talk = append(s.talk, line)
}

// path gives the address in FROM:<a@b> or TO:<a@b>, parameters left out.
func path(argument string) string {
	_, after, _ := strings.Cut(argument, "<")
	address, _, _ := strings.Cut(after, ">")
	return address
}

func readData(in *bufio.Reader) ([]byte, error) {
	var data []byte
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil, errors.New("the connection ended within a mail")
		}
		if string(line) == ".\r\n" {
			return data, nil
		}
		if line[0] == '.' {
			line = line[1:]
		}
		data = append(data, line...)
	}
}
