package dns

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"postroom/server/internal/core"
)

const (
	// atOnce bounds the look-ups under way, for a small name server's sake.
	atOnce = 8
	// inAll bounds a check; what has no answer by then has none.
	inAll = 15 * time.Second
	// rounds is a bound for a core gone wrong: its own is what ends a check.
	rounds = 40
)

// Core is what judges (*engine.Engine).
type Core interface {
	Call(ctx context.Context, op string, now time.Time, args, out any) error
}

// Checker asks the core what to look up, looks it up, and asks again.
type Checker struct {
	Core     Core
	Resolver *Resolver
	inAll    time.Duration // for tests; 0 is the constant
}

// Check gives the steps spf, dkim, dmarc, mx and ptr, each with the time after which it was known, and tells each one
// as soon as it is; tell may be nil. args.Answers are its own. It lasts 15 seconds at most, and fails only with ctx or the
// core: a DNS that does not answer is a warning in a step.
func (c *Checker) Check(ctx context.Context, args core.DNSChecksArgs, tell func(core.Step)) ([]core.Step, error) {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, cmp.Or(c.inAll, inAll))
	defer cancel()
	servers := c.Resolver.servers()
	if args.Addresses == nil {
		args.Addresses = []string{}
	}
	args.Answers = []core.DNSAnswer{}
	took := map[string]int64{}
	for range rounds {
		var found core.DNSChecksResult
		if err := c.Core.Call(ctx, core.OpDNSChecks, time.Now(), args, &found); err != nil {
			return nil, err
		}
		ms := time.Since(began).Milliseconds()
		for i := range found.Steps {
			step := &found.Steps[i]
			known, told := took[step.Step]
			if !told {
				known = ms
				took[step.Step] = ms
			}
			if step.State != "skipped" {
				step.MS = &known
			}
			if !told && tell != nil {
				tell(*step)
			}
		}
		if len(found.Ask) == 0 {
			return found.Steps, nil
		}
		args.Answers = append(args.Answers, c.lookupAll(limited, servers, found.Ask)...)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the core asks for look-ups without end")
}

// lookupAll answers in the questions' order. Once ctx has ended it answers at once.
func (c *Checker) lookupAll(ctx context.Context, servers []string, questions []core.DNSQuestion) []core.DNSAnswer {
	answers := make([]core.DNSAnswer, len(questions))
	places := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, question := range questions {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			answers[i] = c.Resolver.lookup(ctx, servers, question)
		})
	}
	all.Wait()
	return answers
}
