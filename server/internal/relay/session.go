package relay

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/emersion/go-smtp"

	"postroom/server/internal/metrics"
)

// session is one connection's conversation, after EHLO.
type session struct {
	relay    *Relay
	conn     *conn
	authed   bool
	failures int
	from     string
	to       []string
}

// What is refused, in RFC 5321's and RFC 3463's codes.
var (
	errLoginFirst = &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	errNotNow     = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "The mail can't be stored now"}
	errBroken     = &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 4, 2}, Message: "The mail did not arrive whole in time"}
	errLineEnds   = &smtp.SMTPError{Code: 521, EnhancedCode: smtp.EnhancedCode{5, 5, 2}, Message: "Lines end in CR and LF, neither stands alone"}
)

func (r *Relay) session(c *smtp.Conn) (smtp.Session, error) {
	inner, ok := c.Conn().(*conn)
	if !ok {
		return nil, errors.New("a connection of another listener")
	}
	return &session{relay: r, conn: inner}, nil
}

// Mail is MAIL FROM.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if !s.authed {
		return errLoginFirst
	}
	ctx, cancel := context.WithTimeout(s.relay.life, s.relay.limits.Taking)
	defer cancel()
	if err := s.relay.taker.Ready(ctx); err != nil {
		s.relay.log.Warn("A mail of Mattermost's was refused before its data", "error", err.Error())
		s.relay.metrics.Relayed(metrics.NotNow)
		return errNotNow
	}
	s.from = from
	return nil
}

// Rcpt is RCPT TO.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if !s.authed {
		return errLoginFirst
	}
	s.to = append(s.to, to)
	return nil
}

// Data is the mail itself, and its end.
func (s *session) Data(from io.Reader) error {
	if !s.authed {
		return errLoginFirst
	}
	message, done, err := s.read(from)
	if err != nil {
		return s.unread(err)
	}
	defer done()
	ctx, cancel := context.WithTimeout(s.relay.life, s.relay.limits.Taking)
	defer cancel()
	if err := s.relay.taker.Take(ctx, s.from, s.to, message); err != nil {
		s.relay.log.Error("A mail of Mattermost's could not be stored, and Mattermost does not try again", "error", err.Error())
		s.relay.metrics.Relayed(metrics.NotNow)
		return errNotNow
	}
	s.relay.metrics.Relayed(metrics.Taken)
	return nil
}

var errTooMany = errors.New("too many large mails at once")

// read gives the whole message; done is to be called when it is no longer needed.
func (s *session) read(from io.Reader) (message []byte, done func(), err error) {
	var places []chan struct{}
	done = func() {
		for _, place := range places {
			<-place
		}
	}
	enter := func(place chan struct{}) error {
		if err := s.enter(place); err != nil {
			return err
		}
		places = append(places, place)
		return nil
	}
	message = make([]byte, 0, 32<<10)
	for {
		if len(message) == cap(message) {
			message = append(message, 0)[:len(message)]
		}
		n, err := from.Read(message[len(message):cap(message)])
		before := len(message)
		message = message[:before+n]
		full := error(nil)
		if before <= smallMail && len(message) > smallMail {
			full = enter(s.relay.large)
		}
		if full == nil && before <= largeMail && len(message) > largeMail {
			full = enter(s.relay.huge)
		}
		switch {
		case full != nil:
			done()
			return nil, nil, full
		case err == io.EOF: //nolint:errorlint // io.Reader's own
			if len(message) == 0 || message[len(message)-1] != '\n' { // only by BDAT
				message = append(message, "\r\n"...)
			}
			return message, done, nil
		case err != nil:
			done()
			return nil, nil, err
		}
	}
}

// enter waits for a place among the mails of a size.
func (s *session) enter(place chan struct{}) error {
	wait := time.NewTimer(s.relay.limits.Taking)
	defer wait.Stop()
	select {
	case place <- struct{}{}:
		return nil
	case <-wait.C:
	case <-s.relay.life.Done():
	}
	return errTooMany
}

// unread is the answer to a mail that was not read whole.
func (s *session) unread(err error) error {
	switch {
	case errors.Is(err, smtp.ErrDataTooLarge):
		s.relay.log.Error("A mail of Mattermost's was refused: it is larger than the relay's limit", "limit", s.relay.limits.MessageBytes)
		s.relay.metrics.Relayed(metrics.Refused)
		return smtp.ErrDataTooLarge
	case errors.Is(err, errTooMany):
		s.relay.log.Warn("A mail of Mattermost's was refused: many large ones are being taken")
		s.relay.metrics.Relayed(metrics.NotNow)
		return errNotNow
	case errors.Is(err, errBareLineEnd):
		s.relay.log.Warn("A mail was refused: " + errBareLineEnd.Error())
		s.relay.metrics.Relayed(metrics.Refused)
		s.conn.end()
		return errLineEnds
	}
	s.relay.log.Warn("A mail of Mattermost's did not arrive whole")
	s.relay.metrics.Relayed(metrics.Broken)
	s.conn.end() // what comes of it yet must not be taken for commands
	return errBroken
}

// Reset is RSET, and the end of a mail.
func (s *session) Reset() { s.from, s.to = "", nil }

// Logout is the connection's end.
func (s *session) Logout() error { return nil }
