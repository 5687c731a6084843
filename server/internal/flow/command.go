package flow

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"runtime/debug"
	"strconv"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/link"
	"postroom/server/internal/settings"
	"postroom/server/internal/store"
)

const (
	// commandMails is how many mails the command lists.
	commandMails = 10
	// commandTestWithin bounds a test that a command began, in its own limit and a little more.
	commandTestWithin = 70 * time.Second
)

// CommandWords are the slash command as it is registered, a link.CommandWords.
func (f *Flows) CommandWords(ctx context.Context) (json.RawMessage, error) {
	var out core.CommandResult
	err := f.Engine.Call(ctx, core.OpCommand, time.Now(), core.CommandArgs{}, &out)
	return out.Words, err
}

// Command answers what a system admin typed. A test goes on after the answer, and its result is told aside.
func (f *Flows) Command(ctx context.Context, typed link.Command) (link.CommandReply, error) {
	args := core.CommandArgs{Text: &typed.Text, Restricted: typed.Restricted}
	var todo core.CommandResult
	if err := f.Engine.Call(ctx, core.OpCommand, time.Now(), args, &todo); err != nil {
		return link.CommandReply{}, err
	}
	var audit *link.Audit
	if todo.Ask != nil {
		var err error
		switch *todo.Ask {
		case core.AskStatus:
			args.Facts = &core.CommandFacts{Status: f.commandStatus(ctx)}
		case core.AskMails:
			args.Facts = f.commandMails(ctx)
		case core.AskResend:
			args.Facts, audit, err = f.commandResend(ctx, todo.ID)
		case core.AskTest:
			go f.commandTest(args, typed)
		}
		if err != nil {
			return link.CommandReply{}, err
		}
	}
	if args.Facts != nil {
		todo = core.CommandResult{}
		if err := f.Engine.Call(ctx, core.OpCommand, time.Now(), args, &todo); err != nil {
			return link.CommandReply{}, err
		}
	}
	if todo.Text == nil {
		return link.CommandReply{}, errors.New("the core has no answer to a command")
	}
	return link.CommandReply{Text: *todo.Text, Audit: audit}, nil
}

// commandStatus is all that is known; with the database away much is not.
func (f *Flows) commandStatus(ctx context.Context) *core.CommandStatus {
	ctx, cancel := context.WithTimeout(ctx, acceptWithin)
	defer cancel()
	outbox, relay := f.Outbox.Status(ctx), f.Relaying(ctx)
	status := &core.CommandStatus{
		State: outbox.State, Problem: outbox.Problem, Warnings: outbox.Warnings, Counts: outbox.Counts,
		Relay:       core.CommandRelay{Enabled: relay.Enabled, Healthy: relay.Healthy, Problem: relay.Problem},
		Connections: f.commandConnections(ctx, outbox.Connection),
	}
	if mail, _, err := f.Store.WaitingAccountMail(ctx); err == nil {
		status.AccountMail = &core.CommandAccountMail{Oldest: mail.Oldest, Waiting: mail.Waiting}
	}
	if incidents, err := f.Store.Incidents(ctx); err == nil {
		status.Incidents = []core.CommandIncident{}
		for _, is := range incidents {
			status.Incidents = append(status.Incidents, core.CommandIncident{Kind: is.Kind, Key: is.Key, OpenedAt: is.OpenedAt.UnixMilli()})
		}
	}
	return status
}

// commandConnections are the connections that there are; where mail is captured, that.
func (f *Flows) commandConnections(ctx context.Context, name string) []core.CommandConnection {
	list := []core.CommandConnection{}
	for _, is := range f.Outbox.Connections(ctx) {
		connection := core.CommandConnection{Name: is.Name, State: is.State, Reason: is.Reason, Active: is.Active}
		if is.Server != "" {
			connection.Server = net.JoinHostPort(is.Server, strconv.Itoa(is.Port))
		}
		if is.Since != nil {
			connection.Since = new(is.Since.UnixMilli())
		}
		list = append(list, connection)
	}
	if name == settings.ConnectionCapture {
		list = append(list, core.CommandConnection{Name: name, Active: true})
	}
	return list
}

