package courier

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"postroom/server/internal/core"
)

// replyLimit is how many octets a peer may say in one step before it is taken for broken: RFC 5321 (4.5.3.1.5) has
// 512 for a line, and no server needs more than this for all the lines of an EHLO reply and its TLS records.
const replyLimit = 256 << 10

var errReplyTooLong = errors.New("the server's reply does not end")

// notSMTP is a line that is no reply of RFC 5321 (4.2).
type notSMTP struct{ line string }

func (e *notSMTP) Error() string { return "the server's reply is not SMTP" }

// line is the connection under a conversation. A step's deadline holds for all of the step, so that a peer that says
// an octet a second does not stretch it.
type line struct {
	net.Conn
	in     *bufio.Reader
	remote string
	over   context.Context // of all of the conversation
	read   int
}

func newLine(ctx context.Context, conn net.Conn, remote string) *line {
	l := &line{remote: remote, over: ctx}
	l.use(conn)
	return l
}

// use goes on over that connection; what was read ahead in clear text is forgotten (RFC 3207, 6).
func (l *line) use(conn net.Conn) {
	l.Conn = conn
	l.in = bufio.NewReader(bounded{l})
}

// begin starts a step that may last as long as limit, and no longer than the whole may.
func (l *line) begin(limit time.Duration) {
	l.read = 0
	deadline, bounded := l.over.Deadline()
	if limit > 0 {
		if step := time.Now().Add(limit); !bounded || step.Before(deadline) {
			deadline = step
		}
	}
	_ = l.SetDeadline(deadline)
	if l.over.Err() != nil { // ended meanwhile, and breakOff's deadline was just overwritten
		breakOff(l.Conn)
	}
}

// breakOff ends whatever waits on the connection.
func breakOff(conn net.Conn) { _ = conn.SetDeadline(time.Unix(1, 0)) }

// bounded bounds what a peer may say in one step.
type bounded struct{ line *line }

// Read is io.Reader's.
func (b bounded) Read(into []byte) (int, error) {
	if b.line.read >= replyLimit {
		return 0, errReplyTooLong
	}
	n, err := b.line.Conn.Read(into)
	b.line.read += n
	return n, err
}

// ask sends a command and reads its reply, whatever its code.
func (l *line) ask(format string, args ...any) (*core.Reply, error) {
	if _, err := fmt.Fprintf(l.Conn, format+"\r\n", args...); err != nil {
		return l.lastWords(err)
	}
	return l.reply()
}

// lastWords are what a peer said before it left, where a command no longer reached it: often a 421. Without them how it
// left is told by the reading, which knows a close from a reset.
func (l *line) lastWords(failed error) (*core.Reply, error) {
	reply, err := l.reply()
	if err != nil && !errors.Is(failed, syscall.EPIPE) && !errors.Is(failed, syscall.ECONNRESET) {
		return nil, failed
	}
	return reply, err
}

// reply reads one (RFC 5321, 4.2): lines of a code, "-" where more follow, and a text that may be missing.
func (l *line) reply() (*core.Reply, error) {
	reply, texts := &core.Reply{}, []string(nil)
	for {
		said, err := l.in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		said = strings.TrimRight(said, "\r\n")
		code, more, text, ok := parseReply(said)
		if !ok || (len(texts) > 0 && code != reply.Code) {
			return nil, &notSMTP{said}
		}
		reply.Code, texts = code, append(texts, strings.ToValidUTF8(text, "?"))
		if !more {
			reply.Text = strings.Join(texts, "\n")
			return reply, nil
		}
	}
}

func parseReply(said string) (code int, more bool, text string, ok bool) {
	if len(said) < 3 {
		return 0, false, "", false
	}
	for _, digit := range []byte(said[:3]) {
		if digit < '0' || digit > '9' {
			return 0, false, "", false
		}
		code = code*10 + int(digit-'0')
	}
	switch {
	case len(said) == 3:
		return code, false, "", true
	case said[3] == ' ', said[3] == '-':
		return code, said[3] == '-', said[4:], true
	}
	return 0, false, "", false
}

func (l *line) loopback() bool {
	host, _, err := net.SplitHostPort(l.remote)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}
