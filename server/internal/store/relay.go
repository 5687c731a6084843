package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
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

// Mark tells these secrets and this port from all others, and nothing about them.
func (r *Relay) Mark() string {
	hash := sha256.Sum256(append(strconv.AppendInt(nil, int64(r.Port), 10), r.Credentials...))
	return hex.EncodeToString(hash[:8])
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

// ReplaceRelaySecrets puts a port and secrets in the place of others, if they are still those that were read, and gives
// what stands then.
func (s *Store) ReplaceRelaySecrets(ctx context.Context, read *Relay, port int, certificate, credentials []byte) (*Relay, error) {
	_, err := s.pool.Exec(ctx, `UPDATE postroom.relay SET port = $2, certificate = $3, credentials = $4, changed_at = now()
		WHERE credentials = $1`, read.Credentials, port, certificate, credentials)
	if err != nil {
		return nil, wrap("replace the relay's secrets", err)
	}
	return s.RelayState(ctx)
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

// MailFacts are what the core asks about a mail of Mattermost's. Now is PostgreSQL's clock.
type MailFacts struct {
	Account  *core.Account // by the recipient's address
	TokenRow *core.MattermostToken
	// Link is what a link of the token row's owner is decided by, LinkKind of which kind it would be; nil and empty
	// where there is no such row or owner.
	Link     *Facts
	LinkKind string
	Now      time.Time
}

// Owner is the token row's; nil where there is none.
func (f *MailFacts) Owner() *core.Account {
	if f.Link == nil {
		return nil
	}
	return f.Link.Account
}

// MailFacts looks up a mail's one recipient (lower-cased, empty for none) and the token of Mattermost's in it (empty for
// none), where that is of the two types that Postroom takes.
func (s *Store) MailFacts(ctx context.Context, recipient, token string) (MailFacts, error) {
	var found MailFacts
	var account accountRow
	var kind, extra *string
	var createdAt *int64
	targets := append([]any{&found.Now, &kind, &createdAt, &extra}, account.targets()...)
	err := s.pool.QueryRow(ctx, `SELECT clock.now, k.type, k.createat, k.extra, `+accountColumns+`
		FROM (SELECT now() AS now) clock
		LEFT JOIN users u ON u.email = $1
		LEFT JOIN tokens k ON k.token = $2 AND k.type = ANY($3)`,
		recipient, token, []string{InnerReset, InnerVerify}).Scan(targets...)
	if err != nil {
		return MailFacts{}, wrap("look up a mail's recipient", err)
	}
	found.Account = account.account()
	if kind == nil {
		return found, nil
	}
	var owner struct {
		UserID string `json:"UserId"`
		Email  string
	}
	if json.Unmarshal([]byte(or(extra, "")), &owner) != nil || owner.UserID == "" {
		return found, nil // nothing that Mattermost would redeem
	}
	found.TokenRow = &core.MattermostToken{Type: *kind, UserID: owner.UserID, Email: owner.Email, CreatedAt: or(createdAt, 0)}
	ofPresent, ofPending := LinkReset, LinkReset
	if *kind == InnerVerify {
		ofPresent, ofPending = LinkVerify, LinkEmailChange
	}
	link, err := s.FactsByID(ctx, ofPresent, owner.UserID)
	found.LinkKind = ofPresent
	if err == nil && ofPending != ofPresent && link.Account != nil && !strings.EqualFold(link.Account.Email, owner.Email) {
		link, err = s.FactsByID(ctx, ofPending, owner.UserID)
		found.LinkKind = ofPending
	}
	if err != nil || link.Account == nil {
		found.LinkKind = ""
		return found, err
	}
	found.Link = &link
	return found, nil
}

// HasMail is whether a mail of that id is there.
func HasMail(ctx context.Context, tx pgx.Tx, mailID string) (bool, error) {
	var has bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM postroom.mails WHERE id = $1::uuid)`, mailID).Scan(&has)
	return has, wrap("look for a mail", err)
}

// TakeMattermostToken takes the row out of Mattermost's table; false says that it was gone already: used, or replaced.
func TakeMattermostToken(ctx context.Context, tx pgx.Tx, token string) (bool, error) {
	tag, err := tx.Exec(ctx, `DELETE FROM tokens WHERE token = $1 AND type = ANY($2)`, token, []string{InnerReset, InnerVerify})
	return tag.RowsAffected() == 1, wrap("take Mattermost's token", err)
}
