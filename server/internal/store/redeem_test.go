package store

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/pgtest"
)

// minted is a live token of the account's, with a mail that waits.
func minted(t *testing.T, s *Store, account, text, mailID string) []byte {
	t.Helper()
	digest := sha256.Sum256([]byte(text))
	redirect := "/team/town-square"
	err := s.InTx(t.Context(), func(tx pgx.Tx) error {
		return Write(t.Context(), tx, &Record{
			Kind: "reset", AccountID: account, Superseded: "newer",
			Token: &NewToken{Digest: digest[:], Purpose: "reset", AccountID: account, Address: account + "@example.com",
				PasswordStamp: 7, Redirect: &redirect, RequestedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)},
			Mail: &NewMail{ID: mailID, Kind: "reset", AccountID: account, TokenDigest: digest[:], MaskedTo: "a***@example.com",
				Locale: "en", MessageID: "<x@example.com>", Size: 3, ExpiresAt: time.Now().Add(time.Hour),
				Sealed: []byte("sealed"), KeyID: "k"},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return digest[:]
}

const (
	mailOne = "00000000-0000-4000-8000-000000000001"
	mailTwo = "00000000-0000-4000-8000-000000000002"
)

func TestExactlyOneOfManyClaims(t *testing.T) {
	s, dataSource := migrated(t)
	user(t, dataSource, "anna", "anna@example.com", "")
	digest := minted(t, s, "anna", "token", mailOne)
	for round := range 3 {
		var won atomic.Pointer[Claim]
		var wins, refused atomic.Int32
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				claim, err := s.Claim(t.Context(), "reset", digest)
				switch {
				case err == nil:
					wins.Add(1)
					won.Store(claim)
				case errors.Is(err, ErrNotClaimed):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if wins.Load() != 1 || refused.Load() != 63 {
			t.Fatalf("round %d: %d won, %d refused", round, wins.Load(), refused.Load())
		}
		claim := won.Load()
		if claim.Row.Address != "anna@example.com" || claim.Row.PasswordStamp != 7 || claim.Account == nil || *claim.Row.Redirect != "/team/town-square" {
			t.Fatalf("the claim is %+v", claim)
		}
		if err := s.GiveBack(t.Context(), claim.ID); err != nil { // a refused password does not burn the token (S7)
			t.Fatal(err)
		}
	}
}

func TestClaimsLapseAndEnd(t *testing.T) {
	s, dataSource := migrated(t)
	digest := minted(t, s, "anna", "token", mailOne)
	first, err := s.Claim(t.Context(), "reset", digest)
	if err != nil {
		t.Fatal(err)
	}
	if until := first.Now.Add(claimLife); time.Until(until) < 50*time.Second {
		t.Errorf("the claim lapses at %v", until)
	}
	pgtest.Exec(t, dataSource, "UPDATE postroom.tokens SET claimed_until = now() - interval '1 ms'")
	second, err := s.Claim(t.Context(), "reset", digest)
	if err != nil {
		t.Fatalf("a lapsed claim keeps others away: %v", err)
	}
	// The first comes back late: it may not undo or use up what is another's now.
	if err := errors.Join(s.GiveBack(t.Context(), first.ID), s.Consume(t.Context(), first.ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(t.Context(), "reset", digest); !errors.Is(err, ErrNotClaimed) {
		t.Fatalf("the second's claim was undone: %v", err)
	}
	if err := s.Consume(t.Context(), second.ID); err != nil {
		t.Fatal(err)
	}
	if found, err := s.Look(t.Context(), "reset", digest); err != nil || found.Row != nil || found.Now.IsZero() {
		t.Fatalf("after it was used: %+v, %v", found, err)
	}
	// A mail that had not left is of no use any more.
	if mail, err := s.Mail(t.Context(), mailOne); err != nil || mail.State != StateCancelled || mail.HasBody {
		t.Fatalf("its mail: %+v, %v", mail, err)
	}
}

func TestClaimRefuses(t *testing.T) {
	s, dataSource := migrated(t)
	digest := minted(t, s, "anna", "token", mailOne)
	unknown := sha256.Sum256([]byte("other"))
	for name, try := range map[string]func() error{
		"another purpose": func() error { _, err := s.Claim(t.Context(), "verify", digest); return err },
		"unknown":         func() error { _, err := s.Claim(t.Context(), "reset", unknown[:]); return err },
		"too short":       func() error { _, err := s.Claim(t.Context(), "reset", digest[:31]); return err },
		"expired": func() error {
			pgtest.Exec(t, dataSource, "UPDATE postroom.tokens SET expires_at = now()")
			_, err := s.Claim(t.Context(), "reset", digest)
			return err
		},
	} {
		if err := try(); !errors.Is(err, ErrNotClaimed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An expired one is still found: the page says so (S19).
	if found, err := s.Look(t.Context(), "reset", digest); err != nil || found.Row == nil {
		t.Errorf("an expired token is not found: %v", err)
	}
}

func TestANewerTokenReplaces(t *testing.T) {
	s, _ := migrated(t)
	old := minted(t, s, "anna", "old", mailOne)
	fresh := minted(t, s, "anna", "new", mailTwo)
	if found, err := s.Look(t.Context(), "reset", old); err != nil || found.Row != nil {
		t.Errorf("the older token lives: %+v, %v", found, err)
	}
	if found, err := s.Look(t.Context(), "reset", fresh); err != nil || found.Row == nil {
		t.Errorf("the newer token is not there: %v", err)
	}
	mail, err := s.Mail(t.Context(), mailOne)
	if err != nil || mail.State != StateCancelled || mail.HasBody || *mail.Reason != "newer" {
		t.Errorf("the older token's mail: %+v, %v", mail, err)
	}
	if counts, err := s.Counts(t.Context()); err != nil || counts[StateQueued] != 1 || counts[StateCancelled] != 1 {
		t.Errorf("%v, %v", counts, err)
	}
}

func TestInnerTokensAreAsMattermostMakesThem(t *testing.T) {
	s, dataSource := migrated(t)
	token, err := s.InsertInner(t.Context(), InnerReset, "anna", "anna@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if len(token) != 64 || !strings.HasPrefix(token, "postroom") || strings.Trim(token, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		t.Errorf("token %q", token)
	}
	conn := pgtest.Connect(t, dataSource)
	defer func() { _ = conn.Close(t.Context()) }()
	var created int64
	var kind, extra string
	if err := conn.QueryRow(t.Context(), `SELECT createat, type, extra FROM tokens WHERE token = $1`, token).Scan(&created, &kind, &extra); err != nil {
		t.Fatal(err)
	}
	// What Mattermost's app.ResetPasswordFromToken decodes.
	var read struct{ UserId, Email string }
	if err := json.Unmarshal([]byte(extra), &read); err != nil || read.UserId != "anna" || read.Email != "anna@example.com" {
		t.Errorf("extra is %s, %v", extra, err)
	}
	if age := time.Since(time.UnixMilli(created)); kind != "password_recovery" || age < -time.Minute || age > time.Minute {
		t.Errorf("type %s, %v old", kind, age)
	}
	other, err := s.InsertInner(t.Context(), InnerVerify, "anna", "anna@example.com")
	if err != nil || other == token {
		t.Fatal(other, err)
	}
	if _, err := s.InsertInner(t.Context(), "team_invitation", "a", "b"); err == nil {
		t.Error("a token of another type was made")
	}
	if err := s.DeleteInner(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteInner(t.Context(), token); err != nil {
		t.Errorf("deleted twice: %v", err)
	}
	if err := s.DeleteInner(t.Context(), strings.Repeat("x", 64)); err == nil {
		t.Error("deletes a token of Mattermost's own")
	}
	// Leftovers go, what is in use and what is Mattermost's stays.
	pgtest.Exec(t, dataSource, `UPDATE tokens SET createat = createat - 61000`,
		`INSERT INTO tokens VALUES (repeat('m', 64), 1, 'password_recovery', '{}')`,
		`INSERT INTO tokens VALUES ('postroom' || repeat('x', 56), 1, 'team_invitation', '{}')`)
	if _, err := s.InsertInner(t.Context(), InnerReset, "ben", "ben@example.com"); err != nil {
		t.Fatal(err)
	}
	if swept, err := s.SweepInner(t.Context()); err != nil || swept != 1 {
		t.Fatalf("%d swept, %v", swept, err)
	}
	var left int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM tokens`).Scan(&left); err != nil || left != 3 {
		t.Errorf("%d left, %v", left, err)
	}
}
