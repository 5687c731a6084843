package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// Turn takes the next turn at a connection's rate, which all nodes share: a mail may go when the time that the
// next is due is at most ahead from now, and moves it by interval; full is how far off it can be. Zero says that it may
// go; else it is how long until it can be worth asking again.
func (s *Store) Turn(ctx context.Context, connection string, interval, ahead, full time.Duration) (time.Duration, error) {
	// The clock is read where the row is locked: who waited for it must not go by an older time.
	tag, err := s.pool.Exec(ctx, `UPDATE postroom.upstream
		SET tat = least(greatest(tat, clock_timestamp()), clock_timestamp() + $3::interval) + $1::interval
		WHERE connection = $4 AND least(greatest(tat, clock_timestamp()), clock_timestamp() + $3::interval) <= clock_timestamp() + $2::interval`,
		interval, ahead, full, connection)
	if err != nil || tag.RowsAffected() == 1 {
		return 0, wrap("take a turn at the upstream server", err)
	}
	var wait time.Duration
	err = s.pool.QueryRow(ctx, `SELECT least(greatest(tat, clock_timestamp()), clock_timestamp() + $2::interval) - $1::interval - clock_timestamp()
		FROM postroom.upstream WHERE connection = $3`, ahead, full, connection).Scan(&wait)
	if errors.Is(err, pgx.ErrNoRows) {
		_, err = s.pool.Exec(ctx, `INSERT INTO postroom.upstream (connection) VALUES ($1) ON CONFLICT DO NOTHING`, connection)
	}
	return max(wait, time.Millisecond), wrap("wait for a turn at the upstream server", err)
}

// MayBeTaken is whether TakeLease would give a lease.
func (s *Store) MayBeTaken(ctx context.Context, mailID, keyID string) (bool, error) {
	var may bool
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM postroom.mails m WHERE `+mayBeTaken+`)`, mailID, keyID).Scan(&may)
	return may, wrap("look whether the mail may be sent", err)
}