func (f *Flows) commandMails(ctx context.Context) *core.CommandFacts {
	ctx, cancel := context.WithTimeout(ctx, acceptWithin)
	defer cancel()
	mails, err := f.Store.Mails(ctx, store.MailFilter{}, commandMails)
	if err != nil {
		return f.commandUnavailable(err)
	}
	list := &core.CommandMails{Newest: []core.CommandMail{}}
	for _, mail := range mails {
		line := core.CommandMail{ID: mail.ID, Kind: mail.Kind, State: mail.State, MaskedTo: mail.MaskedTo, QueuedAt: mail.QueuedAt.UnixMilli()}
		if mail.Reason != nil {
			line.Reason = *mail.Reason
		}
		list.Newest = append(list.Newest, line)
	}
	return &core.CommandFacts{Mails: list}
}

func (f *Flows) commandUnavailable(err error) *core.CommandFacts {
	f.Log.Error("a command's answer could not be read", "error", err)
	return &core.CommandFacts{Unavailable: &struct{}{}}
}

// commandResend sends the one mail again whose id begins so, as the route does.
func (f *Flows) commandResend(ctx context.Context, prefix string) (*core.CommandFacts, *link.Audit, error) {
	ids, err := f.Store.MailsByPrefix(ctx, prefix, 2)
	if err != nil {
		return f.commandUnavailable(err), nil, nil
	}
	facts := &core.CommandFacts{Resend: &core.CommandResend{Found: len(ids)}}
	if len(ids) != 1 {
		return facts, nil, nil
	}
	answer, err := f.ResendMail(ctx, ids[0])
	if err != nil {
		return nil, nil, err
	}
	if answer.AppError != nil {
		facts.Resend.Refused = answer.AppError.Message
	} else if sent, ok := answer.JSON.(map[string]string); ok {
		facts.Resend.MailID = sent["mail_id"]
	}
	return facts, answer.Audit, nil
}

// commandTest runs a test that nobody waits for, and tells its result to whoever asked.
func (f *Flows) commandTest(args core.CommandArgs, typed link.Command) {
	defer func() {
		if what := recover(); what != nil { // the service lives on
			f.Log.Error("a command's test failed in our own code", "what", what, "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), commandTestWithin)
	defer cancel()
	asker := Asker{UserID: typed.UserID, Address: typed.Address, RequestID: typed.RequestID, UserAgent: typed.UserAgent}
	test, err := f.testInForce(ctx, asker)
	var said core.CommandResult
	if err == nil {
		args.Facts = &core.CommandFacts{Test: test}
		err = f.Engine.Call(ctx, core.OpCommand, time.Now(), args, &said)
	}
	if err != nil || said.Text == nil {
		f.Log.Error("a command's test could not be made", "error", err)
		return
	}
	f.Aside(link.Aside{UserID: typed.UserID, ChannelID: typed.ChannelID, Text: *said.Text})
}

// testInForce tests what Mattermost's mail goes over now.
func (f *Flows) testInForce(ctx context.Context, asker Asker) (*core.CommandTest, error) {
	test := &core.CommandTest{Steps: []core.Step{}}
	ask := f.planInForce
	if !f.current.Load().UsesOwn() {
		ask = func(ctx context.Context) (*plan, Answer, error) { return f.planMattermost(ctx, Input{}) }
	}
	plan, answer, err := ask(ctx)
	var tested *Tested
	if plan != nil {
		test.Connection = plan.connection.Name
		tested, answer, err = f.test(ctx, plan, asker, "", func(TestEvent) error { return nil })
	}
	failed := answer.AppError
	if tested != nil {
		found := tested.Diagnosis
		test.Steps, test.SentTo, test.QueueID, failed = found.Steps, found.SentTo, found.QueueID, tested.Error
	}
	if failed != nil {
		test.Error = failed.Message
	}
	return test, err
}
