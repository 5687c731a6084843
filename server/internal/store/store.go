// Package store keeps Postroom's rows in Mattermost's own PostgreSQL, in the schema "postroom": tokens (digests
// only), mails, limits, acts that wait for the shim, and the SiteURL under which all this was written. It also
// reads Mattermost's users and puts short-lived rows into Mattermost's tokens. It decides nothing but who holds
// a claim or a lease, and that by PostgreSQL's clock.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"postroom/server/internal/core"
)

// Store is a pool of at most 8 connections. It is safe for concurrent use.
type Store struct{}

// Open reads the DataSource (a URL or key=value pairs) and makes the pool; it does not connect yet. An error
// names what is wrong with the DataSource, never its password.
func Open(ctx context.Context, dataSource string) (*Store, error) { return nil, errBeingWritten }

// Close closes the pool.
func (s *Store) Close() {}

// Migrate brings the schema to this version's state; several nodes may call it at once.
// A *SchemaError says what a person must mend; any other error is the database being out of reach for now.
func (s *Store) Migrate(ctx context.Context) error { return errBeingWritten }

// SchemaError is a database in which Postroom can't work until a person mends it.
type SchemaError struct {
	Problem string // what is wrong
	Mend    string // what to do, with the SQL where there is any
	Cause   error  // PostgreSQL's error, or nil
}

// Error is the problem and its mend in one line.
func (e *SchemaError) Error() string { return e.Problem + " " + e.Mend }

// Unwrap gives PostgreSQL's own error.
func (e *SchemaError) Unwrap() error { return e.Cause }

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return errBeingWritten }

// AccountByEmail is the account whose stored address equals email, which must be lower-cased; nil when there is none.
func (s *Store) AccountByEmail(ctx context.Context, email string) (*core.Account, error) {
	return nil, errBeingWritten
}

// AccountByID is the account of that id; nil when there is none.
func (s *Store) AccountByID(ctx context.Context, id string) (*core.Account, error) {
	return nil, errBeingWritten
}

// Found is a token as a link finds it. Row and Account are nil where there is none. Now is PostgreSQL's clock.
type Found struct {
	Row     *core.TokenRow
	Account *core.Account
	Now     time.Time
}

// Look finds a token by its digest (SHA-256, 32 bytes), expired ones too, and changes nothing.
func (s *Store) Look(ctx context.Context, purpose string, digest []byte) (Found, error) {
	return Found{}, errBeingWritten
}

// ErrNotClaimed is Claim's answer when the token is unknown, expired, or another's claim.
var ErrNotClaimed = errors.New("the token is unknown, expired or being redeemed by someone else")

// Claim is a token that is being redeemed. ID names the claim, for GiveBack and Consume.
type Claim struct {
	ID      string
	Row     core.TokenRow
	Account *core.Account
	Now     time.Time
}

// Claim marks the token as being redeemed, in one committed UPDATE: exactly one of many wins, the others get
// ErrNotClaimed. A claim lapses after 60 s.
func (s *Store) Claim(ctx context.Context, purpose string, digest []byte) (*Claim, error) {
	return nil, errBeingWritten
}

// GiveBack ends a claim and leaves the token live.
func (s *Store) GiveBack(ctx context.Context, claimID string) error { return errBeingWritten }

// Consume deletes the claimed token.
func (s *Store) Consume(ctx context.Context, claimID string) error { return errBeingWritten }

// Types of Mattermost's own tokens.
const (
	InnerReset  = "password_recovery"
	InnerVerify = "verify_email"
)

// InsertInner puts a fresh token of Mattermost's own into its table, and gives it back.
func (s *Store) InsertInner(ctx context.Context, tokenType, accountID, email string) (string, error) {
	return "", errBeingWritten
}

// DeleteInner removes a token that InsertInner made; one that is gone already is no error.
func (s *Store) DeleteInner(ctx context.Context, token string) error { return errBeingWritten }

// SweepInner removes InsertInner's leftovers that are older than 60 s, and says how many there were.
func (s *Store) SweepInner(ctx context.Context) (int64, error) { return 0, errBeingWritten }

