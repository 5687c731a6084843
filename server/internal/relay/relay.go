// Package relay is the SMTP listener that Mattermost's own mail goes through: loopback only, TLS from the first octet,
// AUTH before anything else (S30), lines that end in CRLF and nothing else (S31). It knows nothing of what is in a
// mail: a Taker does, and a mail is answered 250 when the Taker has it for good.
//
// Mattermost's manners are taken as normal (R22): a connection for each mail, no QUIT, EOF after the 250. It never tries
// again, so that 452 comes only after waiting, and 5xx only where waiting would not help.
package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"postroom/server/internal/metrics"
)

// Taker takes mail for good.
type Taker interface {
	// Ready tells, before a mail's data, whether it could be taken; it may wait as long as ctx allows.
	Ready(ctx context.Context) error
	// Take returns nil once the mail is committed, for all its recipients. message is RFC 5322, its lines end in
	// CRLF; it is the Taker's from then on.
	Take(ctx context.Context, from string, to []string, message []byte) error
}

// Limits of the listener. Tests shorten its times; nothing else changes them.
type Limits struct {
	MessageBytes int64 // more is refused for good
	Connections  int   // more wait to be accepted
	Recipients   int   // of one mail

	Login   time.Duration // from the connection to the end of AUTH
	Command time.Duration // for a command's line, and for all of a mail's data
	Write   time.Duration
	Session time.Duration // a connection's whole life
	Taking  time.Duration // how long a mail waits for the database (R6)
}

// Defaults are in force outside tests.
var Defaults = Limits{
	// 200 at once, and a margin, so that a look at whether the relay answers need not wait for them.
	MessageBytes: 30 << 20, Connections: 256, Recipients: 1000,
	Login: 15 * time.Second, Command: time.Minute, Write: 30 * time.Second, Session: 10 * time.Minute, Taking: 30 * time.Second,
}

// maxLine bounds a line of a mail; a longer one than RFC 5321 allows is no reason to lose it, the core mends it.
const maxLine = 1 << 20

// Mails above these sizes are taken a few at a time, so that 200 of them don't take all memory: on its way through the
// core a mail is held some twelve times over.
const (
	smallMail  = 256 << 10
	largeMails = 4
	largeMail  = 4 << 20
	hugeMails  = 1
)

// Options are what a Relay is made of; all of it is needed but Limits.
type Options struct {
	Listener    net.Listener // on a loopback address; closed with the Relay
	Taker       Taker
	TLS         tls.Certificate
	Credentials Credentials
	Log         *slog.Logger
	Limits      *Limits // nil for Defaults
	// Metrics counts what becomes of the mails; nil for nobody.
	Metrics *metrics.Metrics
}

// Relay is the listener. It is safe for concurrent use.
type Relay struct {
	taker       Taker
	credentials Credentials
	log         *slog.Logger
	limits      Limits
	server      *smtp.Server
	listener    *listener
	metrics     *metrics.Metrics
	large, huge chan struct{} // places for mails above smallMail, and above largeMail

	life   context.Context // of what is being taken
	end    context.CancelFunc
	served sync.WaitGroup
	failed chan struct{}
}

// New makes a Relay that does not accept yet: who connects waits in the listener's backlog.
func New(o Options) (*Relay, error) {
	if o.Listener == nil || o.Taker == nil || o.Log == nil || len(o.TLS.Certificate) == 0 || o.Credentials.Password == "" {
		return nil, errors.New("a relay needs a listener, a taker, a certificate, credentials and a log")
	}
	address, ok := o.Listener.Addr().(*net.TCPAddr)
	if !ok || !address.IP.IsLoopback() {
		return nil, errors.New("the relay listens on a loopback address only")
	}
	r := &Relay{taker: o.Taker, credentials: o.Credentials, log: o.Log, limits: Defaults, metrics: o.Metrics,
		large: make(chan struct{}, largeMails), huge: make(chan struct{}, hugeMails)}
	if o.Limits != nil {
		r.limits = *o.Limits
	}
	r.failed = make(chan struct{})
	r.life, r.end = context.WithCancel(context.Background())
	r.listener = newListener(o.Listener, &tls.Config{
		Certificates: []tls.Certificate{o.TLS}, MinVersion: tls.VersionTLS12,
		// A connection for each mail, and no client that resumes: what else a handshake could do costs and gives nothing.
		SessionTicketsDisabled: true, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
	}, &r.limits)
	r.server = smtp.NewServer(smtp.BackendFunc(r.session))
	r.server.Domain = "localhost"
	r.server.MaxMessageBytes = r.limits.MessageBytes
	r.server.MaxRecipients = r.limits.Recipients
	r.server.MaxLineLength = maxLine
	r.server.ReadTimeout, r.server.WriteTimeout = r.limits.Command, r.limits.Write
	r.server.EnableSMTPUTF8 = true // Mattermost writes such addresses whether or not it is offered
	// Every connection is TLS, by the listener; go-smtp does not see that through the checks around it.
	r.server.AllowInsecureAuth = true
	r.server.ErrorLog = serverLog{r.log}
	return r, nil
}

// Start begins to accept.
func (r *Relay) Start() {
	r.served.Go(func() {
		if err := r.server.Serve(r.listener); err != nil && !r.listener.ended() {
			r.log.Error("The relay's listener failed; another is opened", "error", err.Error())
			close(r.failed)
		}
	})
}

// Failed is closed once the listener accepts no more though nobody closed it.
func (r *Relay) Failed() <-chan struct{} { return r.failed }

// Close accepts no more, lets the mails under way be taken as long as ctx allows, then breaks off.
func (r *Relay) Close(ctx context.Context) error {
	_ = r.listener.Close() // by ourselves: go-smtp does not know of it before it has begun to accept
	err := r.server.Shutdown(ctx)
	if ctx.Err() != nil {
		r.end()
		r.listener.breakOff()
	}
	r.served.Wait()
	r.end()
	if errors.Is(err, smtp.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Connections is how many are open now.
func (r *Relay) Connections() int { return r.listener.connections() }

// Address is where it listens.
func (r *Relay) Address() *net.TCPAddr { return r.listener.Addr().(*net.TCPAddr) }

// serverLog gives go-smtp's few words their levels: a broken connection is no news, a panic is.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(format string, values ...any) {
	if strings.HasPrefix(format, "panic") {
		l.log.Error("The relay panicked over a mail; its connection was closed") // the stack may hold what it was about
		return
	}
	l.log.Debug("a relay connection ended", "why", format)
}

func (l serverLog) Println(...any) {}
