// Package outbox takes mail and loses none: a request is accepted once its River job is committed; everything
// that depends on the account happens in the job; who may send a mail is decided by a lease in the mail's row.
package outbox

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/settings"
	"postroom/server/internal/store"
)

// Engine calls the core.
type Engine interface {
	Call(ctx context.Context, op string, now time.Time, args, out any) error
}

// Options are what an Outbox is made of; all of it is needed but Tuning.
type Options struct {
	Store    *store.Store
	Engine   Engine
	Log      *slog.Logger
	Node     string             // names this process in leases and River, unique among those alive
	Settings *settings.Snapshot // the first; Apply swaps it
}

// Outbox is this node's share of the outbox.
type Outbox struct{}

// New makes an Outbox that does nothing yet.
func New(options Options) (*Outbox, error) { return nil, errBeingWritten }

// Start migrates the schema and begins to work. A database out of reach is no error: the outbox then tries again
// by itself, in the background, and Accept and Status say so. A *store.SchemaError is returned at once, nothing
// runs then, and Start may be called again. ctx bounds the start only.
func (o *Outbox) Start(ctx context.Context) error { return errBeingWritten }

// Stop takes no more jobs and waits, as long as ctx allows, for those that run.
func (o *Outbox) Stop(ctx context.Context) error { return errBeingWritten }

// Apply swaps the settings; a SiteURL other than the outbox was filled under holds everything (R28).
func (o *Outbox) Apply(snapshot *settings.Snapshot) {}

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

// Accept returns nil once the request is committed, and does the same insert whoever is asked about. When ctx ends
// first it returns an error (the request may have been committed all the same).
func (o *Outbox) Accept(ctx context.Context, request Request) error { return errBeingWritten }

// States of the outbox.
const (
	Starting = "starting" // the database is not reached yet
	Working  = "working"
	Held     = "held"   // the SiteURL differs from the one the outbox was filled under (R28)
	Broken   = "broken" // a person must mend something: see Status.Problem
	Stopped  = "stopped"
)

// Status is the outbox at a glance.
type Status struct {
	State      string           `json:"state"`
	Problem    string           `json:"problem"`    // why Starting, Held or Broken, in plain words
	Connection string           `json:"connection"` // mattermost, capture
	Counts     map[string]int64 `json:"counts"`     // mails by state; nil when the database is out of reach
	FilledFor  string           `json:"filled_for"` // the SiteURL it was filled under, while Held
	Warnings   []string         `json:"warnings"`
}

// Status asks the database for the counts, bounded by ctx.
func (o *Outbox) Status(ctx context.Context) Status { return Status{} }

// ErrNotHeld is Decide's answer when there is nothing to decide.
var ErrNotHeld = errors.New("the outbox is not held")

// Decide ends a hold (R28): goOn sends what waits under the new SiteURL (account mails are minted and composed
// anew), else it is cancelled.
func (o *Outbox) Decide(ctx context.Context, goOn bool) error { return errBeingWritten }

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

// SendTest sends a test mail at once over that connection, with the test's shorter deadlines and ctx over all,
// and records it and its outcome as a mail. The outcome stands whether or not it could be recorded.
func (o *Outbox) SendTest(ctx context.Context, connection core.Connection, mail TestMail) core.Outcome {
	return core.Outcome{}
}

var errBeingWritten = errors.New("being written")
