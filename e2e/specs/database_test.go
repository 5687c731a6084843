package specs

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// unstored is a server on a PostgreSQL of its own, at which anything may go wrong.
type unstored struct {
	postgres *harness.Postgres
	database string
	full     bool // the database lies on a filesystem of its own, which can be filled
	node     *harness.Node
	admin    *harness.Client
	sink     *harness.Sink
	relay    harness.Submission
	people   []*harness.User
}

// TestDatabaseFaults: R6 and R7, with the relay on.
func TestDatabaseFaults(t *testing.T) {
	t.Parallel()
	u := &unstored{postgres: must(house.stage.StartPostgres())(t), database: "small", sink: must(house.stage.StartSink())(t)}
	url, full, err := u.postgres.SmallDatabase(u.database, 128)
	check(t, err)
	u.full = full
	u.node, u.admin = separate(t, harness.NodeConfig{DataSource: url})
	u.people = welcomed(t, u.admin, 4)
	check(t, u.admin.UseSMTP(u.sink.Port))
	settleSettings()
	healthyRelay(t, u.admin)
	switchRelay(t, u.admin, "enable")
	u.relay = must(u.node.Submission())(t)

	u.expectArrives(t, "warm", u.hand("warm"))

	t.Run("it does not answer", u.frozen)
	t.Run("it is stopped and started", u.stopped)
	t.Run("it is full", u.noSpace)
}

// handed is what became of a mail that was handed over, and how long that took.
type handed struct {
	how  harness.Submitted
	err  error
	took time.Duration
}

// hand gives the relay a mail in the background.
func (u *unstored) hand(id string) <-chan handed { return u.handMail(id, notification(id)) }

func (u *unstored) handMail(id string, message []byte) <-chan handed {
	done := make(chan handed, 1)
	go func() {
		began := time.Now()
		how, err := u.relay.Send("noreply@example.com", faultAddress(id), message)
		done <- handed{how, err, time.Since(began)}
	}()
	return done
}

// expectArrives checks that the mail was accepted and comes once.
func (u *unstored) expectArrives(t *testing.T, id string, handing <-chan handed) {
	t.Helper()
	if got := <-handing; got.how != harness.Accepted {
		t.Fatalf("%s: %s %v after %s", id, got.how, got.err, got.took)
	}
	check(t, harness.Eventually(2*time.Minute, func() error {
		if n := len(arrivals(u.sink, faultAddress(id))); n != 1 {
			return fmt.Errorf("%s has come %d times", id, n)
		}
		return nil
	}))
}

// answersWithin is what an endpoint takes at most (R7), and slack for a busy machine.
const answersWithin = time.Second + 2*time.Second

// expectUnavailable asks both public endpoints about somebody and about nobody: the same error, in time.
func (u *unstored) expectUnavailable(t *testing.T, user *harness.User) {
	t.Helper()
	for name, ask := range map[string]func(string) (*harness.Reply, error){"reset": u.node.Client.RequestReset, "verify": u.node.Client.RequestVerification} {
		known, unknown := must(ask(user.Email))(t), must(ask("nobody@example.com"))(t)
		if known.Status != 503 || unknown.Status != 503 || withoutRequestID(known) != withoutRequestID(unknown) {
			t.Errorf("%s: about somebody %s, about nobody %s", name, known, unknown)
		}
		if known.Took > answersWithin || unknown.Took > answersWithin {
			t.Errorf("%s: answered after %s and %s", name, known.Took, unknown.Took)
		}
	}
}

// serves asks for a reset and waits for its mail: the number-th; what was refused before must not come as well.
func (u *unstored) serves(t *testing.T, user *harness.User) {
	t.Helper()
	check(t, harness.Eventually(time.Minute, func() error {
		reply, err := u.node.Client.RequestReset(user.Email)
		if err == nil && reply.Status != 200 {
			err = fmt.Errorf("%s", reply)
		}
		return err
	}))
	must(harness.WaitMail(u.sink, user.Email, 1, time.Minute))(t)
}

// frozen: R7. PostgreSQL's processes are stopped where they stand; its connections stay open and say nothing.
func (u *unstored) frozen(t *testing.T) {
	user := u.people[0]
	resume, err := u.postgres.Pause()
	check(t, err)
	began := time.Now()
	handing := u.hand("frozen")
	u.expectUnavailable(t, user)
	time.Sleep(10*time.Second - time.Since(began))
	select {
	case got := <-handing:
		t.Errorf("a mail was answered while nothing could be stored: %+v", got)
	default:
	}
	check(t, resume())
	u.expectArrives(t, "frozen", handing)
	u.serves(t, user)
	u.expectOnce(t, user, "frozen")
}

// stopped: R7 again, with a database that closes its connections and is not there for a while.
func (u *unstored) stopped(t *testing.T) {
	user := u.people[1]
	check(t, u.postgres.Shutdown())
	first := u.hand("stopped1")
	u.expectUnavailable(t, user)
	second := u.hand("stopped2")
	check(t, u.postgres.Revive())
	u.expectArrives(t, "stopped1", first)
	u.expectArrives(t, "stopped2", second)
	check(t, u.admin.WaitReady(time.Minute))
	u.serves(t, user)
	u.expectOnce(t, user, "stopped1", "stopped2")
}

