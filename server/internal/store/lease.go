package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/core"
)

// Job kinds and queues in River's table, which the guard, the reaper and Erase look at too.
const (
	JobRequest   = "request"
	JobSend      = "send"
	QueueRequest = "request"
)

// Classes of mail, each with a queue of its name and senders and workers of its own, so that none waits behind
// another (R11).
const (
	ClassAccount      = "account"
	ClassInvitation   = "invitation"
	ClassNotification = "notification"
)

// The rule of who may take a mail is the core's (core/src/standing.rs); these fragments apply it, as only the database
// can among several nodes. TestHistories holds that both say the same.

// due is a mail that may be sent now: not waiting for a time to come, or left behind by a lease that lapsed.
const due = `((m.state = 'queued' AND (m.next_attempt_at IS NULL OR m.next_attempt_at <= now()))
	OR (m.state IN ('deferred', 'perhaps_delivered') AND m.next_attempt_at <= now())
	OR (m.state = 'sending' AND m.lease_until <= now()))`

// tokenLives is whether the mail's link would still work; a mail without a token has none to die.
const tokenLives = `(m.token_digest IS NULL OR EXISTS
	(SELECT 1 FROM postroom.tokens t WHERE t.digest = m.token_digest AND t.expires_at > now()))`

// mayBeTaken is whether whoever has the key ($2) may become the sender of the mail ($1).
const mayBeTaken = `m.id = $1::uuid AND m.key_id = $2 AND m.sealed IS NOT NULL AND m.expires_at > now()
	AND NOT m.compose_anew AND ` + due + ` AND ` + tokenLives

// Lease is the right to send one mail, until it lapses. Fence tells this lease from every other of the mail.
type Lease struct {
	MailID    string
	Fence     int64
	Kind      string
	Class     string
	Sealed    []byte
	Attempts  int  // with this one
	Perhaps   bool // an earlier attempt broke off where the server may have had the mail
	ExpiresAt time.Time
	QueuedAt  time.Time // or when it was asked for
	Now       time.Time // PostgreSQL's clock when it was taken
	Taken     time.Time // this process's clock then
}

// Clock is PostgreSQL's clock by now.
func (l *Lease) Clock() time.Time { return l.Now.Add(time.Since(l.Taken)) }

// TakeLease makes owner the mail's one sender for the length of life, if the mail is due, sealed under keyID, not
// expired, and its token is live. Else it returns nil: Standing says why.
func (s *Store) TakeLease(ctx context.Context, mailID, owner, keyID string, life time.Duration) (*Lease, error) {
	lease := Lease{MailID: mailID, Taken: time.Now()}
	err := s.pool.QueryRow(ctx, `UPDATE postroom.mails m SET state = 'sending', lease_owner = $3,
			lease_until = now() + $4::interval, fence = m.fence + 1, attempts = m.attempts + 1,
			next_attempt_at = NULL, waits = false, key_missing_since = NULL, perhaps = `+perhaps+`
		WHERE `+mayBeTaken+`
		RETURNING m.fence, m.kind, m.class, m.sealed, m.attempts, m.perhaps, m.expires_at, m.queued_at, now()`, mailID, keyID, owner, life).
		Scan(&lease.Fence, &lease.Kind, &lease.Class, &lease.Sealed, &lease.Attempts, &lease.Perhaps, &lease.ExpiresAt, &lease.QueuedAt, &lease.Now)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("take the mail's lease", err)
	}
	return &lease, nil
}

// Standing is how a mail stands, by PostgreSQL's clock: the facts that the core decides by, and what it takes to compose
// the mail anew.
type Standing struct {
	core.Standing
	AccountID string
	Class     string
	JobID     int64 // the job that will next look at it
	QueuedAt  time.Time
	Now       time.Time
}

