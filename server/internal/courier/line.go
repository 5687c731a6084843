package courier

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"postroom/server/internal/core"
)

// replyLimit is how many octets a peer may say in one step before it is taken for broken: RFC 5321 (4.5.3.1.5) has
// 512 for a line, and no server needs more than this for all the lines of an EHLO reply and its TLS records.
const replyLimit = 256 << 10

var errReplyTooLong = errors.New("the server's reply does not end")

// line is the connection under a conversation. A step's deadline holds for all of the step, so that a peer that says
// an octet a second does not stretch it.
type line struct {
	net.Conn
	remote      string
	over        context.Context // of all of the conversation
	read        int
	failed      error  // of the last Read
	cut         bool   // the last octet read ended no line
	onHandshake func() // called when a TLS handshake begins on this connection
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
	_ = l.Conn.SetDeadline(deadline)
	if l.over.Err() != nil { // ended meanwhile, and breakOff's deadline was just overwritten
		breakOff(l.Conn)
	}
}

// breakOff ends whatever waits on the connection.
func breakOff(conn net.Conn) { _ = conn.SetDeadline(time.Unix(1, 0)) }

// Read bounds what a peer may say in one step.
func (l *line) Read(into []byte) (int, error) {
	if l.read >= replyLimit {
		return 0, errReplyTooLong
	}
	n, err := l.Conn.Read(into)
	l.read, l.failed = l.read+n, err
	if n > 0 {
		l.cut = into[n-1] != '\n'
	}
	return n, err
}

// Write notices the first octet of a TLS handshake record (RFC 8446, 5.1).
func (l *line) Write(out []byte) (int, error) {
	if l.onHandshake != nil && len(out) > 0 && out[0] == 22 {
		begun := l.onHandshake
		l.onHandshake = nil
		begun()
	}
	return l.Conn.Write(out)
}

func (l *line) loopback() bool {
	host, _, err := net.SplitHostPort(l.remote)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// connect looks the server up and tries each of its addresses; with TLS from the start it shakes hands too.
func (t *conversation) connect(ctx context.Context) *core.Outcome {
	addresses, outcome := t.lookUp(ctx)
	if outcome != nil {
		return outcome
	}
	var last *core.Outcome
	for _, address := range addresses {
		if last = t.connectTo(ctx, address); last == nil {
			return nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(addresses) > 1 {
		last.Detail += fmt.Sprintf(" (the last of %d addresses tried)", len(addresses))
	}
	return last
}

func (t *conversation) lookUp(ctx context.Context) ([]string, *core.Outcome) {
	if ip := net.ParseIP(t.to.Server); ip != nil {
		return []string{t.to.Server}, nil
	}
	resolver := t.courier.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	looking, cancel := within(ctx, t.courier.Deadlines.DNS)
	defer cancel()
	addresses, err := resolver.LookupHost(looking, t.to.Server)
	var dns *net.DNSError
	switch {
	case err != nil && errors.As(err, &dns) && (dns.IsTimeout || looking.Err() != nil):
		return nil, failed(StepDNS, FailureTimeout, "the name "+t.to.Server+" was not looked up in time")
	case err != nil && dns != nil && dns.IsNotFound:
		return nil, failed(StepDNS, FailureDNS, "the name "+t.to.Server+" has no address")
	case err != nil:
		return nil, failed(StepDNS, FailureDNS, "the name "+t.to.Server+" can't be looked up: the name server is in trouble")
	case len(addresses) == 0:
		return nil, failed(StepDNS, FailureDNS, "the name "+t.to.Server+" has no address")
	}
	return addresses, nil
}

func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

func (t *conversation) connectTo(ctx context.Context, address string) *core.Outcome {
	dial := t.courier.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	connecting, cancel := within(ctx, t.courier.Deadlines.Connect)
	defer cancel()
	target := net.JoinHostPort(address, strconv.Itoa(t.to.Port))
	conn, err := dial(connecting, "tcp", target)
	if err != nil {
		return failed(StepConnect, kindOf(connecting, err, StepConnect), "connecting to "+target+": "+describe(connecting, err, nil))
	}
	plain := &line{Conn: conn, remote: target, over: ctx}
	// A context that ends breaks the conversation off at once.
	stop := context.AfterFunc(ctx, func() { breakOff(conn) })
	if t.to.Security != "tls" {
		t.line, t.stop = plain, stop
		return nil
	}
	secure := tls.Client(conn, t.tlsConfig())
	plain.begin(t.courier.Deadlines.TLS)
	if err := secure.Handshake(); err != nil {
		stop()
		_ = conn.Close()
		return failed(StepTLS, kindOf(ctx, err, StepTLS), describe(ctx, err, plain))
	}
	t.line, t.stop = &line{Conn: secure, remote: target, over: ctx}, stop
	return nil
}

// kindOf is the contract's name for how an operation failed.
func kindOf(ctx context.Context, err error, step string) string {
	var network net.Error
	var protocol textproto.ProtocolError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil,
		errors.As(err, &network) && network.Timeout() && ctx.Err() == nil:
		return FailureTimeout
	case ctx.Err() != nil:
		return FailureOther
	case certificate(err):
		return FailureCertificate
	case errors.As(err, &record), errors.As(err, &alert), step == StepTLS && strings.HasPrefix(err.Error(), "tls: "),
		strings.HasPrefix(err.Error(), "remote error: tls: "):
		return FailureTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return FailureRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return FailureUnreachable
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return FailureReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return FailureClosed
	case errors.As(err, &protocol), errors.Is(err, errReplyTooLong):
		return FailureProtocol
	}
	return FailureOther
}

func certificate(err error) bool {
	var failed *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &failed) || errors.As(err, &authority) || errors.As(err, &name) || errors.As(err, &invalid)
}

// describe says it in words. A peer's garbage is not quoted: it may hold anything.
func describe(ctx context.Context, err error, on *line) string {
	var protocol textproto.ProtocolError
	var network net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return "broken off by Postroom itself"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "the whole took longer than it may"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "the server did not answer in time"
	case errors.As(err, &protocol):
		return "the server's reply is not SMTP"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server broke the connection"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	}
	var operation *net.OpError
	if on == nil && errors.As(err, &operation) {
		return operation.Err.Error()
	}
	return err.Error()
}

var hostNameOnce struct {
	sync.Mutex
	name string
	at   time.Time
}

// hostName is this host's full name if it resolves, else "". It is looked up anew after some minutes.
func hostName(ctx context.Context) string {
	hostNameOnce.Lock()
	defer hostNameOnce.Unlock()
	if !hostNameOnce.at.IsZero() && time.Since(hostNameOnce.at) < 10*time.Minute {
		return hostNameOnce.name
	}
	name, err := os.Hostname()
	if err != nil || !strings.Contains(strings.Trim(name, "."), ".") {
		name = ""
	} else {
		looking, cancel := context.WithTimeout(ctx, hostNameWait)
		defer cancel()
		if addresses, err := net.DefaultResolver.LookupHost(looking, name); err != nil || len(addresses) == 0 {
			name = ""
		}
	}
	hostNameOnce.name, hostNameOnce.at = name, time.Now()
	return name
}
