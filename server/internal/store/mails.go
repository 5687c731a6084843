package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// States of a mail. Held mails are held by capture, for viewing, or by the guard over the SiteURL: see Mail.HeldBy.
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

// States are all of them, Classes all classes.
var (
	States  = []string{StateQueued, StateSending, StateSent, StateDeferred, StateFailed, StateCancelled, StateHeld, StatePerhapsDelivered}
	Classes = []string{ClassAccount, ClassInvitation, ClassNotification}
)

// Who holds a held mail.
const (
	HeldByCapture = "capture"
	HeldBySiteURL = "site_url"
)

// Fragments of SQL over mails aliased m. waiting is a mail that has not left and that nobody is sending now;
// ended takes it out of the queue for good and wipes its body; cancelled does so too, and one that perhaps arrived stays
// that, unretried.
const (
	waiting = `(m.state IN ('queued', 'deferred') OR (m.state = 'held' AND m.held_by = 'site_url')
		OR (m.state = 'perhaps_delivered' AND m.next_attempt_at IS NOT NULL))`
	cancelled = `state = CASE WHEN m.perhaps OR m.state = 'perhaps_delivered' THEN 'perhaps_delivered' ELSE 'cancelled' END, ` + ended
	// perhaps is whether a mail that is about to be sent or held may have left before: of a lease that lapsed nobody knows.
	perhaps = `m.perhaps OR m.state IN ('sending', 'perhaps_delivered')`
	ended   = closed + `, sealed = NULL`
	closed  = `held_by = NULL, waits = false, next_attempt_at = NULL, finished_at = now(), lease_owner = NULL, lease_until = NULL`
	// abandoned is a mail whose sender has lost its lease.
	abandoned = `(m.state = 'sending' AND m.lease_until <= now())`
)

// Mail is one mail's row, as the log shows it; its body comes from Sealed alone.
type Mail struct {
	ID            string     `json:"id"`   // UUID
	Kind          string     `json:"kind"` // reset, verify, test, or a kind of Mattermost's own
	Class         string     `json:"class"`
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
	Connection    *string    `json:"connection"` // primary, fallback, mattermost, capture, test
	Step          *string    `json:"step"`
	ReplyCode     *int       `json:"reply_code"`
	Enhanced      *string    `json:"enhanced"`
	ReplyText     *string    `json:"reply_text"`
	Reason        *string    `json:"reason"`
	Note          *string    `json:"note"` // what was remarkable about it when it was taken
	HasBody       bool       `json:"has_body"`
	// Sealed and KeyID are for the core's `open`; only Mail fills Sealed in, and only for a captured mail.
	Sealed []byte `json:"-"`
	KeyID  string `json:"-"`
}

const mailColumns = `m.id::text, m.kind, m.class, m.state, m.held_by, m.masked_to, m.locale, m.message_id, m.size, m.queued_at,
	m.expires_at, m.next_attempt_at, m.finished_at, m.attempts, m.connection, m.step, m.reply_code, m.enhanced,
	m.reply_text, m.reason, m.note, m.sealed IS NOT NULL, m.key_id,
	CASE WHEN m.held_by = 'capture' THEN m.sealed END`

func (m *Mail) targets() []any {
	return []any{&m.ID, &m.Kind, &m.Class, &m.State, &m.HeldBy, &m.MaskedTo, &m.Locale, &m.MessageID, &m.Size, &m.QueuedAt,
		&m.ExpiresAt, &m.NextAttemptAt, &m.FinishedAt, &m.Attempts, &m.Connection, &m.Step, &m.ReplyCode, &m.Enhanced,
		&m.ReplyText, &m.Reason, &m.Note, &m.HasBody, &m.KeyID, &m.Sealed}
}

// ErrNotFound is Mail's answer for an id that no mail has.
var ErrNotFound = errors.New("no such mail")

// MailFilter says which mails are listed. Empty members let every mail through.
type MailFilter struct {
	State, Kind, Class string
	Before             Cursor
}

// Cursor is a place in the list, after the mail with that time and id; the zero value is its beginning.
type Cursor struct {
	At time.Time
	ID string // UUID; "" for before every mail of that time
}

// Cursor is the place after the mail.
func (m *Mail) Cursor() Cursor { return Cursor{At: m.QueuedAt, ID: m.ID} }

// Mails are the newest mails first, at most limit.
func (s *Store) Mails(ctx context.Context, filter MailFilter, limit int) ([]Mail, error) {
	const first = "00000000-0000-0000-0000-000000000000"
	var at *time.Time
	if !filter.Before.At.IsZero() {
		at = &filter.Before.At
	}
	id, err := uuid.Parse(filter.Before.ID)
	if err != nil {
		id = uuid.MustParse(first)
	}
	rows, err := s.pool.Query(ctx, `SELECT `+mailColumns+` FROM postroom.mails m
		WHERE ($1::timestamptz IS NULL OR (m.queued_at, m.id) < ($1, $2::uuid))
			AND ($3 = '' OR m.state = $3) AND ($4 = '' OR m.kind = $4) AND ($5 = '' OR m.class = $5)
		ORDER BY m.queued_at DESC, m.id DESC LIMIT $6`,
		at, id.String(), filter.State, filter.Kind, filter.Class, max(1, min(limit, 1000)))
	if err != nil {
		return nil, wrap("list the mails", err)
	}
	mails, err := pgx.CollectRows(rows, scanListed)
	return mails, wrap("list the mails", err)
}

// Mail is one mail by its id (a UUID; anything else is ErrNotFound).
func (s *Store) Mail(ctx context.Context, id string) (*Mail, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return nil, ErrNotFound
	}
	var mail Mail
	err = s.pool.QueryRow(ctx, `SELECT `+mailColumns+` FROM postroom.mails m WHERE m.id = $1::uuid`,
		parsed.String()).Scan(mail.targets()...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, wrap("read the mail", err)
	}
	return &mail, nil
}

// MailsByPrefix are the ids of up to limit mails that begin so; the prefix is of a UUID's own form.
func (s *Store) MailsByPrefix(ctx context.Context, prefix string, limit int) ([]string, error) {
	const least, most = "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"
	if len(prefix) > len(least) {
		return nil, nil
	}
	from, err := uuid.Parse(prefix + least[len(prefix):])
	if err != nil {
		return nil, nil
	}
	to := uuid.MustParse(prefix + most[len(prefix):])
	rows, err := s.pool.Query(ctx, `SELECT id::text FROM postroom.mails WHERE id BETWEEN $1::uuid AND $2::uuid ORDER BY id LIMIT $3`,
		from.String(), to.String(), limit)
	if err != nil {
		return nil, wrap("find a mail", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ids, wrap("find a mail", err)
}

// Counts are the numbers of mails by state.
func (s *Store) Counts(ctx context.Context) (map[string]int64, error) {
	rows, err := s.pool.Query(ctx, `SELECT state, count(*) FROM postroom.mails GROUP BY state`)
	if err != nil {
		return nil, wrap("count the mails", err)
	}
	counts := map[string]int64{}
	var state string
	var count int64
	_, err = pgx.ForEachRow(rows, []any{&state, &count}, func() error {
		counts[state] = count
		return nil
	})
	return counts, wrap("count the mails", err)
}
