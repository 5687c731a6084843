package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"postroom/server/internal/store"
)

// Request is one request of a public endpoint. Email is lower-cased.
type Request struct {
	Kind          string // reset, verify
	Email         string
	Redirect      *string
	ClientAddress string
	UserAgent     string
	RequestID     string
	UserID        string // who asked, empty when not logged in
	RequestedAt   time.Time
}

// requestArgs is a Request in River's table, with the SiteURL in force when it was made.
type requestArgs struct {
	Purpose       string  `json:"purpose"`
	Email         string  `json:"email"`
	Redirect      *string `json:"redirect,omitempty"`
	ClientAddress string  `json:"client_address"`
	UserAgent     string  `json:"user_agent"`
	RequestID     string  `json:"request_id"`
	UserID        string  `json:"user_id"`
	RequestedAt   int64   `json:"requested_at"` // ms, by the clock of the node that was asked
	SiteURL       string  `json:"site_url"`
}

// Kind is River's.
func (requestArgs) Kind() string { return store.JobRequest }

// InsertOpts is River's. A request is tried until its lifetime is over, which its worker watches.
func (requestArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: store.QueueRequest, MaxAttempts: 30000}
}

// accepting is a request and whoever waits for its commit.
type accepting struct {
	ctx  context.Context
	args requestArgs
	done chan error
}

// ErrUnavailable is Accept's answer when the request could not be committed in time.
var ErrUnavailable = errors.New("the request could not be stored in time")

// batchLimit bounds one commit, and its time where no caller has a deadline.
const (
	batchLimit   = 500
	batchTimeout = 5 * time.Second
)

// Accept returns nil once the request is committed, and does the same insert whoever is asked about. When ctx ends
// first it returns an error (the request may have been committed all the same).
func (o *Outbox) Accept(ctx context.Context, request Request) error {
	waiting := &accepting{ctx: ctx, done: make(chan error, 1), args: requestArgs{
		Purpose: request.Kind, Email: request.Email, Redirect: request.Redirect, ClientAddress: request.ClientAddress,
		UserAgent: clip(request.UserAgent, 512), RequestID: request.RequestID, UserID: request.UserID,
		RequestedAt: request.RequestedAt.UnixMilli(), SiteURL: siteURL(o.current.Load().Snapshot),
	}}
	select {
	case o.accepts <- waiting:
	case <-ctx.Done():
		return ErrUnavailable
	case <-o.life.Done():
		return ErrUnavailable
	}
	select {
	case err := <-waiting.done:
		return err
	case <-ctx.Done():
		return ErrUnavailable
	case <-o.life.Done():
		// The acceptor answers what it had taken; what it had not is not stored.
		select {
		case err := <-waiting.done:
			return err
		case <-time.After(50 * time.Millisecond):
			return ErrUnavailable
		}
	}
}

// acceptLoop commits the requests that wait.
func (o *Outbox) acceptLoop() {
	together(o.life, o.accepts, func(batch []*accepting) bool { return len(batch) >= batchLimit }, o.commit)
}

// together commits what waits, all of it at once or as much as makes a batch full: while one commit is on its way the next
// batch gathers, so that the database's latency is shared and nobody is kept waiting for company.
func together[T any](life context.Context, waiting <-chan T, full func([]T) bool, commit func([]T)) {
	for {
		select {
		case <-life.Done():
			return
		case first := <-waiting:
			batch := []T{first}
		gather:
			for !full(batch) {
				select {
				case next := <-waiting:
					batch = append(batch, next)
				default:
					break gather
				}
			}
			commit(batch)
		}
	}
}

func (o *Outbox) commit(batch []*accepting) {
	jobs := make([]river.InsertManyParams, 0, len(batch))
	callers := make([]*accepting, 0, len(batch))
	deadline := time.Time{}
	for _, caller := range batch {
		if caller.ctx.Err() != nil { // has gone, with an error
			continue
		}
		until, bounded := caller.ctx.Deadline()
		if latest := time.Now().Add(batchTimeout); !bounded || until.After(latest) {
			until = latest
		}
		if until.After(deadline) {
			deadline = until
		}
		jobs, callers = append(jobs, river.InsertManyParams{Args: caller.args}), append(callers, caller)
	}
	if len(jobs) == 0 {
		return
	}
	o.flood.count(len(jobs))
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	_, err := o.client.InsertMany(ctx, jobs)
	if err != nil {
		o.notices.warn(ctx, "Requests can't be stored: the database is out of reach or refuses them")
		o.log.Debug("requests not stored", "error", err.Error())
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for _, caller := range callers {
		caller.done <- err
	}
}

// clip cuts a text to at most limit octets, between two characters.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && text[limit]&0xc0 == 0x80 {
		limit--
	}
	return text[:limit]
}
