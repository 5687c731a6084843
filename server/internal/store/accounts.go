package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/core"
)

// accountColumns are what the core asks about a row of Mattermost's users, aliased u; all may be null in a left
// join. The names are those of Mattermost's migrations 000046 (users) and model.User.
const accountColumns = `u.id, u.email, u.username, u.locale, u.authservice, u.authdata, u.remoteid, u.roles,
	u.deleteat, u.emailverified, u.lastpasswordupdate`

// accountRow is accountColumns as scanned.
type accountRow struct {
	id, email, username, locale, authService, authData, remoteID, roles *string
	deleteAt, lastPasswordUpdate                                        *int64
	emailVerified                                                       *bool
}

func (r *accountRow) targets() []any {
	return []any{&r.id, &r.email, &r.username, &r.locale, &r.authService, &r.authData, &r.remoteID, &r.roles,
		&r.deleteAt, &r.emailVerified, &r.lastPasswordUpdate}
}

// account is nil where the join found no user.
func (r *accountRow) account() *core.Account {
	if r.id == nil {
		return nil
	}
	return &core.Account{
		ID:            *r.id,
		Email:         or(r.email, ""),
		Username:      or(r.username, ""),
		Locale:        or(r.locale, ""),
		AuthService:   or(r.authService, ""),
		HasAuthData:   or(r.authData, "") != "",
		Remote:        or(r.remoteID, "") != "",
		Guest:         slices.Contains(strings.Fields(or(r.roles, "")), "system_guest"),
		Deleted:       or(r.deleteAt, 0) != 0,
		EmailVerified: or(r.emailVerified, false),
		PasswordStamp: or(r.lastPasswordUpdate, 0),
	}
}

func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

// AccountByID is the account of that id; nil when there is none.
func (s *Store) AccountByID(ctx context.Context, id string) (*core.Account, error) {
	var row accountRow
	err := s.pool.QueryRow(ctx, `SELECT `+accountColumns+` FROM users u WHERE u.id = $1`, id).Scan(row.targets()...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("read the account", err)
	}
	return row.account(), nil
}

// Admins are the active accounts of people who have the role of a system admin, in the order of their ids.
func (s *Store) Admins(ctx context.Context) ([]core.Account, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+accountColumns+` FROM users u LEFT JOIN bots b ON b.userid = u.id
		WHERE 'system_admin' = ANY(string_to_array(u.roles, ' ')) AND u.deleteat = 0 AND b.userid IS NULL AND u.email <> ''
		ORDER BY u.id`)
	if err != nil {
		return nil, wrap("list the admins", err)
	}
	admins, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (core.Account, error) {
		var found accountRow
		if err := row.Scan(found.targets()...); err != nil {
			return core.Account{}, err
		}
		return *found.account(), nil
	})
	return admins, wrap("list the admins", err)
}

// Kinds of link, and of the account mail that brings each. An account has one live link of each kind: a newer one
// replaces it, and no other does.
const (
	LinkReset       = "reset"
	LinkVerify      = "verify"
	LinkEmailChange = "email_change_verify" // verifies a pending new address
)

// purposeOf is the purpose of a kind of link.
func purposeOf(kind string) string {
	if kind == LinkEmailChange {
		return LinkVerify
	}
	return kind
}

// Previous is the live link that a new one of its kind would replace.
type Previous struct {
	Digest      []byte
	Address     string
	RequestedAt time.Time
	Redirect    *string
}

// Facts are what the decision over a request rests on. Account is nil where there is none; then so are Previous
// (the account's live link of that kind) and LimitTAT (ms). Now is PostgreSQL's clock.
type Facts struct {
	Account  *core.Account
	Previous *Previous
	LimitTAT *int64
	Now      time.Time
}

// FactsByEmail gathers, in one query, what a request for that lower-cased address is decided by.
func (s *Store) FactsByEmail(ctx context.Context, kind, email string) (Facts, error) {
	return facts(ctx, s.pool, `u.email = $2`, kind, email)
}

// FactsByID gathers the same for an account by its id.
func (s *Store) FactsByID(ctx context.Context, kind, accountID string) (Facts, error) {
	return facts(ctx, s.pool, `u.id = $2`, kind, accountID)
}

func facts(ctx context.Context, from queryer, condition, kind, value string) (Facts, error) {
	return scanFacts(from.QueryRow(ctx, factsQuery(condition), kind, value, purposeOf(kind)))
}

func factsQuery(condition string) string {
	return `SELECT clock.now, l.tat_ms, t.digest, t.address, t.requested_at, t.redirect, ` + accountColumns + `
		FROM (SELECT now() AS now) clock
		LEFT JOIN users u ON ` + condition + `
		LEFT JOIN postroom.tokens t ON t.account_id = u.id AND t.purpose = $3
			AND (t.replaces IS NOT NULL) = ($1 <> $3) AND t.expires_at > clock.now
		LEFT JOIN postroom.account_limits l ON l.account_id = u.id AND l.kind = $1`
}

func scanFacts(from pgx.Row) (Facts, error) {
	var found Facts
	var row accountRow
	var digest []byte
	var address, redirect *string
	var requestedAt *time.Time
	targets := append([]any{&found.Now, &found.LimitTAT, &digest, &address, &requestedAt, &redirect}, row.targets()...)
	if err := from.Scan(targets...); err != nil {
		return Facts{}, wrap("gather the facts of a request", err)
	}
	found.Account = row.account()
	if digest != nil && requestedAt != nil {
		found.Previous = &Previous{Digest: digest, Address: or(address, ""), RequestedAt: *requestedAt, Redirect: redirect}
	}
	return found, nil
}
