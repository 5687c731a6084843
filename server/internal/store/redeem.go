package store

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/core"
)

// claimLife is how long a claim keeps others away when nobody ends it.
const claimLife = 60 * time.Second

// Found is a token as a link finds it. Row and Account are nil where there is none. Now is PostgreSQL's clock.
type Found struct {
	Row     *core.TokenRow
	Account *core.Account
	Now     time.Time
}

// Look finds a token by its digest (SHA-256, 32 bytes), expired ones too, and changes nothing.
func (s *Store) Look(ctx context.Context, purpose string, digest []byte) (Found, error) {
	var found Found
	var token tokenRow
	var account accountRow
	targets := append([]any{&found.Now}, append(token.targets(), account.targets()...)...)
	err := s.pool.QueryRow(ctx, `SELECT clock.now, `+tokenColumns+`, `+accountColumns+`
		FROM (SELECT now() AS now) clock
		LEFT JOIN postroom.tokens t ON t.digest = $1 AND t.purpose = $2
		LEFT JOIN users u ON u.id = t.account_id`, digest, purpose).Scan(targets...)
	if err != nil {
		return Found{}, wrap("look up the token", err)
	}
	found.Row, found.Account = token.row(), account.account()
	return found, nil
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
	var claim Claim
	var token tokenRow
	var account accountRow
	targets := append([]any{&claim.ID, &claim.Now}, append(token.targets(), account.targets()...)...)
	err := s.pool.QueryRow(ctx, `WITH t AS (
			UPDATE postroom.tokens SET claim_id = gen_random_uuid(), claimed_until = now() + $3::interval
			WHERE digest = $1 AND purpose = $2 AND expires_at > now()
				AND (claimed_until IS NULL OR claimed_until <= now())
			RETURNING *)
		SELECT t.claim_id::text, now(), `+tokenColumns+`, `+accountColumns+`
		FROM t LEFT JOIN users u ON u.id = t.account_id`, digest, purpose, claimLife).Scan(targets...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNotClaimed
	}
	if err != nil {
		return nil, wrap("claim the token", err)
	}
	claim.Row, claim.Account = *token.row(), account.account()
	return &claim, nil
}

// GiveBack ends a claim and leaves the token live. A claim that lapsed and went to another is not touched.
func (s *Store) GiveBack(ctx context.Context, claimID string) error {
	_, err := s.pool.Exec(ctx, `UPDATE postroom.tokens SET claim_id = NULL, claimed_until = NULL
		WHERE claim_id = $1::uuid`, claimID)
	return wrap("give the claim back", err)
}

// Consume deletes the claimed token, and cancels a mail of its that is still waiting. The token goes by its claim;
// one whose claim lapsed and went to another stays with that other.
func (s *Store) Consume(ctx context.Context, claimID string) error {
	_, err := s.pool.Exec(ctx, `WITH gone AS (DELETE FROM postroom.tokens WHERE claim_id = $1::uuid RETURNING digest)
		UPDATE postroom.mails m SET `+cancelled+`, reason = 'The link was used before the mail could leave.'
		FROM gone WHERE m.token_digest = gone.digest AND `+waiting, claimID)
	return wrap("consume the token", err)
}

// tokenColumns are a core.TokenRow's, of a token aliased t.
const tokenColumns = `t.purpose, t.account_id, t.address, t.password_stamp, t.expires_at, t.redirect,
	t.replaces`

type tokenRow struct {
	purpose, accountID, address, redirect, replaces *string
	passwordStamp                                   *int64
	expiresAt                                       *time.Time
}

func (r *tokenRow) targets() []any {
	return []any{&r.purpose, &r.accountID, &r.address, &r.passwordStamp, &r.expiresAt, &r.redirect, &r.replaces}
}

func (r *tokenRow) row() *core.TokenRow {
	if r.purpose == nil {
		return nil
	}
	return &core.TokenRow{
		Purpose: *r.purpose, AccountID: *r.accountID, Address: *r.address, PasswordStamp: *r.passwordStamp,
		ExpiresAt: millis(*r.expiresAt), Redirect: r.redirect, Replaces: r.replaces,
	}
}

// Types of Mattermost's own tokens (model.TokenTypePasswordRecovery, TokenTypeVerifyEmail).
const (
	InnerReset  = "password_recovery"
	InnerVerify = "verify_email"
)

const (
	innerPrefix = "postroom"
	innerSize   = 64 // model.TokenSize
)

// InsertInner puts a fresh token of Mattermost's own into its table, and gives it back. 56 of its 64 characters
// are random (280 bits); the prefix is how SweepInner knows ours.
func (s *Store) InsertInner(ctx context.Context, tokenType, accountID, email string) (string, error) {
	if tokenType != InnerReset && tokenType != InnerVerify {
		return "", fmt.Errorf("token type %q: Mattermost redeems %s and %s", tokenType, InnerReset, InnerVerify)
	}
	var secret [35]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return "", wrap("mint Mattermost's token", err)
	}
	token := innerPrefix + strings.ToLower(base32.StdEncoding.EncodeToString(secret[:]))
	extra, err := json.Marshal(struct {
		UserID string `json:"UserId"`
		Email  string
	}{accountID, email})
	if err != nil {
		return "", err
	}
	_, err = s.pool.Exec(ctx, `INSERT INTO tokens (token, createat, type, extra)
		VALUES ($1, (extract(epoch FROM now()) * 1000)::bigint, $2, $3)`, token, tokenType, string(extra))
	if err != nil {
		return "", wrap("put Mattermost's token into its table", err)
	}
	return token, nil
}

// DeleteInner removes a token that InsertInner made; one that is gone already is no error.
func (s *Store) DeleteInner(ctx context.Context, token string) error {
	if !strings.HasPrefix(token, innerPrefix) || len(token) != innerSize {
		return errors.New("not a token that Postroom put into Mattermost's table")
	}
	_, err := s.pool.Exec(ctx, `DELETE FROM tokens WHERE token = $1`, token)
	return wrap("remove Mattermost's token", err)
}

// SweepInner removes InsertInner's leftovers that are older than 60 s, and says how many there were.
func (s *Store) SweepInner(ctx context.Context) (int64, error) {
	tag, err := s.pool.Exec(ctx, `DELETE FROM tokens WHERE token LIKE $1 AND length(token) = $2 AND type = ANY($3)
		AND createat < (extract(epoch FROM now() - interval '60 seconds') * 1000)::bigint`,
		innerPrefix+"%", innerSize, []string{InnerReset, InnerVerify})
	return tag.RowsAffected(), wrap("sweep Mattermost's tokens", err)
}
