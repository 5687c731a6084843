package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/pgtest"
)

// begin is BeginAlone in a transaction of its own.
func begin(t *testing.T, s *Store, node string) (first bool) {
	t.Helper()
	err := s.InTx(t.Context(), func(tx pgx.Tx) (err error) {
		first, err = BeginAlone(t.Context(), tx, node, time.Now())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return first
}

func here(t *testing.T, s *Store, node string, attached bool) {
	t.Helper()
	if err := s.SayHere(t.Context(), Node{Name: node, Relay: "mark"}, attached); err != nil {
		t.Fatal(err)
	}
}

func TestNodesThatLoseTheirPluginAreToldOfOnce(t *testing.T) {
	s, dataSource := migrated(t)
	here(t, s, "one", true)
	here(t, s, "two", true)
	if !begin(t, s, "one") || begin(t, s, "one") || begin(t, s, "two") {
		t.Fatal("not once")
	}
	here(t, s, "one", true) // its plugin is back; the other's is not
	if begin(t, s, "one") {
		t.Error("the same incident was told again")
	}
	here(t, s, "one", true)
	here(t, s, "two", true)
	if !begin(t, s, "two") {
		t.Error("all had their plugin: this is another incident")
	}
	here(t, s, "two", false)
	if begin(t, s, "one") {
		t.Error("a sign of life without a plugin ended the incident")
	}
	// A node that is gone tells nobody anything.
	pgtest.Exec(t, dataSource, `UPDATE postroom.nodes SET seen_at = now() - interval '1 minute'`)
	if !begin(t, s, "three") {
		t.Error("nodes that are gone keep the living from being told of")
	}
}

func TestOfNodesThatAreAloneAtOnceOneTells(t *testing.T) {
	s, _ := migrated(t)
	told := make(chan bool, 8)
	for i := range cap(told) {
		go func() {
			first := false
			err := s.InTx(context.Background(), func(tx pgx.Tx) (err error) {
				first, err = BeginAlone(context.Background(), tx, string(rune('a'+i)), time.Now())
				return err
			})
			told <- first && err == nil
		}()
	}
	tellers := 0
	for range cap(told) {
		if <-told {
			tellers++
		}
	}
	if tellers != 1 {
		t.Errorf("%d nodes tell", tellers)
	}
}

func TestAdminsArePeopleWhoCanRead(t *testing.T) {
	s, dataSource := migrated(t)
	user(t, dataSource, "anna", "anna@example.com", `roles = 'system_user system_admin', locale = 'de'`)
	user(t, dataSource, "ben", "ben@example.com", `roles = 'system_admin system_user'`)
	user(t, dataSource, "gone", "gone@example.com", `roles = 'system_user system_admin', deleteat = 1`)
	user(t, dataSource, "manager", "manager@example.com", `roles = 'system_user system_admin_of_nothing'`)
	user(t, dataSource, "bot", "bot@localhost", `roles = 'system_user system_admin'`)
	pgtest.Exec(t, dataSource, `INSERT INTO bots (userid) VALUES ('bot')`)
	admins, err := s.Admins(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, admin := range admins {
		names = append(names, admin.ID+" "+admin.Locale)
	}
	if !slices.Equal(names, []string{"anna de", "ben de"}) {
		t.Error(names)
	}
}
