package flow

import (
	"cmp"
	"context"
	"errors"
	"net"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"postroom/server/internal/core"
	"postroom/server/internal/dns"
	"postroom/server/internal/outbox"
	"postroom/server/internal/store"
	"postroom/server/internal/trial"
)

// aliveEvery is how often a test that has nothing to tell says so: a client's departure shows in what can't be written.
const aliveEvery = 2 * time.Second

// TestEvent is something that happens in a test. One member is set; none in a sign of life.
type TestEvent struct {
	Begun string     // the test's id
	Step  *core.Step // a step that ended, or one told before that has changed
	Done  *Tested
}

// Tested is what a test came to.
type Tested struct {
	Diagnosis core.Diagnosis
	Error     *core.AppError // nil where the mail was accepted
	Cancelled bool
}

// test sends the mail and finds out what it met. An answer instead of a result says why there was no test; nothing was
// told then. A tell that fails breaks the test off.
func (f *Flows) test(ctx context.Context, plan *plan, asker Asker, id string, tell func(TestEvent) error) (*Tested, Answer, error) {
	mail, answer, err := f.composeTest(ctx, plan, asker)
	if mail == nil {
		return nil, answer, err
	}
	if id == "" {
		id = uuid.NewString()
	}
	running, err := f.Trials.Begin(ctx, id, asker.UserID)
	var full *trial.FullError
	switch {
	case errors.As(err, &full):
		answer, err := f.testsBusy(ctx, full.Until)
		return nil, answer, err
	case errors.Is(err, trial.ErrID):
		answer, err := f.appError(ctx, "invalid_test")
		return nil, answer, err
	case err != nil:
		return nil, Answer{}, err
	}
	defer running.End()
	report := &report{flows: f, running: running, tell: tell, told: map[string]core.Step{}, args: core.DiagnoseArgs{
		Connection: plan.connection.Shown(), EnvelopeFrom: mail.EnvelopeFrom, To: mail.EnvelopeTo,
	}}
	report.say(TestEvent{Begun: id})
	outcome := f.converse(plan, mail, report)
	tested := &Tested{Diagnosis: report.whole(), Cancelled: running.Cancelled()}
	f.record(ctx, plan, asker, mail.ID, outcome, tested.Cancelled)
	if report.err != nil {
		return nil, Answer{}, report.err
	}
	var reply core.AppErrorResult
	err = f.Engine.Call(context.WithoutCancel(ctx), core.OpTestReply, time.Now(), core.TestReplyArgs{
		Outcome: outcome, Diagnosis: &tested.Diagnosis, Cancelled: tested.Cancelled,
	}, &reply)
	if err != nil {
		return nil, Answer{}, err
	}
	tested.Error = reply.AppError
	return tested, Answer{}, nil
}

func (f *Flows) testsBusy(ctx context.Context, until time.Time) (Answer, error) {
	var result core.AppErrorResult
	retryAt := until.UnixMilli()
	err := f.Engine.Call(ctx, core.OpAppError, time.Now(), core.AppErrorArgs{Error: "tests_busy", RetryAt: &retryAt}, &result)
	return Answer{AppError: result.AppError, RetryAt: until}, err
}

// composeTest is the mail to the asker's own address.
func (f *Flows) composeTest(ctx context.Context, plan *plan, asker Asker) (*outbox.TestMail, Answer, error) {
	account, err := f.Store.AccountByID(ctx, asker.UserID)
	if err != nil || account == nil {
		f.Log.Error("the account that a test mail goes to could not be read", "error", err)
		answer, err := f.appError(ctx, "unavailable")
		return nil, answer, err
	}
	site := f.current.Load().Site
	site.FromAddress, site.FromName, site.ReplyTo = plan.from.FromAddress, plan.from.FromName, plan.from.ReplyTo
	var mail core.ComposeTestResult
	err = f.Engine.Call(ctx, core.OpComposeTest, time.Now(), core.ComposeTestArgs{To: account.Email, Locale: account.Locale, Site: site}, &mail)
	if err != nil {
		return nil, Answer{}, err
	}
	return &outbox.TestMail{
		ID: mail.ID, MessageID: mail.MessageID, MaskedTo: mail.MaskedTo, Locale: mail.Locale, Size: mail.Size,
		EnvelopeFrom: mail.EnvelopeFrom, EnvelopeTo: mail.EnvelopeTo, Message: mail.Message,
	}, Answer{}, nil
}

