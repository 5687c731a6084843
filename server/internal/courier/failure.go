package courier

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"postroom/server/internal/core"
)

// failed is the outcome of a step where the peer gave no reply that says it.
func failed(step, failure, detail string) *core.Outcome {
	return &core.Outcome{Step: step, Failure: &failure, Detail: oneLine(detail)}
}

// replied is the outcome of a step by a reply other than the one that goes on.
func replied(step string, reply *core.Reply) *core.Outcome {
	if reply.Code < 200 || reply.Code > 599 {
		return failed(step, FailureProtocol, fmt.Sprintf("the server's reply has the code %d", reply.Code))
	}
	return &core.Outcome{Step: step, Reply: reply}
}

// broken is the outcome of a step that ended in err.
func broken(ctx context.Context, step string, err error) *core.Outcome {
	detail := describe(ctx, err)
	// What stands in place of SMTP tells an admin what is behind the port. Later it may hold anything.
	var other *notSMTP
	if errors.As(err, &other) && slices.Contains([]string{StepGreeting, StepEHLO, StepStartTLS}, step) {
		detail += ": " + printable([]byte(other.line[:min(len(other.line), 200)]))
	}
	return failed(step, kindOf(ctx, err, step), detail)
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

// kindOf is the contract's name for how an operation failed.
func kindOf(ctx context.Context, err error, step string) string {
	var network net.Error
	var record tls.RecordHeaderError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil,
		errors.As(err, &network) && network.Timeout() && ctx.Err() == nil:
		return FailureTimeout
	case ctx.Err() != nil:
		return FailureOther
	case certificate(err):
		return FailureCertificate
	case errors.As(err, &record), step == StepTLS && strings.HasPrefix(err.Error(), "tls: "), alertName(err) != "":
		return FailureTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return FailureRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return FailureUnreachable
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return FailureReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return FailureClosed
	case errors.As(err, new(*notSMTP)), errors.Is(err, errReplyTooLong):
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

// isOver is whether the whole's time is up: the connection's own clock may notice before the context's does.
func isOver(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	return bounded && !time.Now().Before(deadline)
}

// describe says it in words.
func describe(ctx context.Context, err error) string {
	var network net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return "broken off by Postroom itself"
	case errors.Is(ctx.Err(), context.DeadlineExceeded), isOver(ctx):
		return "the whole took longer than it may"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "the server did not answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server broke the connection"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	}
	var operation *net.OpError
	if errors.As(err, &operation) && operation.Op == "dial" {
		return operation.Err.Error()
	}
	return err.Error()
}
