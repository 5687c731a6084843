package specs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postroom/e2e/harness"
)

// Rounds of R1: 20, or as many as SOAK_ROUNDS says (`make soak`: 200). CRASH_SEED replays the choices of a run; what
// the machine makes of them is its own.
const (
	crashRounds   = 20
	mailsPerRound = 50
	// patience is for everything to come to rest after the last crash: a lease, the keeper's rounds, a few retries.
	patience = 10 * time.Minute
	// shimDeaths is what Mattermost allows a plugin within an hour before it gives it up (that is R23's story).
	shimDeaths = 2
)

// horrors is one server, its own database and peer, all of which fail.
type horrors struct {
	t        *testing.T
	random   *rand.Rand
	node     *harness.Node
	admin    *harness.Client
	postgres *harness.Postgres
	sink     *harness.Sink
	ledger   *ledger
	relay    harness.Submission
	next     int              // mail
	shims    int              // killed since the server's start
	most     map[string]usage // by role
}

// postgresVictim is what is killed beside "service", "shim" and "mattermost".
const postgresVictim = "postgres"

// R1, R20: what takes mail, what sends it and what stores it are killed at random moments, while the peer fails at a
// twentieth of what it is asked; nothing accepted is lost, and nothing comes twice where it may not.
func TestCrashes(t *testing.T) {
	h := newHorrors(t)
	rounds := crashRounds
	if asked, err := strconv.Atoi(os.Getenv("SOAK_ROUNDS")); err == nil {
		rounds = asked
	}
	calm := max(4, rounds/5) // batches with no death
	h.people((rounds + calm) * mailsPerRound)
	began := time.Now()
	for round := range rounds {
		victims := h.round()
		line, _ := h.ledger.balance(t)
		t.Logf("round %d, %s killed: %s", round+1, strings.Join(victims, " and "), line)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rounds in %s", rounds, time.Since(began).Round(time.Second))
	h.steady(calm)
	h.sink.Behave(harness.Behaviour{})
	check(t, harness.Eventually(patience, func() error {
		line, open := h.ledger.balance(t)
		if open > 0 && !t.Failed() {
			time.Sleep(time.Second)
			return fmt.Errorf("not at rest: %s", line)
		}
		return nil
	}))
	duplicates := h.ledger.close(t)
	line, _ := h.ledger.balance(t)
	t.Logf("at rest after %s: %s; %d duplicates", time.Since(began).Round(time.Second), line, duplicates)
}

func newHorrors(t *testing.T) *horrors {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if asked, err := strconv.ParseUint(os.Getenv("CRASH_SEED"), 10, 64); err == nil {
		seed = asked
	}
	t.Logf("CRASH_SEED=%d", seed)
	h := &horrors{t: t, random: rand.New(rand.NewPCG(seed, 0)), most: map[string]usage{}}
	h.postgres = must(house.stage.StartPostgres())(t)
	h.sink = must(house.stage.StartSink())(t)
	h.node = must(house.stage.StartNode(harness.NodeConfig{DataSource: must(h.postgres.Database("crash"))(t)}))(t)
	t.Cleanup(func() {
		if t.Failed() {
			h.node.KeepLogs(t.Name())
		}
		h.node.Stop()
	})
	h.admin = must(install(h.node, h.sink.Port))(t)
	healthyRelay(t, h.admin)
	switchRelay(t, h.admin, "enable")
	h.relay = must(h.node.Submission())(t)
	h.ledger = newLedger(h.postgres, "crash", h.sink)
	h.sink.Behave(harness.Behaviour{Fault: faults(seed)})
	return h
}

// faults makes the peer fail at a twentieth of the mails, and slow at all, so that a death finds mails at every step.
func faults(seed uint64) func(string) harness.Fault {
	random := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	return func(command string) harness.Fault {
		mu.Lock()
		defer mu.Unlock()
		fault := harness.Fault{Wait: time.Duration(random.IntN(40)) * time.Millisecond}
		if random.IntN(6*20) > 0 { // six steps
			return fault
		}
		switch random.IntN(4) {
		case 0:
			fault.Reply = "451 4.3.0 Later"
		case 1:
			fault.Cut = true
		case 2:
			fault.Wait, fault.Cut = time.Duration(random.IntN(5000))*time.Millisecond, true
		default:
			fault.Wait = time.Duration(random.IntN(3000)) * time.Millisecond
		}
		if command == "BODY" {
			fault.Reply = ""
		}
		return fault
	}
}

// people makes an account for each mail.
func (h *horrors) people(count int) {
	h.t.Helper()
	model := must(h.admin.CreateUser(unique("model"), "en"))(h.t)
	check(h.t, copyUser(h.postgres, "crash", model.ID, count))
}

// copyUser makes accounts m1, m2, … of the ledger's mails as copies of one: a password's hash takes time.
func copyUser(postgres *harness.Postgres, database, id string, count int) error {
	return postgres.Exec(database, `INSERT INTO users SELECT (jsonb_populate_record(u, jsonb_build_object('id', 'crash' || lpad(n::text, 21, '0'),
		'username', 'crash' || n, 'email', 'u@m' || n || $2))).* FROM users u, generate_series(1, $3::integer) n WHERE u.id = $1`,
		id, ledgerZone, count)
}

// round hands mails in, kills one or two at random moments meanwhile, and sees that mail is taken again.
func (h *horrors) round() []string {
	h.t.Helper()
	check(h.t, harness.Eventually(2*time.Minute, h.relay.Check))
	h.measure()
	done := h.handIn(mailsPerRound, 400*time.Millisecond)
	victims := []string{h.victim()}
	if h.random.IntN(6) == 0 {
		victims = append(victims, h.victim())
	}
	for _, victim := range victims {
		time.Sleep(time.Duration(h.random.IntN(1500)) * time.Millisecond)
		h.kill(victim)
	}
	<-done
	return victims
}

// victim is drawn so that each kind has its share, and Mattermost never gives the plugin up.
func (h *horrors) victim() string {
	switch n := h.random.IntN(20); {
	case n < 10:
		return "service"
	case n < 15:
		return postgresVictim
	case n < 18:
		return "mattermost"
	case h.shims < shimDeaths:
		return "shim"
	}
	return "service"
}

func (h *horrors) kill(victim string) {
	h.t.Helper()
	from := time.Now()
	switch victim {
	case postgresVictim:
		away := time.Duration(h.random.IntN(3000)) * time.Millisecond
		check(h.t, h.postgres.Crash())
		time.Sleep(away)
		check(h.t, h.postgres.Revive())
	case "mattermost":
		h.shims = 0
		h.node.KillAlone()
		check(h.t, h.node.Restart())
	default:
		if victim == "shim" {
			h.shims++
		}
		for _, process := range ours(h.t, h.node, victim) {
			_ = syscall.Kill(process.PID, syscall.SIGKILL)
		}
	}
	h.ledger.crashed(victim, from, time.Now())
}

// handIn has six clients hand in so many mails, each once: most to the relay as Mattermost would, the rest by the two
// ways to a reset. The channel closes when all have an answer or none.
func (h *horrors) handIn(count int, pause time.Duration) <-chan struct{} {
	first := h.next + 1
	h.next += count
	type planned struct {
		id, via string
		after   time.Duration
	}
	plan := make(chan planned, count)
	for number := first; number <= h.next; number++ {
		via := []string{"relay", "relay", "relay", "native", "plugin"}[h.random.IntN(5)]
		plan <- planned{fmt.Sprint("m", number), via, time.Duration(h.random.Int64N(int64(pause)))}
	}
	close(plan)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			for mail := range plan {
				time.Sleep(mail.after)
				began := time.Now()
				how, err := h.hand(mail.id, mail.via)
				h.ledger.note(mail.id, mail.via, began, how, err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	return done
}

func (h *horrors) hand(id, via string) (harness.Submitted, error) {
	if via == "relay" {
		return h.relay.Send("noreply@example.com", address(id), notification(id))
	}
	client := *h.node.Client
	client.OwnRoutes = via == "native"
	reply, err := client.RequestReset(address(id))
	switch {
	case err != nil:
		return harness.Unknown, err
	case reply.Status != 200:
		return harness.Unknown, fmt.Errorf("status %d", reply.Status)
	}
	return harness.Accepted, nil
}

// notification is a mail such as Mattermost sends: an empty text part, Precedence: bulk.
func notification(id string) []byte {
	return []byte(strings.ReplaceAll(`From: "Acme Chat" <noreply@example.com>
To: <u@`+id+ledgerZone+`>
Subject: [Acme] New Notification `+id+`
Date: `+time.Now().Format(time.RFC1123Z)+`
Message-ID: <`+id+`@chat.internal>
Precedence: bulk
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: quoted-printable


--b
Content-Type: text/html; charset=UTF-8
Content-Transfer-Encoding: quoted-printable

<p>You were mentioned in `+id+`.</p>
--b--
`, "\n", "\r\n"))
}

// usage is what a process has.
type usage struct{ kilobytes, descriptors int }

func usageOf(pid int) (used usage, ok bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return used, false
	}
	for line := range strings.Lines(string(status)) {
		if _, found := fmt.Sscanf(line, "VmRSS: %d kB", &used.kilobytes); found == nil {
			break
		}
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	used.descriptors = len(open)
	return used, err == nil
}

// measure looks at the processes that are there and keeps the most that each role had.
func (h *horrors) measure() map[string]usage {
	h.t.Helper()
	now := map[string]usage{}
	for _, process := range ours(h.t, h.node, "") {
		used, ok := usageOf(process.PID)
		if !ok {
			continue
		}
		now[process.Role] = used
		most := h.most[process.Role]
		h.most[process.Role] = usage{max(most.kilobytes, used.kilobytes), max(most.descriptors, used.descriptors)}
	}
	return now
}

// steady hands in mails with the peer's faults and nobody's death: memory and descriptors stay flat (R20).
func (h *horrors) steady(batches int) {
	h.t.Helper()
	check(h.t, h.admin.WaitReady(2*time.Minute)) // a shim that was killed last comes back within half a minute
	expectProcesses(h.t, h.node, 1, 1, 10*time.Second)
	var first, last map[string]usage
	for batch := range batches {
		<-h.handIn(mailsPerRound, 20*time.Millisecond)
		last = h.measure()
		if batch == 0 { // warm by then: its core's instances and connections are there
			first = last
		}
		h.ledger.balance(h.t)
	}
	h.t.Logf("%d mails with no death: %v at first, %v at last; at most %v", batches*mailsPerRound, first, last, h.most)
	for role, then := range first {
		now := last[role]
		if now.kilobytes > then.kilobytes*3/2+64<<10 || now.descriptors > then.descriptors+64 {
			h.t.Errorf("the %s has grown from %v to %v", role, then, now)
		}
	}
	for role, most := range h.most {
		if most.descriptors > 1000 {
			h.t.Errorf("the %s had %d descriptors", role, most.descriptors)
		}
	}
}