// States of a mail. Held mails are held by capture (for viewing, Mail.Connection is "capture") or by the guard
// over the SiteURL (Mail.HeldBy is "site_url").
const (
	StateQueued           = "queued"
	StateSending          = "sending"
	StateSent             = "sent"
	StateDeferred         = "deferred"
	StateFailed           = "failed"
	StateCancelled        = "cancelled"
	StateHeld             = "held"
	StatePerhapsDelivered = "perhaps_delivered"
)

// Who holds a held mail.
const (
	HeldByCapture = "capture"
	HeldBySiteURL = "site_url"
)

// Mail is one mail's row, as the log shows it; its body comes from Sealed alone.
type Mail struct {
	ID            string     `json:"id"`   // UUID
	Kind          string     `json:"kind"` // reset, verify, test
	State         string     `json:"state"`
	HeldBy        *string    `json:"held_by"`
	MaskedTo      string     `json:"masked_to"`
	Locale        string     `json:"locale"`
	MessageID     string     `json:"message_id"`
	Size          int        `json:"size"` // octets
	QueuedAt      time.Time  `json:"queued_at"`
	ExpiresAt     time.Time  `json:"expires_at"`
	NextAttemptAt *time.Time `json:"next_attempt_at"`
	FinishedAt    *time.Time `json:"finished_at"`
	Attempts      int        `json:"attempts"`
	Connection    *string    `json:"connection"` // mattermost, capture, test
	Step          *string    `json:"step"`
	ReplyCode     *int       `json:"reply_code"`
	Enhanced      *string    `json:"enhanced"`
	ReplyText     *string    `json:"reply_text"`
	Reason        *string    `json:"reason"`
	HasBody       bool       `json:"has_body"`
	// Sealed and KeyID are for the core's `open`; only Mail fills Sealed in, and only for a captured mail.
	Sealed []byte `json:"-"`
	KeyID  string `json:"-"`
}

// ErrNotFound is Mail's answer for an id that no mail has.
var ErrNotFound = errors.New("no such mail")

// Mails are the newest mails first: those queued before `before` (zero: from the newest), at most limit.
func (s *Store) Mails(ctx context.Context, before time.Time, limit int) ([]Mail, error) {
	return nil, errBeingWritten
}

// Mail is one mail by its id (a UUID; anything else is ErrNotFound).
func (s *Store) Mail(ctx context.Context, id string) (*Mail, error) { return nil, errBeingWritten }

// Counts are the numbers of mails by state.
func (s *Store) Counts(ctx context.Context) (map[string]int64, error) { return nil, errBeingWritten }

// Act is something only the shim can do (an audit record), waiting for it.
type Act struct {
	ID        int64           `json:"id"`
	Kind      string          `json:"kind"`
	Body      json.RawMessage `json:"body"`
	CreatedAt time.Time       `json:"created_at"`
}

// ActAudit is the kind of an act whose body is an AuditRecord.
const ActAudit = "audit"

// AuditRecord is S33's: who asked, from where, what was decided. It holds no token and no unmasked address.
type AuditRecord struct {
	Event         string            `json:"event"`  // e.g. "requestPasswordReset"
	Status        string            `json:"status"` // "success" or "fail"
	UserID        string            `json:"user_id"`
	ClientAddress string            `json:"client_address"`
	UserAgent     string            `json:"user_agent"`
	RequestID     string            `json:"request_id"`
	At            int64             `json:"at"` // ms
	Facts         map[string]string `json:"facts"`
}

// AddAct queues an act; body is marshalled as JSON.
func (s *Store) AddAct(ctx context.Context, kind string, body any) error { return errBeingWritten }

// TakeActs takes up to limit of the oldest acts for the length of lease: nobody else gets them meanwhile.
func (s *Store) TakeActs(ctx context.Context, limit int, lease time.Duration) ([]Act, error) {
	return nil, errBeingWritten
}

// DoneActs removes acts that were done.
func (s *Store) DoneActs(ctx context.Context, ids []int64) error { return errBeingWritten }

// Erase removes everything kept about an account (its tokens, mails, limits and waiting requests).
func (s *Store) Erase(ctx context.Context, accountID string) error { return errBeingWritten }

var errBeingWritten = errors.New("being written")
