package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/core"
)

// Relay is what all nodes share of the relay. Certificate, Credentials and Original are sealed; Original, Mattermost's
// own settings as they were before the relay, is nil until it was first switched on.
type Relay struct {
	Port        int
	Certificate []byte
	Credentials []byte
	Enabled     bool
	Original    []byte
	ChangedAt   time.Time
}

const relayColumns = `port, certificate, credentials, enabled, original, changed_at`

// RelayState reads it; nil before CreateRelay.
func (s *Store) RelayState(ctx context.Context) (*Relay, error) {
	var relay Relay
	err := s.pool.QueryRow(ctx, `SELECT `+relayColumns+` FROM postroom.relay`).Scan(&relay.Port, &relay.Certificate,
		&relay.Credentials, &relay.Enabled, &relay.Original, &relay.ChangedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("read the relay's state", err)
	}
	return &relay, nil
}

// CreateRelay stores a port and secrets where there are none yet, and gives what stands then: of several nodes at
// their first start, one's.
func (s *Store) CreateRelay(ctx context.Context, port int, certificate, credentials []byte) (*Relay, error) {
	_, err := s.pool.Exec(ctx, `INSERT INTO postroom.relay (port, certificate, credentials) VALUES ($1, $2, $3)
		ON CONFLICT (singleton) DO NOTHING`, port, certificate, credentials)
	if err != nil {
		return nil, wrap("store the relay's secrets", err)
	}
	return s.RelayState(ctx)
}

// ReplaceRelaySecrets puts others in place of secrets that can't be opened any more, if they are still those that
// were read, and gives what stands then.
func (s *Store) ReplaceRelaySecrets(ctx context.Context, read *Relay, certificate, credentials []byte) (*Relay, error) {
	_, err := s.pool.Exec(ctx, `UPDATE postroom.relay SET certificate = $2, credentials = $3, changed_at = now()
		WHERE credentials = $1`, read.Credentials, certificate, credentials)
	if err != nil {
		return nil, wrap("replace the relay's secrets", err)
	}
	return s.RelayState(ctx)
}

// MoveRelay gives the relay another port, from the one that was read; false says that the port is another already or
// that the relay is on: then Mattermost's settings name the port.
func (s *Store) MoveRelay(ctx context.Context, from, to int) (bool, error) {
	tag, err := s.pool.Exec(ctx, `UPDATE postroom.relay SET port = $2, changed_at = now()
		WHERE port = $1 AND NOT enabled`, from, to)
	return tag.RowsAffected() == 1, wrap("move the relay to another port", err)
}

// SaveOriginal keeps Mattermost's own settings, sealed, before the relay is switched on. While it is on the settings
// are the relay's, and saving them would lose the original: false says so.
func (s *Store) SaveOriginal(ctx context.Context, sealed []byte) (bool, error) {
	tag, err := s.pool.Exec(ctx, `UPDATE postroom.relay SET original = $1, changed_at = now() WHERE NOT enabled`, sealed)
	return tag.RowsAffected() == 1, wrap("keep Mattermost's settings", err)
}

// SetEnabled notes that the relay is on or off. It takes SaveOriginal to be switched on.
func (s *Store) SetEnabled(ctx context.Context, enabled bool) error {
	tag, err := s.pool.Exec(ctx, `UPDATE postroom.relay SET enabled = $1, changed_at = now()`, enabled)
	if err == nil && tag.RowsAffected() == 0 && enabled {
		err = errors.New("the relay has no port yet")
	}
	return wrap("note whether the relay is on", err)
}

// MattermostToken is the row of Mattermost's own table that a link in a mail names; nil where there is none of the two
// types that Postroom takes.
func (s *Store) MattermostToken(ctx context.Context, token string) (*core.MattermostToken, error) {
	var found core.MattermostToken
	var extra string
	err := s.pool.QueryRow(ctx, `SELECT type, createat, coalesce(extra, '') FROM tokens WHERE token = $1 AND type = ANY($2)`,
		token, []string{InnerReset, InnerVerify}).Scan(&found.Type, &found.CreatedAt, &extra)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("read Mattermost's token", err)
	}
	var owner struct {
		UserID string `json:"UserId"`
		Email  string
	}
	if json.Unmarshal([]byte(extra), &owner) != nil || owner.UserID == "" {
		return nil, nil // nothing that Mattermost would redeem
	}
	found.UserID, found.Email = owner.UserID, owner.Email
	return &found, nil
}

// TakeMattermostToken takes the row out of Mattermost's table; false says that it was gone already: used, or replaced.
func TakeMattermostToken(ctx context.Context, tx pgx.Tx, token string) (bool, error) {
	tag, err := tx.Exec(ctx, `DELETE FROM tokens WHERE token = $1 AND type = ANY($2)`, token, []string{InnerReset, InnerVerify})
	return tag.RowsAffected() == 1, wrap("take Mattermost's token", err)
}