// Standing reads it; nil where there is no such mail.
func (s *Store) Standing(ctx context.Context, mailID string) (*Standing, error) {
	var is Standing
	var account *string
	var next, lease, missing, linkExpires *time.Time
	var expires time.Time
	var linked bool
	err := s.pool.QueryRow(ctx, `SELECT m.kind, m.state, m.held_by, m.sealed IS NOT NULL, m.next_attempt_at, m.lease_until,
			m.expires_at, m.key_id, m.key_missing_since, m.compose_anew, m.perhaps, m.token_digest IS NOT NULL, t.expires_at,
			m.account_id, m.class, coalesce(m.job_id, 0), m.queued_at, now()
		FROM postroom.mails m LEFT JOIN postroom.tokens t ON t.digest = m.token_digest WHERE m.id = $1::uuid`, mailID).
		Scan(&is.Kind, &is.State, &is.HeldBy, &is.HasBody, &next, &lease, &expires, &is.KeyID, &missing, &is.ComposeAnew, &is.Perhaps,
			&linked, &linkExpires, &account, &is.Class, &is.JobID, &is.QueuedAt, &is.Now)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("read how the mail stands", err)
	}
	is.AccountID, is.ExpiresAt = or(account, ""), expires.UnixMilli()
	is.NextAttemptAt, is.LeaseUntil, is.KeyMissingSince = milliseconds(next), milliseconds(lease), milliseconds(missing)
	if linked {
		is.Link = &core.Link{ExpiresAt: milliseconds(linkExpires)}
	}
	return &is, nil
}

func milliseconds(at *time.Time) *int64 {
	if at == nil {
		return nil
	}
	ms := at.UnixMilli()
	return &ms
}

// RenewLease makes the lease last another life from now; false says that it is lost.
func (s *Store) RenewLease(ctx context.Context, lease *Lease, life time.Duration) (bool, error) {
	tag, err := s.pool.Exec(ctx, `UPDATE postroom.mails m SET lease_until = now() + $3::interval
		WHERE m.id = $1::uuid AND m.fence = $2 AND m.state = 'sending'`, lease.MailID, lease.Fence, life)
	return tag.RowsAffected() == 1, wrap("renew the mail's lease", err)
}

// Release gives a mail back unsent, as if this attempt had not been.
func Release(ctx context.Context, tx pgx.Tx, lease *Lease) error {
	_, err := tx.Exec(ctx, `UPDATE postroom.mails m SET state = 'queued', lease_owner = NULL, lease_until = NULL,
			attempts = m.attempts - 1
		WHERE m.id = $1::uuid AND m.fence = $2 AND m.state = 'sending'`, lease.MailID, lease.Fence)
	return wrap("give the mail back", err)
}

// Result is what became of an attempt. Next is when it will be tried again, nil for never.
type Result struct {
	State      string
	HeldBy     *string
	Next       *time.Time
	Connection string
	Step       *string
	Code       *int
	Enhanced   *string
	Text       *string
	Reason     *string
	// Fault counts this attempt as one that failed in our own code.
	Fault bool
	// Hurry brings a mail that waits forward once a connection is well.
	Hurry bool
}

// Finish writes an attempt's result, if the lease is still this one's: false says that it was lost, and nothing is
// written. The body is wiped with the last attempt, unless the mail is kept for viewing or, without a link of ours, is
// given up: an admin may have it sent again.
func Finish(ctx context.Context, in pgx.Tx, lease *Lease, result *Result) (bool, error) {
	return finish(ctx, in, lease, result)
}

// Finish is the same, committed by itself.
func (s *Store) Finish(ctx context.Context, lease *Lease, result *Result) (bool, error) {
	return finish(ctx, s.pool, lease, result)
}

func finish(ctx context.Context, in queryer, lease *Lease, r *Result) (bool, error) {
	tag, err := in.Exec(ctx, `UPDATE postroom.mails m SET state = $3, held_by = $4, next_attempt_at = $5,
			connection = $6, step = $7, reply_code = $8, enhanced = $9, reply_text = $10, reason = $11,
			faults = m.faults + CASE WHEN $12 THEN 1 ELSE 0 END,
			sealed = CASE WHEN $5::timestamptz IS NOT NULL OR $3 = 'held'
				OR (($3 = 'failed' OR $3 = 'perhaps_delivered' AND m.perhaps) AND m.token_digest IS NULL) THEN m.sealed END,
			finished_at = CASE WHEN $5::timestamptz IS NULL THEN now() END,
			waits = $13 AND $3 = 'deferred', lease_owner = NULL, lease_until = NULL
		WHERE m.id = $1::uuid AND m.fence = $2 AND m.state = 'sending'`,
		lease.MailID, lease.Fence, r.State, r.HeldBy, r.Next, r.Connection, r.Step, r.Code, r.Enhanced, r.Text, r.Reason, r.Fault, r.Hurry)
	return tag.RowsAffected() == 1, wrap("write the mail's outcome", err)
}

