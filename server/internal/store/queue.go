package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// NewToken is a token to be kept. Digest is its SHA-256.
type NewToken struct {
	Digest        []byte
	Purpose       string
	AccountID     string
	Address       string
	PasswordStamp int64
	Redirect      *string
	RequestedAt   time.Time
	ExpiresAt     time.Time
}

// NewMail is a mail to be queued, its body sealed.
type NewMail struct {
	ID, Kind    string
	AccountID   string
	TokenDigest []byte
	MaskedTo    string
	Locale      string
	MessageID   string
	Size        int
	ExpiresAt   time.Time
	Sealed      []byte
	KeyID       string
	JobID       int64 // the job that will look after it, or 0 where Lease is set
	// Lease lets its owner send the mail as soon as this is committed, for that long.
	Lease *NewLease
}

// NewLease is a lease that a mail is born with: its first, with fence 1.
type NewLease struct {
	Owner string
	Life  time.Duration
}

// LockAccount makes this transaction the only one that decides about that account and purpose, and reads the facts
// again: they hold until the transaction ends.
func LockAccount(ctx context.Context, tx pgx.Tx, purpose, accountID string) (Facts, error) {
	// Two statements, so that the second sees what was committed while the first waited; one round trip.
	batch := &pgx.Batch{}
	batch.Queue(`SELECT pg_advisory_xact_lock(hashtextextended($1 || ':' || $2, $3))`, purpose, accountID, migrationLock)
	batch.Queue(factsQuery(`u.id = $2`), purpose, accountID)
	results := tx.SendBatch(ctx, batch)
	defer func() { _ = results.Close() }()
	if _, err := results.Exec(); err != nil {
		return Facts{}, wrap("lock the account", err)
	}
	return scanFacts(results.QueryRow())
}

// Record is everything that one decision writes. Token and Mail go together and replace the account's older token,
// whose waiting mails are cancelled with Superseded as their reason; Limit is nil where it does not move.
type Record struct {
	Purpose, AccountID string
	Token              *NewToken
	Mail               *NewMail
	Superseded         string
	Limit              *int64 // ms
	Audit              []byte // an AuditRecord as JSON
	// DoneJob is the River job that this decision completes, 0 for none. It is what river.JobCompleteTx does, in the
	// same round trip as all the rest; River's own report of the job's end then finds it done.
	DoneJob int64
}