// noSpace: R6. The filesystem that the database lies on is full, of real rows. Only root may mount one: where this is not
// root, a trigger raises PostgreSQL's error for it (SQLSTATE 53100), and that is an injected error, not a full disk.
func (u *unstored) noSpace(t *testing.T) {
	exec, end, err := u.postgres.Session(u.database)
	check(t, err)
	defer end()
	fill, free := fillUp, freeUp
	if !u.full {
		fill, free = pretendFull, pretendFree
	}
	fill(t, exec)
	refused := u.handMail("full1", bulky("full1"))
	// The room that is left in pages from before is used first: a request is taken or refused, and at last both are refused.
	somebody, nobody := u.people[2].Email, "nobody@example.com"
	rounds := 0
	check(t, harness.Eventually(25*time.Second, func() error {
		rounds++
		known, unknown := must(u.node.Client.RequestReset(somebody))(t), must(u.node.Client.RequestReset(nobody))(t)
		for _, reply := range []*harness.Reply{known, unknown} {
			if reply.Status != 200 && reply.Status != 503 || reply.Took > answersWithin {
				t.Errorf("%s after %s", reply, reply.Took)
			}
		}
		if known.Status == 200 || unknown.Status == 200 {
			return fmt.Errorf("there is still room for requests, after %d", rounds)
		}
		if withoutRequestID(known) != withoutRequestID(unknown) {
			t.Errorf("about somebody %s, about nobody %s", known, unknown)
		}
		return nil
	}))
	t.Logf("full after %d requests of each kind", rounds)
	got := <-refused
	if got.how != harness.Refused || !strings.Contains(fmt.Sprint(got.err), "452") || got.took < 25*time.Second || got.took > 45*time.Second {
		t.Errorf("a mail that could not be stored: %s %v after %s", got.how, got.err, got.took)
	}
	waiting := u.handMail("full2", bulky("full2"))
	time.Sleep(3 * time.Second)
	free(t, exec)
	u.expectArrives(t, "full2", waiting)
	user := u.people[3]
	u.serves(t, user)
	if n := len(arrivals(u.sink, faultAddress("full1"))); n != 0 {
		t.Errorf("a mail that was refused came %d times", n)
	}
	u.expectOnce(t, user, "full2")
}

// bulky is a mail that compresses badly, so that it needs room of its own.
func bulky(id string) []byte {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	var body strings.Builder
	for i := range 200_000 {
		if i%76 == 75 {
			body.WriteString("\r\n")
		}
		body.WriteByte(digits[rand.IntN(len(digits))])
	}
	return append(notification(id), body.String()+"\r\n"...)
}

// statement is run over a connection that was there before: when the disk is full PostgreSQL takes no new one.
type statement = func(statement string, args ...any) error

// fillUp writes rows until PostgreSQL itself says that no space is left, in smaller and smaller steps.
func fillUp(t *testing.T, exec statement) {
	t.Helper()
	check(t, exec(`CREATE TABLE filler (rest text)`))
	check(t, exec(`ALTER TABLE filler ALTER rest SET STORAGE PLAIN`)) // as long as it looks
	for _, rows := range []int{2000, 200, 20, 1} {
		for range 1000 {
			// Two rows to a page.
			err := exec(`INSERT INTO filler SELECT repeat(md5(random()::text), 60) || repeat(md5(i::text), 60) FROM generate_series(1, $1) i`, rows)
			if err != nil {
				if !strings.Contains(err.Error(), "53100") {
					t.Fatal(err)
				}
				break
			}
		}
	}
}

func freeUp(t *testing.T, exec statement) {
	t.Helper()
	check(t, exec(`DROP TABLE filler`))
}

func pretendFull(t *testing.T, exec statement) {
	t.Helper()
	check(t, exec(`CREATE FUNCTION public.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$`))
	for _, table := range []string{"mails", "river_job"} {
		check(t, exec(`CREATE TRIGGER full_disk BEFORE INSERT ON postroom.`+table+` EXECUTE FUNCTION public.full_disk()`))
	}
}

func pretendFree(t *testing.T, exec statement) {
	t.Helper()
	check(t, exec(`DROP FUNCTION public.full_disk CASCADE`))
}

// expectOnce checks that nothing was doubled, once the queue has nothing to do.
func (u *unstored) expectOnce(t *testing.T, user *harness.User, ids ...string) {
	t.Helper()
	check(t, harness.Eventually(time.Minute, func() error {
		left, err := u.postgres.Rows(u.database, `SELECT kind, state FROM postroom.mails WHERE state IN ('queued', 'sending', 'deferred')
			UNION ALL SELECT kind, state::text FROM postroom.river_job WHERE kind = 'request' AND state NOT IN ('completed', 'cancelled', 'discarded')`)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("still at work: %v", left)
		}
		return err
	}))
	if n := len(must(u.sink.To(user.Email))(t)); n != 1 {
		t.Errorf("%s has %d mails", user.Email, n)
	}
	for _, id := range ids {
		rows := must(u.postgres.Rows(u.database, `SELECT state FROM postroom.mails WHERE masked_to LIKE '%@' || $1`, id+faultZone))(t)
		if n := len(arrivals(u.sink, faultAddress(id))); n != 1 || len(rows) != 1 || rows[0] != "sent" {
			t.Errorf("%s came %d times, its rows are %v", id, n, rows)
		}
	}
}