// Faults is how many attempts at a mail failed in our own code.
func (s *Store) Faults(ctx context.Context, mailID string) (int, error) {
	var faults int
	err := s.pool.QueryRow(ctx, `SELECT faults FROM postroom.mails WHERE id = $1::uuid`, mailID).Scan(&faults)
	return faults, wrap("count the mail's faults", err)
}

// End takes a mail that nobody is sending out of the queue for good, in that state and with that reason; false says that
// it was no longer waiting. One that has perhaps arrived stays that.
func (s *Store) End(ctx context.Context, mailID, state, reason string) (bool, error) {
	tag, err := s.pool.Exec(ctx, `UPDATE postroom.mails m SET `+closed+`,
			sealed = CASE WHEN $2 <> 'cancelled' AND m.token_digest IS NULL THEN m.sealed END,
			state = CASE WHEN m.perhaps OR m.state = 'perhaps_delivered' THEN 'perhaps_delivered' ELSE $2 END, reason = $3
		WHERE m.id = $1::uuid AND (`+waiting+` OR `+abandoned+`)`, mailID, state, reason)
	return tag.RowsAffected() == 1, wrap("end the mail", err)
}

// CancelByHand is End for an admin, with the mail's link: nobody waits for a link that was never sent.
func (s *Store) CancelByHand(ctx context.Context, mailID, reason string) (bool, error) {
	var ended int
	err := s.pool.QueryRow(ctx, `WITH gone AS (UPDATE postroom.mails m SET `+cancelled+`, reason = $2
			WHERE m.id = $1::uuid AND (`+waiting+` OR `+abandoned+`) RETURNING m.token_digest),
		dead AS (DELETE FROM postroom.tokens t USING gone WHERE t.digest = gone.token_digest)
		SELECT count(*) FROM gone`, mailID, reason).Scan(&ended)
	return ended == 1, wrap("cancel the mail", err)
}

// Requeue puts a mail without a link of ours back into the queue as if it had just come, to be sent until that time;
// the class is "" where it can't be, as it has no body or is on its way. It needs a job.
func Requeue(ctx context.Context, tx pgx.Tx, mailID string, expiresAt time.Time) (class string, err error) {
	err = tx.QueryRow(ctx, `UPDATE postroom.mails m SET state = 'queued', held_by = NULL, next_attempt_at = NULL,
			finished_at = NULL, lease_owner = NULL, lease_until = NULL, fence = m.fence + 1, attempts = 0, faults = 0,
			key_missing_since = NULL, perhaps = `+perhaps+`, reason = NULL, step = NULL, reply_code = NULL, enhanced = NULL, reply_text = NULL,
			expires_at = $2
		WHERE m.id = $1::uuid AND m.sealed IS NOT NULL AND m.token_digest IS NULL AND (m.state IN ('failed', 'deferred', 'perhaps_delivered')
			OR m.held_by = 'capture' OR `+abandoned+`) RETURNING m.class`, mailID, expiresAt).Scan(&class)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return class, wrap("queue the mail again", err)
}

// MissKey notes that a node lacks the key of a mail that waits, or whose sender is gone: it is then not due before at.
func MissKey(ctx context.Context, tx pgx.Tx, mailID string, at time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE postroom.mails m SET key_missing_since = coalesce(m.key_missing_since, now()), next_attempt_at = $2,
			state = CASE m.state WHEN 'sending' THEN 'queued' ELSE m.state END, perhaps = `+perhaps+`,
			lease_owner = NULL, lease_until = NULL
		WHERE m.id = $1::uuid AND m.state <> 'held' AND (`+waiting+` OR `+abandoned+`)`, mailID, at)
	return wrap("note the missing key", err)
}
