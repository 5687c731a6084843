package courier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"postroom/server/internal/core"
)

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
		t.notes.facts.Addresses = []string{ip.String()}
		return []string{t.to.Server}, nil
	}
	resolver := t.courier.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	t.notes.begin()
	looking, cancel := within(ctx, t.courier.Deadlines.DNS)
	defer cancel()
	addresses, err := resolver.LookupHost(looking, t.to.Server)
	var dns *net.DNSError
	var outcome *core.Outcome
	switch {
	case err != nil && errors.As(err, &dns) && (dns.IsTimeout || looking.Err() != nil):
		outcome = failed(StepDNS, FailureTimeout, "the name "+t.to.Server+" was not looked up in time")
	case err != nil && dns != nil && dns.IsNotFound, err == nil && len(addresses) == 0:
		outcome = failed(StepDNS, FailureDNS, "the name "+t.to.Server+" has no address")
	case err != nil:
		outcome = failed(StepDNS, FailureDNS, "the name "+t.to.Server+" can't be looked up: the name server is in trouble")
	}
	if outcome != nil {
		return nil, t.fail(outcome)
	}
	t.notes.facts.Addresses = slices.Clone(addresses)
	t.notes.event(StepDNS, core.Outcome{}, "")
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
	t.notes.begin()
	conn, err := dial(connecting, "tcp", target)
	if err != nil {
		outcome := failed(StepConnect, kindOf(connecting, err, StepConnect), "connecting to "+target+": "+describe(connecting, err))
		t.notes.event(StepConnect, *outcome, target)
		return outcome
	}
	t.notes.event(StepConnect, core.Outcome{}, target)
	line := newLine(ctx, conn, target)
	// A context that ends breaks the conversation off at once.
	stop := context.AfterFunc(ctx, func() { breakOff(conn) })
	if t.to.Security == "tls" {
		line.begin(t.courier.Deadlines.TLS)
		secure, outcome := t.secure(ctx, conn, target)
		if outcome != nil {
			stop()
			_ = conn.Close()
			return outcome
		}
		line.use(secure)
	}
	t.line, t.stop = line, stop
	return nil
}
