package store

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postroom/server/internal/core"
	"postroom/server/internal/pgtest"
)

// history is one of contract/histories: what the core's simulation told its database, and the rows that the core's own
// rules left after each statement.
type history struct {
	Steps []historyStep `json:"steps"`
}

type historyStep struct {
	At          int64                 `json:"at"`
	Op          string                `json:"op"`
	ID          int                   `json:"id"`
	Mail        *historyMail          `json:"mail"`
	Account     *int                  `json:"account"`
	Kind        string                `json:"kind"`
	RequestedAt int64                 `json:"requested_at"`
	ExpiresAt   int64                 `json:"expires_at"`
	Limit       *int64                `json:"limit"`
	Superseded  string                `json:"superseded"`
	Key         string                `json:"key"`
	Life        int64                 `json:"life"`
	Fence       int64                 `json:"fence"`
	State       string                `json:"state"`
	HeldBy      *string               `json:"held_by"`
	Next        *int64                `json:"next"`
	Reason      string                `json:"reason"`
	Fault       bool                  `json:"fault"`
	LookAt      int64                 `json:"look_at"`
	GoOn        bool                  `json:"go_on"`
	Grace       int64                 `json:"grace"`
	Jobs        []historyJob          `json:"jobs"`
	Result      json.RawMessage       `json:"result"`
	Rows        map[string]historyRow `json:"rows"`
}

type historyMail struct {
	ID        int    `json:"id"`
	Kind      string `json:"kind"`
	Class     string `json:"class"`
	Account   *int   `json:"account"`
	HasLink   bool   `json:"has_link"`
	HasBody   bool   `json:"has_body"`
	ExpiresAt int64  `json:"expires_at"`
	KeyID     string `json:"key_id"`
	Leased    bool   `json:"leased"`
}

type historyJob struct {
	ID          int64  `json:"id"`
	Mail        int    `json:"mail"`
	State       string `json:"state"`
	ScheduledAt int64  `json:"scheduled_at"`
	AttemptedAt int64  `json:"attempted_at"`
}

type historyRow struct {
	Standing   core.Standing `json:"standing"`
	Class      string        `json:"class"`
	Attempts   int           `json:"attempts"`
	Faults     int           `json:"faults"`
	Fence      int64         `json:"fence"`
	QueuedAt   int64         `json:"queued_at"`
	FinishedAt *int64        `json:"finished_at"`
	Reason     string        `json:"reason"`
}

// TestHistories has PostgreSQL live through what the core's simulation lived through: row by row it has to say the same
// as the core's rules. Its clock is the history's: now() is one of our own, first in the search path.
func TestHistories(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "contract", "histories", "*.json"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d histories, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var lived history
			decoder := json.NewDecoder(strings.NewReader(string(text)))
			if err := decoder.Decode(&lived); err != nil {
				t.Fatal(err)
			}
			again := relive(t)
			for i, step := range lived.Steps {
				again.set(time.UnixMilli(step.At))
				result := again.do(&step)
				if step.Result != nil && result != string(step.Result) {
					t.Fatalf("step %d, %s of mail %d, gives %s, and %s by the core's rules", i, step.Op, step.ID, result, step.Result)
				}
				for id, want := range step.Rows {
					if got := again.row(id); !reflect.DeepEqual(got, want) {
						t.Fatalf("step %d, %s: mail %s is\n%s, and by the core's rules\n%s", i, step.Op, id, told(got), told(want))
					}
				}
			}
		})
	}
}

func told(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

type relived struct {
	*testing.T
	store *Store
	conn  *pgx.Conn
}

// relive is a fresh database whose now() is set by hand.
func relive(t *testing.T) *relived {
	t.Helper()
	dataSource := pgtest.Database(t)
	parsed, err := url.Parse(dataSource)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, dataSource, `CREATE SCHEMA clock`, `CREATE TABLE clock.at (now timestamptz NOT NULL)`,
		`INSERT INTO clock.at VALUES (now())`,
		`CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at.now FROM clock.at'`)
	query := parsed.Query()
	query.Set("search_path", "clock,pg_catalog,public")
	parsed.RawQuery = query.Encode()
	s := opened(t, parsed.String())
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := pgtest.Connect(t, parsed.String())
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return &relived{T: t, store: s, conn: conn}
}

func (r *relived) exec(sql string, args ...any) {
	r.Helper()
	if _, err := r.conn.Exec(r.Context(), sql, args...); err != nil {
		r.Fatalf("%s: %v", sql, err)
	}
}

func (r *relived) set(now time.Time) { r.exec(`UPDATE clock.at SET now = $1`, now) }

func mailID(id int) string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", id) }

func mailDigest(id int) []byte { return fmt.Appendf(nil, "%032d", id) }

func accountID(account *int) string {
	if account == nil {
		return ""
	}
	return fmt.Sprint("account", *account)
}

func (r *relived) row(id string) historyRow {
	r.Helper()
	number, err := strconv.Atoi(id)
	if err != nil {
		r.Fatal(err)
	}
	is, err := r.store.Standing(r.Context(), mailID(number))
	if err != nil || is == nil {
		r.Fatalf("mail %s: %v, %v", id, is, err)
	}
	row := historyRow{Standing: is.Standing, QueuedAt: is.QueuedAt.UnixMilli()}
	var finished *time.Time
	err = r.conn.QueryRow(r.Context(), `SELECT class, attempts, faults, fence, finished_at, coalesce(reason, '')
		FROM postroom.mails WHERE id = $1::uuid`, mailID(number)).
		Scan(&row.Class, &row.Attempts, &row.Faults, &row.Fence, &finished, &row.Reason)
	if err != nil {
		r.Fatal(err)
	}
	row.FinishedAt = milliseconds(finished)
	return row
}

