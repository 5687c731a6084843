package outbox

import (
	"context"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier"
	"postroom/server/internal/store"
)

// TestMail is compose_test's answer.
type TestMail struct {
	ID           string `json:"id"`
	MessageID    string `json:"message_id"`
	MaskedTo     string `json:"masked_to"`
	Locale       string `json:"locale"`
	Size         int    `json:"size"`
	EnvelopeFrom string `json:"envelope_from"`
	EnvelopeTo   string `json:"envelope_to"`
	Message      []byte `json:"message"`
}

// Kinds that the core composes.
const (
	kindReset  = "reset"
	kindVerify = "verify"
	kindTest   = "test"
)

// InForce is the connection that mail goes by now. Its error is in words that name the mend.
func (o *Outbox) InForce(ctx context.Context) (*core.Connection, error) {
	course, err := o.steer(ctx, o.current.Load())
	if err != nil {
		return nil, err
	}
	by := course.all[0] // while mail waits, the one that it waits for
	if len(course.ways) > 0 {
		by = course.ways[0]
	}
	if by.connection == nil {
		return nil, errNoServer
	}
	return by.connection, nil
}

// SendTest sends a test mail at once over that connection, with the test's shorter deadlines and ctx over all,
// and records it and its outcome as a mail. The outcome stands whether or not it could be recorded. observe, if not nil, is
// told the facts each time a step ends.
func (o *Outbox) SendTest(ctx context.Context, connection core.Connection, mail TestMail, observe func(core.Facts)) core.Outcome {
	way := &way{name: kindTest, connection: &connection}
	recording, cancel := context.WithTimeout(ctx, 2*time.Second)
	lease, err := o.store.InsertTest(recording, &store.NewMail{
		ID: mail.ID, Kind: kindTest, MaskedTo: mail.MaskedTo, Locale: mail.Locale, MessageID: mail.MessageID, Size: mail.Size,
	}, o.node, o.tuning.Test.Total+time.Minute)
	cancel()
	if err != nil {
		o.notices.warn(ctx, "A test mail is sent, but not recorded: the database is out of reach or refuses it")
	}
	// Nothing is kept from before, nor for later: a test tells how it is now.
	tester := &courier.Courier{Deadlines: o.tuning.Test, Name: o.tuning.HelloName, Observe: observe}
	outcome := tester.Send(ctx, connection, courier.Envelope{
		From: mail.EnvelopeFrom, To: mail.EnvelopeTo, Message: mail.Message,
	})
	if outcome.Accepted() {
		o.heard(context.WithoutCancel(ctx), &connection)
	}
	if lease == nil {
		return outcome
	}
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	result := o.result(writing, lease, way, outcome)
	if result.Next != nil { // only where the core fails at it: nobody could send it again, as its body is not kept
		result.State, result.Next = store.StateFailed, nil
	}
	if _, err := o.store.Finish(writing, lease, result); err != nil {
		o.notices.warn(ctx, "A test mail's outcome can't be recorded: the database is out of reach or refuses it")
	}
	return outcome
}
