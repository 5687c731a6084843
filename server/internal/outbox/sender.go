package outbox

import (
	"context"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/store"
)

// sender is a free place among this node's senders of new mail, which need no River job: most mail leaves at its first
// attempt, and is then never scheduled at all. What a dead sender leaves behind is found like every lapsed lease.
type sender struct {
	o     *Outbox
	in    *current
	ways  []*way
	taken time.Time
	place chan struct{}
	class string
}

// freeSender takes a place among those of a class, nil when none is free or the settings allow no sending now.
func (o *Outbox) freeSender(ctx context.Context, in *current, class string) *sender {
	course, err := o.steer(ctx, in)
	if err != nil || !o.working() || len(course.ways) == 0 {
		return nil
	}
	by := course.ways[0]
	// Where the rate is limited a mail waits for its turn in River's hands; a sender waits for nothing.
	if by.connection != nil && (by.share.limited() != nil || !by.share.try(class)) {
		return nil
	}
	place := o.senders[class]
	select {
	case place <- struct{}{}:
		o.sending.Add(1)
		return &sender{o: o, in: in, ways: course.ways, taken: time.Now(), place: place, class: class}
	default:
		by.leave(class)
		return nil
	}
}

func (s *sender) release() {
	<-s.place
	s.ways[0].leave(s.class)
	s.o.sending.Done()
}

// settle sends the mail once it is committed, by the lease that it was born with, and gives the place back where it is
// not. since is when the mail came in, or was asked for; now PostgreSQL's clock at the commit.
func (s *sender) settle(mail *store.NewMail, since, now time.Time, err error) {
	switch {
	case s == nil:
	case err != nil:
		s.release()
	default:
		s.send(&store.Lease{MailID: mail.ID, Fence: 1, Kind: mail.Kind, Class: mail.Class, Sealed: mail.Sealed, Attempts: 1,
			ExpiresAt: mail.ExpiresAt, QueuedAt: since, Now: now, Taken: s.taken}, mail.Clear)
	}
}

// send carries the mail in the background and frees the place.
func (s *sender) send(lease *store.Lease, clear *core.OpenResult) {
	go func() {
		defer s.release()
		ctx, cancel := context.WithTimeout(s.o.sendLife, s.o.tuning.Queue.Total+sendMargin)
		defer cancel()
		if err := (&attempt{o: s.o, in: s.in, ways: s.ways, lease: lease, clear: clear}).run(ctx); err != nil {
			s.o.notices.warn(ctx, "A mail waits: the database is out of reach or refuses it")
			s.o.log.DebugContext(ctx, "A mail waits", "mail", lease.MailID, "error", err.Error())
		}
	}()
}

// waitForSenders waits until all are done, as long as ctx allows, then breaks them off.
func (o *Outbox) waitForSenders(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		o.sending.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		o.endSending()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
		}
	}
	o.endSending()
}
