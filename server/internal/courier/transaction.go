package courier

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"postroom/server/internal/core"
)

// blockSize is how much of the body is written under one deadline.
const blockSize = 16 << 10

// transact carries the mail. Where PIPELINING is offered MAIL, RCPT and DATA leave in one go (RFC 2920).
func (t *conversation) transact(ctx context.Context) *core.Outcome {
	t.notes.begin()
	t.mails++
	from, outcome := t.mailParameters()
	if outcome != nil {
		return t.fail(outcome)
	}
	commands := []string{"MAIL FROM:<" + t.sender() + ">" + from, "RCPT TO:<" + t.mail.To + ">" + t.recipientParameters(), "DATA"}
	for i, step := range []struct {
		name   string
		goesOn []int
	}{{StepMailFrom, []int{250}}, {StepRcptTo, []int{250, 251, 252}}, {StepData, []int{354}}} {
		limit := t.courier.Deadlines.Command
		switch reused := t.courier.Deadlines.Reused; {
		case step.name == StepData:
			limit = t.courier.Deadlines.Data
		case t.reused && i == 0 && reused > 0:
			limit = min(limit, reused)
		}
		t.begin(limit)
		var reply *core.Reply
		var err error
		switch pipelined := t.offers("PIPELINING"); {
		case pipelined && i == 0:
			t.owed = len(commands) - 1
			reply, err = t.line.ask("%s", strings.Join(commands, "\r\n"))
		case pipelined:
			t.owed--
			reply, err = t.line.reply()
		default:
			reply, err = t.line.ask("%s", commands[i])
		}
		if outcome := t.settle(ctx, step.name, reply, err, step.goesOn...); outcome != nil {
			return outcome
		}
	}
	return t.body(ctx)
}

// sender is the envelope's, or the connection's own in its place.
func (t *conversation) sender() string {
	if t.to.EnvelopeSender != "" {
		return t.to.EnvelopeSender
	}
	return t.mail.From
}

// mailParameters are those that the mail needs or is helped by and the server offers; a mail that needs what is not
// offered fails here, before anything of it is sent.
func (t *conversation) mailParameters() (string, *core.Outcome) {
	var parameters strings.Builder
	size := len(t.mail.Message)
	if limit, err := strconv.ParseInt(t.extensions["SIZE"], 10, 64); err == nil && limit > 0 && int64(size) > limit {
		return "", failed(StepMailFrom, FailureNotOffered, fmt.Sprintf("the mail has %d octets, and the server takes %d at most (RFC 1870)", size, limit))
	}
	if t.offers("SIZE") {
		fmt.Fprintf(&parameters, " SIZE=%d", size)
	}
	if t.offers("8BITMIME") {
		parameters.WriteString(" BODY=8BITMIME")
	} else if !ascii(t.mail.Message) {
		return "", failed(StepMailFrom, FailureNotOffered, "the mail needs 8BITMIME (RFC 6152), which the server does not offer")
	}
	if !ascii([]byte(t.sender())) || !ascii([]byte(t.mail.To)) || !ascii(header(t.mail.Message)) {
		if !t.offers("SMTPUTF8") {
			return "", failed(StepMailFrom, FailureNotOffered, "the address needs SMTPUTF8 (RFC 6531), which the server does not offer")
		}
		parameters.WriteString(" SMTPUTF8")
	}
	if t.offers("DSN") {
		// A report of failure need not bring the mail, and with it a link, back (RFC 3461).
		parameters.WriteString(" RET=HDRS")
		if id := messageID(t.mail.Message); id != "" {
			parameters.WriteString(" ENVID=" + id)
		}
	}
	return parameters.String(), nil
}

func (t *conversation) recipientParameters() string {
	if t.offers("DSN") {
		return " NOTIFY=FAILURE"
	}
	return ""
}

// messageID is the mail's as xtext (RFC 3461, 4), empty where it has none or it is too long for ENVID (4.4).
func messageID(message []byte) string {
	for line := range strings.Lines(string(header(message))) {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Message-ID") {
			var encoded strings.Builder
			for _, b := range []byte(strings.Trim(strings.TrimSpace(value), "<>")) {
				if b <= ' ' || b > '~' || b == '+' || b == '=' {
					fmt.Fprintf(&encoded, "+%02X", b)
				} else {
					encoded.WriteByte(b)
				}
			}
			if encoded.Len() <= 100 {
				return encoded.String()
			}
			return ""
		}
	}
	return ""
}

func (t *conversation) body(ctx context.Context) *core.Outcome {
	t.notes.begin()
	buffer := bufio.NewWriterSize(t.line.Conn, blockSize)
	dots := textproto.NewWriter(buffer).DotWriter()
	for block := range slices.Chunk(t.mail.Message, blockSize) {
		t.line.begin(t.courier.Deadlines.Block)
		if _, err := dots.Write(block); err != nil {
			return t.unsent(ctx, err)
		}
	}
	t.line.begin(t.courier.Deadlines.Block)
	if err := buffer.Flush(); err != nil {
		return t.unsent(ctx, err)
	}
	t.notes.event(StepBody, core.Outcome{}, "")
	// The final dot leaves; from here on a peer that says nothing may have the mail.
	t.begin(t.courier.Deadlines.FinalDot)
	var reply *core.Reply
	err := dots.Close()
	if err == nil {
		reply, err = t.line.reply()
	} else if reply, err = t.line.lastWords(err); err == nil && reply.Code/100 == 2 {
		err = &notSMTP{} // what was not sent can't be accepted
	}
	if outcome := t.settle(ctx, StepFinalDot, reply, err, 250); outcome != nil {
		return outcome
	}
	t.accepted = reply
	return nil
}

// unsent is the outcome of a body that did not leave, by what the server said meanwhile where it said something.
func (t *conversation) unsent(ctx context.Context, err error) *core.Outcome {
	reply, err := t.line.lastWords(err)
	if err == nil && reply.Code/100 < 4 {
		err = &notSMTP{} // what was not sent can't be accepted
	}
	return t.settle(ctx, StepBody, reply, err)
}

// header is the part of a message before its first empty line.
func header(message []byte) []byte {
	head, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	return head
}

func ascii(text []byte) bool {
	return !slices.ContainsFunc(text, func(b byte) bool { return b >= 0x80 })
}
