package store

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/core"
)

// NewToken is a token to be kept. Digest is its SHA-256.
type NewToken struct {
	Digest        []byte
	Purpose       string
	AccountID     string
	Address       string
	PasswordStamp int64
	Redirect      *string
	Replaces      *string // the account's address, where the token verifies a pending new one
	RequestedAt   time.Time
	ExpiresAt     time.Time
}

// NewMail is a mail to be queued, its body sealed. AccountID is empty where the recipient has no account; Class where
// it is account mail.
type NewMail struct {
	ID, Kind    string
	Class       string
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
	// Clear is what Sealed holds, for a sender that has the mail's first lease. It is not stored.
	Clear *core.OpenResult
	Note  string // what is remarkable about it, in plain words; mostly empty
	// Cancelled is why it is not sent at all: its row is kept for the list, without a body. Empty for a mail to be sent.
	Cancelled string
}

// NewLease is a lease that a mail is born with: its first, with fence 1.
type NewLease struct {
	Owner string
	Life  time.Duration
}

// insertMails takes columns as arrays: one statement for one mail and for many.
const insertMails = `INSERT INTO postroom.mails (state, id, kind, class, account_id, token_digest, masked_to, locale,
		message_id, size, expires_at, sealed, key_id, job_id, note, lease_owner, lease_until, fence, attempts, reason, finished_at)
	SELECT CASE WHEN cancelled <> '' THEN 'cancelled' WHEN owner = '' THEN 'queued' ELSE 'sending' END, id, kind, coalesce(nullif(class, ''), 'account'), nullif(account_id, ''), digest,
		masked_to, locale, message_id, size, expires_at, nullif(sealed, ''), key_id, nullif(job_id, 0), nullif(note, ''),
		nullif(owner, ''), CASE WHEN owner <> '' THEN now() + life END, (owner <> '')::integer, (owner <> '')::integer,
		nullif(cancelled, ''), CASE WHEN cancelled <> '' THEN now() END
	FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::text[],
		$9::integer[], $10::timestamptz[], $11::bytea[], $12::text[], $13::bigint[], $14::text[], $15::text[], $16::interval[], $17::text[])
		AS m (id, kind, class, account_id, digest, masked_to, locale, message_id, size, expires_at, sealed, key_id,
			job_id, note, owner, life, cancelled)`

func mailArrays(mails []NewMail) []any {
	texts := func(of func(*NewMail) string) []string {
		column := make([]string, len(mails))
		for i := range mails {
			// A mail of Mattermost's may hold any character; PostgreSQL takes all but this one.
			column[i] = strings.ReplaceAll(of(&mails[i]), "\x00", "")
		}
		return column
	}
	digests, sealed, lives := make([][]byte, len(mails)), make([][]byte, len(mails)), make([]time.Duration, len(mails))
	sizes, expiries, jobs := make([]int, len(mails)), make([]time.Time, len(mails)), make([]int64, len(mails))
	for i := range mails {
		digests[i], sealed[i], sizes[i] = mails[i].TokenDigest, mails[i].Sealed, mails[i].Size
		expiries[i], jobs[i] = mails[i].ExpiresAt, mails[i].JobID
		if mails[i].Lease != nil {
			lives[i] = mails[i].Lease.Life
		}
	}
	return []any{
		texts(func(m *NewMail) string { return m.ID }), texts(func(m *NewMail) string { return m.Kind }),
		texts(func(m *NewMail) string { return m.Class }), texts(func(m *NewMail) string { return m.AccountID }),
		digests, texts(func(m *NewMail) string { return m.MaskedTo }),
		texts(func(m *NewMail) string { return m.Locale }), texts(func(m *NewMail) string { return m.MessageID }),
		sizes, expiries, sealed, texts(func(m *NewMail) string { return m.KeyID }), jobs,
		texts(func(m *NewMail) string { return m.Note }), texts(leaseOwner), lives,
		texts(func(m *NewMail) string { return m.Cancelled }),
	}
}

func leaseOwner(m *NewMail) string {
	if m.Lease == nil {
		return ""
	}
	return m.Lease.Owner
}

// InsertMails queues mails, in one statement, and gives PostgreSQL's time of it.
func InsertMails(ctx context.Context, tx pgx.Tx, mails []NewMail) (time.Time, error) {
	var now time.Time
	batch := &pgx.Batch{}
	batch.Queue(insertMails, mailArrays(mails)...)
	batch.Queue(`SELECT now()`).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	return now, wrap("queue the mails", tx.SendBatch(ctx, batch).Close())
}