func newMail(of *historyMail, life time.Duration) *NewMail {
	mail := &NewMail{
		ID: mailID(of.ID), Kind: of.Kind, Class: of.Class, AccountID: accountID(of.Account), MaskedTo: "a***@example.com",
		Locale: "en", MessageID: fmt.Sprintf("<%d@example.com>", of.ID), Size: 3, ExpiresAt: time.UnixMilli(of.ExpiresAt),
		Sealed: []byte("sealed"), KeyID: of.KeyID,
	}
	if of.HasLink {
		mail.TokenDigest = mailDigest(of.ID)
	}
	if of.Leased {
		mail.Lease = &NewLease{Owner: "node", Life: life}
	}
	return mail
}

// do executes a step by the store's own function, and gives its result as the history has it, "" where it has none.
func (r *relived) do(step *historyStep) (result string) {
	r.Helper()
	ctx, s := r.Context(), r.store
	lease := &Lease{MailID: mailID(step.ID), Fence: step.Fence}
	life := time.Duration(step.Life) * time.Millisecond
	in := func(work func(tx pgx.Tx) error) {
		r.Helper()
		if err := s.InTx(ctx, work); err != nil {
			r.Fatalf("%s: %v", step.Op, err)
		}
	}
	var yes bool
	var err error
	switch step.Op {
	case "insert":
		if !step.Mail.HasBody {
			_, err = s.InsertTest(ctx, newMail(step.Mail, 0), "node", time.UnixMilli(step.Mail.ExpiresAt).Sub(time.UnixMilli(step.At)))
			break
		}
		in(func(tx pgx.Tx) error {
			_, err := InsertMails(ctx, tx, []NewMail{*newMail(step.Mail, life)})
			return err
		})
	case "write":
		token := &NewToken{
			Digest: mailDigest(step.Mail.ID), Purpose: purposeOf(step.Kind), AccountID: accountID(step.Account),
			Address: "a@example.com", RequestedAt: time.UnixMilli(step.RequestedAt), ExpiresAt: time.UnixMilli(step.ExpiresAt),
		}
		if step.Kind == LinkEmailChange {
			old := "old@example.com"
			token.Replaces = &old
		}
		in(func(tx pgx.Tx) error {
			return Write(ctx, tx, &Record{Kind: step.Kind, AccountID: accountID(step.Account), Token: token,
				Mail: newMail(step.Mail, life), Superseded: step.Superseded, Limit: step.Limit})
		})
	case "take_lease":
		lease, err = s.TakeLease(ctx, mailID(step.ID), "node", step.Key, life)
		result = "null"
		if lease != nil {
			result = fmt.Sprintf(`{"attempts":%d,"fence":%d,"perhaps":%t}`, lease.Attempts, lease.Fence, lease.Perhaps)
		}
	case "renew":
		yes, err = s.RenewLease(ctx, lease, life)
		result = strconv.FormatBool(yes)
	case "release":
		in(func(tx pgx.Tx) error { return Release(ctx, tx, lease) })
	case "finish":
		outcome := &Result{State: step.State, HeldBy: step.HeldBy, Connection: "mattermost", Reason: &step.Reason, Fault: step.Fault}
		if step.Next != nil {
			next := time.UnixMilli(*step.Next)
			outcome.Next = &next
		}
		yes, err = s.Finish(ctx, lease, outcome)
		result = strconv.FormatBool(yes)
	case "end":
		yes, err = s.End(ctx, mailID(step.ID), step.State, step.Reason)
		result = strconv.FormatBool(yes)
	case "miss_key":
		in(func(tx pgx.Tx) error { return MissKey(ctx, tx, mailID(step.ID), time.UnixMilli(step.LookAt)) })
	case "use_token":
		r.exec(`DELETE FROM postroom.tokens WHERE digest = $1`, mailDigest(step.ID))
	case "end_tests":
		err = s.EndTests(ctx, step.Reason)
	case "hold":
		r.exec(`DELETE FROM postroom.guard`)
		r.exec(`INSERT INTO postroom.guard (site_url) VALUES ('https://a.example.com')`)
		_, _, err = s.Guard(ctx, "https://b.example.com", step.Reason, false)
	case "decide":
		err = s.Decide(ctx, "https://b.example.com", step.Reason, step.GoOn)
	case "stranded":
		return r.stranded(step)
	default:
		r.Fatalf("a step of the unknown kind %q", step.Op)
	}
	if err != nil {
		r.Fatalf("%s: %v", step.Op, err)
	}
	return result
}

// stranded puts River's jobs as they were then.
func (r *relived) stranded(step *historyStep) string {
	r.Helper()
	r.exec(`DELETE FROM postroom.river_job`)
	r.exec(`UPDATE postroom.mails SET job_id = NULL`)
	for _, job := range step.Jobs {
		r.exec(`INSERT INTO postroom.river_job (id, kind, max_attempts, args, state, scheduled_at, attempted_at)
			VALUES ($1, 'send', 9, '{}', $2::text::postroom.river_job_state, $3, $4)`, job.ID, job.State, time.UnixMilli(job.ScheduledAt), time.UnixMilli(job.AttemptedAt))
		r.exec(`UPDATE postroom.mails SET job_id = $2 WHERE id = $1::uuid`, mailID(job.Mail), job.ID)
	}
	found := []int{}
	err := r.store.InTx(r.Context(), func(tx pgx.Tx) error {
		mails, err := Stranded(r.Context(), tx, time.Duration(step.Grace)*time.Millisecond, 500)
		for _, mail := range mails {
			number, _ := strconv.Atoi(mail.ID[len(mail.ID)-12:])
			found = append(found, number)
		}
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	slices.Sort(found)
	return told(found)
}
