package harness

import (
	"bufio"
	"context"
	"crypto/tls"
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
	secure   *tls.Config // nil where neither TLS nor AUTH is offered
	met      int         // conversations so far
}

// Behaviour changes how a sink answers. The zero value takes everything at once.
type Behaviour struct {
	// Delay comes before the reply to the final dot.
	Delay time.Duration
	// Replies has another reply, by command ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."), such as "451 4.3.0 Later".
	Replies map[string]string
	// Stall has the commands that are never answered.
	Stall map[string]bool
	// Fault is asked at each command, and at "BODY", the first octet of a mail's data; nil for no faults.
	Fault func(command string) Fault
	// At is asked like Fault, and told where in which conversation.
	At func(Moment) Fault
}

// Fault is what goes wrong at one command: after Wait, the Reply is another, or the connection is Cut. A mail whose
// connection is cut at "." was taken, and nobody was told.
type Fault struct {
	Wait  time.Duration
	Reply string
	Cut   bool
	// Close ends the connection after the reply.
	Close bool
	// Until stalls until it is closed, and Drip meanwhile sends an octet of the reply a second.
	Until <-chan struct{}
	Drip  bool
}

// Moment is a command in a conversation, the number-th since the sink was opened. Argument is what follows the verb.
type Moment struct {
	Command, Argument string
	Conversation      int
}

// Received is one mail as it came: when it Began, At its final dot, and when its 250 went out, zero if it did not. A
// sender may be past the dot long before a slow sink is.
type Received struct {
	From                string
	To                  []string
	Data                []byte
	Began, At, Answered time.Time
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
	listener, err := narrow.Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", s.Port))
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
	c := &sinkConn{Conn: conn, sink: s, in: bufio.NewReader(conn)}
	s.mu.Lock()
	s.met++
	c.number = s.met
	s.mu.Unlock()
	if c.answer("CONNECT", "220 sink.test ESMTP") {
		for c.command() {
		}
	}
}

// sinkConn is one conversation, mail what it has come to.
type sinkConn struct {
	net.Conn
	sink *Sink
	in   *bufio.Reader
	mail Received
	// Of the command that is carried out: what follows its verb, and whether its fault ends the connection.
	argument string
	last     bool
	number   int // of the conversation
	inTLS    bool
}

// command carries out the next one; false ends the conversation.
func (c *sinkConn) command() bool {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return false
	}
	line = strings.TrimRight(line, "\r\n")
	c.sink.say("C: " + line)
	verb, rest, _ := strings.Cut(line, " ")
	c.argument = rest
	switch verb = strings.ToUpper(verb); verb {
	case "EHLO":
		c.answer(verb, "250-sink.test\n"+c.security()+"250-8BITMIME\n250-ENHANCEDSTATUSCODES\n250 SIZE 10485760")
	case "STARTTLS":
		return c.startTLS()
	case "AUTH":
		c.answer(verb, "235 2.7.0 Authentication successful")
	case "MAIL":
		if c.answer(verb, "250 2.1.0 Ok") {
			c.mail = Received{From: path(rest), Began: time.Now()}
		}
	case "RCPT":
		if c.answer(verb, "250 2.1.5 Ok") {
			c.mail.To = append(c.mail.To, path(rest))
		}
	case "DATA":
		if c.answer(verb, "354 End data with <CR><LF>.<CR><LF>") {
			return c.data()
		}
	case "RSET":
		c.mail = Received{}
		c.answer(verb, "250 2.0.0 Ok")
	case "NOOP":
		c.answer(verb, "250 2.0.0 Ok")
	case "QUIT":
		c.answer(verb, "221 2.0.0 Bye")
		return false
	default:
		c.answer(verb, "502 5.5.2 Command not recognised")
	}
	return true
}

// data takes a mail's data. It is kept before the reply: whoever has seen the reply finds the mail.
func (c *sinkConn) data() bool {
	if _, cut := c.decide("BODY", ""); cut {
		return false
	}
	var err error
	if c.mail.Data, err = readData(c.in); err != nil {
		return false
	}
	c.mail.At = time.Now()
	reply, cut := c.decide(".", "250 2.0.0 Ok: queued")
	taken := reply != "" && reply[0] == '2'
	number := 0
	if taken {
		number = c.sink.keep(c.mail)
	}
	c.mail = Received{}
	if cut || !c.write(reply) {
		return false
	}
	if taken {
		c.sink.answered(number)
	}
	return true
}

// answer gives the usual reply or what the sink's behaviour puts in its place; false says that it was no success.
func (c *sinkConn) answer(command, usual string) bool {
	reply, cut := c.decide(command, usual)
	if cut {
		_ = c.Close()
		return false
	}
	return c.write(reply) && reply[0] < '4'
}

// decide waits as the behaviour says and gives what to reply, or whether the connection is to end without a word; at a
// stall the reply is "", and the client has left.
func (c *sinkConn) decide(command, usual string) (reply string, cut bool) {
	c.sink.mu.Lock()
	behave := c.sink.behave
	c.sink.mu.Unlock()
	if behave.Stall[command] {
		_, _ = c.in.ReadByte()
		return "", true
	}
	if command == "." {
		time.Sleep(behave.Delay)
	}
	if other, ok := behave.Replies[command]; ok {
		usual = other
	}
	var fault Fault
	if behave.Fault != nil {
		fault = behave.Fault(command)
	}
	if behave.At != nil {
		fault = behave.At(Moment{command, c.argument, c.number})
	}
	time.Sleep(fault.Wait)
	if fault.Reply != "" {
		usual = fault.Reply
	}
	if fault.Until != nil {
		c.stall(fault, usual)
	}
	c.last = fault.Close
	return usual, fault.Cut
}

func (c *sinkConn) write(reply string) bool {
	c.sink.say("S: " + reply)
	_, err := c.Write([]byte(strings.ReplaceAll(reply, "\n", "\r\n") + "\r\n"))
	if c.last {
		_ = c.Close()
	}
	return err == nil && !c.last
}

// keep gives the mail's number.
func (s *Sink) keep(mail Received) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, mail)
	return len(s.mails) - 1
}

func (s *Sink) answered(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails[number].Answered = time.Now()
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