// converse sends the mail, and has the report told of what is seen meanwhile. What the DNS says of the sender is looked
// up beside it, once the server's addresses are known or there will be none.
func (f *Flows) converse(plan *plan, mail *outbox.TestMail, report *report) core.Outcome {
	ctx := report.running.Context()
	seen, ended := make(chan core.Facts), make(chan core.Outcome, 1)
	go func() {
		defer func() {
			if what := recover(); what != nil { // nobody else would catch it here, and the service lives on
				f.Log.Error("a test failed in our own code", "what", what, "stack", string(debug.Stack()))
				failure := "other"
				ended <- core.Outcome{Step: "connect", Failure: &failure}
			}
		}()
		ended <- f.Outbox.SendTest(ctx, plan.connection, *mail, func(facts core.Facts) { seen <- facts })
	}()
	checks := make(chan core.Step)
	check := sync.OnceFunc(func() { go f.checkDNS(ctx, plan, mail, report.args.Facts.Addresses, checks) })
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	var outcome core.Outcome
	for conversing, checking := true, true; conversing || checking; {
		select {
		case facts := <-seen:
			report.facts(facts)
			if len(facts.Addresses) > 0 {
				check()
			}
		case outcome = <-ended:
			conversing = false
			check()
		case step, more := <-checks:
			if checking = more; more {
				report.dns(step)
			} else {
				checks = nil
			}
		case <-alive.C:
			report.say(TestEvent{})
		}
	}
	return outcome
}

// checkDNS tells the checks of the sender's DNS, each when it is known. One that can't be made is none.
func (f *Flows) checkDNS(ctx context.Context, plan *plan, mail *outbox.TestMail, addresses []string, tell chan<- core.Step) {
	defer close(tell)
	defer func() {
		if what := recover(); what != nil {
			f.Log.Error("a check of the DNS failed in our own code", "what", what, "stack", string(debug.Stack()))
		}
	}()
	checker := dns.Checker{Core: f.Engine, Resolver: f.Resolver}
	_, err := checker.Check(ctx, core.DNSChecksArgs{
		FromDomain: domain(mail.EnvelopeFrom), EnvelopeDomain: domain(cmp.Or(plan.connection.EnvelopeSender, mail.EnvelopeFrom)),
		Server: plan.connection.Server, Addresses: addresses, EHLOName: plan.connection.EHLOName,
	}, func(step core.Step) { tell <- step })
	if err != nil && ctx.Err() == nil {
		f.Log.Error("what the DNS says of the sender could not be judged", "error", err)
	}
}

func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// record tells Mattermost's audit log and the server's who tested what, from where, and what came of it.
func (f *Flows) record(ctx context.Context, plan *plan, asker Asker, mailID string, outcome core.Outcome, cancelled bool) {
	result := "failed"
	switch {
	case outcome.Accepted():
		result = "accepted"
	case cancelled:
		result = "cancelled"
	}
	to := plan.connection
	server := net.JoinHostPort(to.Server, strconv.Itoa(to.Port))
	f.Log.Info("a connection was tested", "connection", to.Name, "server", server, "user", asker.UserID, "result", result, "step", outcome.Step)
	record := store.AuditRecord{
		Event: "postroomTestConnection", Status: "fail", UserID: asker.UserID, ClientAddress: asker.Address, UserAgent: asker.UserAgent,
		RequestID: asker.RequestID, At: time.Now().UnixMilli(), Facts: map[string]string{
			"connection": to.Name, "server": server, "security": to.Security, "result": result, "step": outcome.Step, "mail_id": mailID,
		},
	}
	if result == "accepted" {
		record.Status = "success"
	}
	writing, done := context.WithTimeout(context.WithoutCancel(ctx), acceptWithin)
	defer done()
	if err := f.Store.Audit(writing, record); err != nil {
		f.Log.Warn("a connection's test is not in the audit log", "server", server, "user", asker.UserID, "error", err)
	}
}

// report turns facts into steps, and tells each once, and again when it has changed.
type report struct {
	flows     *Flows
	running   *trial.Trial
	args      core.DiagnoseArgs
	tell      func(TestEvent) error
	told      map[string]core.Step
	checks    []core.Step // of the DNS
	diagnosis core.Diagnosis
	err       error // the core could not be asked
}

// say breaks the test off where nobody listens any more.
func (r *report) say(event TestEvent) {
	if r.tell(event) != nil {
		r.running.Cancel()
	}
}

func (r *report) facts(facts core.Facts) {
	r.args.Facts = facts
	// What is seen is told to the end, also of a test that was broken off.
	ctx := context.WithoutCancel(r.running.Context())
	var found core.Diagnosis
	if err := r.flows.Engine.Call(ctx, core.OpDiagnose, time.Now(), r.args, &found); err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	r.diagnosis = found
	r.steps(found.Steps)
}

// dns is a step that comes after those of the conversation, whenever it is told.
func (r *report) dns(step core.Step) {
	r.checks = append(r.checks, step)
	r.steps([]core.Step{step})
}

// whole is all that was found.
func (r *report) whole() core.Diagnosis {
	found := r.diagnosis
	found.Steps = slices.Concat([]core.Step{}, found.Steps, r.checks)
	return found
}

func (r *report) steps(steps []core.Step) {
	for _, step := range steps {
		if before, told := r.told[step.Step]; told && reflect.DeepEqual(before, step) {
			continue
		}
		r.told[step.Step] = step
		r.say(TestEvent{Step: &step})
	}
}