// LockAccount makes this transaction the only one that decides about that account's links of a kind, and reads the
// facts again: they hold until the transaction ends.
func LockAccount(ctx context.Context, tx pgx.Tx, kind, accountID string) (Facts, error) {
	// Two statements, so that the second sees what was committed while the first waited; one round trip.
	batch := &pgx.Batch{}
	batch.Queue(`SELECT pg_advisory_xact_lock(hashtextextended($1 || ':' || $2, $3))`, kind, accountID, migrationLock)
	batch.Queue(factsQuery(`u.id = $2`), kind, accountID, purposeOf(kind))
	results := tx.SendBatch(ctx, batch)
	defer func() { _ = results.Close() }()
	if _, err := results.Exec(); err != nil {
		return Facts{}, wrap("lock the account", err)
	}
	return scanFacts(results.QueryRow())
}

// Record is everything that one decision over a kind of link writes. A Token replaces the account's older one, whose
// waiting mails are cancelled with Superseded as their reason; without one they are left alone. Limit is nil where it
// does not move.
type Record struct {
	Kind, AccountID string
	Token           *NewToken
	Mail            *NewMail
	Superseded      string
	Limit           *int64 // ms
	Audit           []byte // an AuditRecord as JSON
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
			record.AccountID, record.Kind, *record.Limit)
	}
	if token := record.Token; token != nil {
		batch.Queue(`UPDATE postroom.mails m SET `+cancelled+`, reason = $3
			WHERE m.account_id = $1 AND `+waiting+` AND (m.kind = $2 OR m.token_digest IN
				(SELECT t.digest FROM postroom.tokens t WHERE t.account_id = $1 AND t.purpose = $4
					AND (t.replaces IS NOT NULL) = ($2 <> $4)))`,
			record.AccountID, record.Kind, record.Superseded, token.Purpose)
		batch.Queue(`DELETE FROM postroom.tokens WHERE account_id = $1 AND purpose = $3 AND (replaces IS NOT NULL) = ($2 <> $3)`,
			record.AccountID, record.Kind, token.Purpose)
		batch.Queue(`INSERT INTO postroom.tokens
			(digest, purpose, account_id, address, password_stamp, redirect, replaces, requested_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, token.Digest, token.Purpose, token.AccountID, token.Address,
			token.PasswordStamp, token.Redirect, token.Replaces, token.RequestedAt, token.ExpiresAt)
	}
	if mail := record.Mail; mail != nil {
		batch.Queue(insertMails, mailArrays([]NewMail{*mail})...)
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

// BackdateJob gives the mail's job the place in its queue that a job of that time has.
func BackdateJob(ctx context.Context, tx pgx.Tx, mailID string, at time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE postroom.river_job j SET scheduled_at = $2 FROM postroom.mails m
		WHERE m.id = $1::uuid AND j.id = m.job_id AND j.state = 'available'`, mailID, at)
	return wrap("keep the mail's place in its queue", err)
}

// RescueRequests gives requests back that have been worked at for longer than any attempt may take: their node is dead.
func (s *Store) RescueRequests(ctx context.Context, after time.Duration) (int64, error) {
	tag, err := s.pool.Exec(ctx, `UPDATE postroom.river_job SET state = 'available', scheduled_at = now()
		WHERE kind = $1 AND state = 'running' AND attempted_at < now() - $2::interval`, JobRequest, after)
	return tag.RowsAffected(), wrap("give back the requests of a dead node", err)
}

// StrandedMail is one that Stranded found.
type StrandedMail struct{ ID, Class string }

// Stranded locks and gives up to limit mails that should be moving, but have no job that will come to them in time:
// a node died, or a job was lost. grace is how long a job may have been running without taking its mail.
func Stranded(ctx context.Context, tx pgx.Tx, grace time.Duration, limit int) ([]StrandedMail, error) {
	rows, err := tx.Query(ctx, `SELECT m.id::text, m.class FROM postroom.mails m
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
	mails, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StrandedMail])
	return mails, wrap("find stranded mails", err)
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

// EndTests ends test mails whose outcome nobody wrote: their process died, or had no database. They have perhaps arrived.
func (s *Store) EndTests(ctx context.Context, reason string) error {
	_, err := s.pool.Exec(ctx, `UPDATE postroom.mails SET state = 'perhaps_delivered', finished_at = now(), lease_owner = NULL,
			lease_until = NULL, reason = $1
		WHERE state = 'sending' AND sealed IS NULL AND lease_until < now() - interval '1 minute'`, reason)
	return wrap("end tests", err)
}