// Write writes it, in one round trip.
func Write(ctx context.Context, tx pgx.Tx, record *Record) error {
	batch := &pgx.Batch{}
	if record.Limit != nil {
		batch.Queue(`INSERT INTO postroom.account_limits (account_id, kind, tat_ms) VALUES ($1, $2, $3)
			ON CONFLICT (account_id, kind) DO UPDATE SET tat_ms = excluded.tat_ms`,
			record.AccountID, record.Purpose, *record.Limit)
	}
	if token := record.Token; token != nil {
		batch.Queue(`DELETE FROM postroom.tokens WHERE account_id = $1 AND purpose = $2`, record.AccountID, record.Purpose)
		batch.Queue(`UPDATE postroom.mails m SET `+cancelled+`, reason = $3
			WHERE m.account_id = $1 AND m.kind = $2 AND `+waiting, record.AccountID, record.Purpose, record.Superseded)
		batch.Queue(`INSERT INTO postroom.tokens
			(digest, purpose, account_id, address, password_stamp, redirect, requested_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, token.Digest, token.Purpose, token.AccountID, token.Address,
			token.PasswordStamp, token.Redirect, token.RequestedAt, token.ExpiresAt)
	}
	if mail := record.Mail; mail != nil {
		var owner *string
		var life *time.Duration
		if mail.Lease != nil {
			owner, life = &mail.Lease.Owner, &mail.Lease.Life
		}
		batch.Queue(`INSERT INTO postroom.mails (id, kind, account_id, token_digest, state, masked_to, locale, message_id,
				size, expires_at, sealed, key_id, job_id, lease_owner, lease_until, fence, attempts)
			VALUES ($1::uuid, $2, $3, $4, CASE WHEN $13::text IS NULL THEN 'queued' ELSE 'sending' END, $5, $6, $7, $8, $9,
				$10, $11, nullif($12::bigint, 0), $13::text, now() + $14::interval,
				CASE WHEN $13::text IS NULL THEN 0 ELSE 1 END, CASE WHEN $13::text IS NULL THEN 0 ELSE 1 END)`,
			mail.ID, mail.Kind, mail.AccountID, mail.TokenDigest, mail.MaskedTo, mail.Locale, mail.MessageID, mail.Size,
			mail.ExpiresAt, mail.Sealed, mail.KeyID, mail.JobID, owner, life)
	}
	if record.Audit != nil {
		batch.Queue(insertAct, ActAudit, string(record.Audit))
	}
	if record.DoneJob != 0 {
		batch.Queue(`UPDATE postroom.river_job SET state = 'completed', finalized_at = now()
			WHERE id = $1 AND state = 'running'`, record.DoneJob)
	}
	return wrap("write the decision", tx.SendBatch(ctx, batch).Close())
}

// SetJob names the job that will next look at the mail.
func SetJob(ctx context.Context, tx pgx.Tx, mailID string, jobID int64) error {
	_, err := tx.Exec(ctx, `UPDATE postroom.mails SET job_id = $2 WHERE id = $1::uuid`, mailID, jobID)
	return wrap("name the mail's job", err)
}

// Stranded locks and gives up to limit mails that should be moving, but have no job that will come to them in time:
// a node died, or a job was lost. grace is how long a job may have been running without taking its mail.
func Stranded(ctx context.Context, tx pgx.Tx, grace time.Duration, limit int) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT m.id::text FROM postroom.mails m
		LEFT JOIN postroom.river_job j ON j.id = m.job_id
		WHERE m.finished_at IS NULL AND m.sealed IS NOT NULL AND m.queued_at < now() - $1::interval
			AND (`+due+` OR (m.state IN ('queued', 'deferred', 'perhaps_delivered') AND m.expires_at <= now()))
			AND NOT coalesce(
				j.state IN ('available', 'retryable') AND j.scheduled_at < now() + $1::interval
				OR j.state = 'scheduled' AND j.scheduled_at BETWEEN now() - 4 * $1::interval AND now() + $1::interval
				OR j.state = 'running' AND j.attempted_at > now() - $1::interval AND m.state <> 'sending', false)
		ORDER BY m.queued_at LIMIT $2 FOR UPDATE OF m SKIP LOCKED`, grace, limit)
	if err != nil {
		return nil, wrap("find stranded mails", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ids, wrap("find stranded mails", err)
}

// InsertTest records a test mail that is about to be sent by owner within life. Its body is not kept.
func (s *Store) InsertTest(ctx context.Context, mail *NewMail, owner string, life time.Duration) (*Lease, error) {
	lease := Lease{MailID: mail.ID, Kind: mail.Kind, Attempts: 1, Taken: time.Now()}
	err := s.pool.QueryRow(ctx, `INSERT INTO postroom.mails (id, kind, state, masked_to, locale, message_id, size,
			expires_at, connection, attempts, lease_owner, lease_until, fence)
		VALUES ($1::uuid, $2, 'sending', $3, $4, $5, $6, now() + $7::interval, 'test', 1, $8, now() + $7::interval, 1)
		RETURNING fence, expires_at, now()`, mail.ID, mail.Kind, mail.MaskedTo, mail.Locale, mail.MessageID, mail.Size,
		life, owner).Scan(&lease.Fence, &lease.ExpiresAt, &lease.Now)
	if err != nil {
		return nil, wrap("record the test mail", err)
	}
	return &lease, nil
}

// EndTests marks test mails whose process died as failed.
func (s *Store) EndTests(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `UPDATE postroom.mails SET state = 'failed', finished_at = now(), lease_owner = NULL,
			lease_until = NULL, reason = 'Postroom ended before the test did.'
		WHERE state = 'sending' AND sealed IS NULL AND lease_until < now() - interval '1 minute'`)
	return wrap("end tests", err)
}
