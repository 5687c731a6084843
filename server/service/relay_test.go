package service

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postroom/server/internal/link"
	"postroom/server/internal/pgtest"
	"postroom/server/internal/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// begin starts a service in this process, as a shim would, and gives the way to end it.
func begin(t *testing.T, dataSource string) (s *service, end func()) {
	t.Helper()
	wasm, err := filepath.Abs(filepath.Join("..", "..", ".build", "core.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := link.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "service") // a socket's path may not be long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	feed := newFeed(io.Discard)
	s, err = start(link.Handover{Build: "test", Server: server, Dir: dir, Wasm: wasm, ServerDir: dir, Settings: settingsOf(dataSource, `{"FeedbackEmail":"noreply@example.com"}`)}, feed, slog.New(feed))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { s.wait(); close(ended) }()
	end = func() { s.end(errToldToEnd); <-ended }
	t.Cleanup(end)
	return s, end
}

func settingsOf(dataSource, email string) []byte {
	raw, _ := json.Marshal(map[string]any{
		"Service": map[string]any{"SiteURL": "https://chat.example.com", "ListenAddress": ":8065"},
		"Sql":     map[string]any{"DataSource": dataSource, "AtRestEncryptKey": strings.Repeat("k", 32)},
		"Email":   json.RawMessage(email), "Plugin": map[string]any{"Connection": "capture"},
	})
	return raw
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("not within 30 s: " + what)
		}
	}
}

// healthy is whether all nodes say so.
func (s *service) healthy() bool { return s.flows.Relaying(context.Background()).Healthy }

func TestAListenerThatDiesIsOpenedAgain(t *testing.T) {
	s, _ := begin(t, pgtest.Database(t))
	eventually(t, "a relay", s.healthy)
	first := s.relay.Load()
	raw, err := s.relaySocket.Load().SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another relay on the same port", func() bool {
		now := s.relay.Load()
		return now != nil && now != first && now.Address().Port == first.Address().Port && s.checkRelay() == nil
	})
}

func TestARelayMovesAwayFromAStranger(t *testing.T) {
	dataSource := pgtest.Database(t)
	s, end := begin(t, dataSource)
	eventually(t, "a relay", s.healthy)
	before := *s.port.Load()
	end()
	stranger, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", before.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Close() }()
	next, _ := begin(t, dataSource)
	eventually(t, "a relay elsewhere", next.healthy)
	if after := *next.port.Load(); after.Port == before.Port || after.Password == before.Password {
		t.Errorf("at port %d, as before, or with the same password", after.Port)
	}
}

// A service whose shim is gone with the relay on tells the admins, once.
func TestAServiceThatIsAloneTells(t *testing.T) {
	dataSource := pgtest.Database(t)
	pgtest.Exec(t, dataSource, `INSERT INTO users (id, username, email, deleteat, emailverified, roles, lastpasswordupdate, locale, authservice)
		VALUES ('root', 'root', 'root@example.com', 0, true, 'system_user system_admin', 1, 'en', '')`)
	s, _ := begin(t, dataSource)
	eventually(t, "a relay", s.healthy)
	answer, err := s.flows.SwitchRelay(t.Context(), true)
	if err != nil || answer.Switch == nil {
		t.Fatalf("%+v %v", answer, err)
	}
	email, err := json.Marshal(answer.Switch.Settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.apply(settingsOf(dataSource, string(email))); err != nil || !s.flows.RelayIsOn() {
		t.Fatal("the relay is not on", err)
	}
	told := func() int {
		mails, err := s.store.Mails(t.Context(), store.MailFilter{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(mails)
	}
	if told() != 0 {
		t.Fatal("told before two minutes were over")
	}
	s.shims.Lock()
	s.shims.left = time.Now().Add(-aloneAfter - time.Second)
	s.shims.Unlock()
	eventually(t, "a mail", func() bool { return told() == 1 })
	// A shim comes and goes: what is told next is another incident, after two minutes again.
	s.shimCame()
	s.shimLeft()
	if _, alone := s.alone(); alone || told() != 1 {
		t.Error("told again at once")
	}
}

// A relay that takes no mail has the settings put back, by the next line that a shim reads, and not over and over.
func TestPuttingBackIsAskedForOnce(t *testing.T) {
	dataSource := pgtest.Database(t)
	s, _ := begin(t, dataSource)
	eventually(t, "a relay", s.healthy)
	answer, err := s.flows.SwitchRelay(t.Context(), true)
	if err != nil || answer.Switch == nil {
		t.Fatalf("%+v %v", answer, err)
	}
	email, err := json.Marshal(answer.Switch.Settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.apply(settingsOf(dataSource, string(email))); err != nil {
		t.Fatal(err)
	}
	if line := s.wayBackLine(); line.Switch != nil {
		t.Fatal("a healthy relay is switched off")
	}
	s.putBack(true, errPortTaken)
	if line := s.wayBackLine(); line.Switch == nil || line.Switch.On {
		t.Fatalf("%+v", line)
	}
	s.wantBack.Store(true) // the next look at the healthy relay would take it back
	if line := s.wayBackLine(); line.Switch != nil {
		t.Error("asked for again at once")
	}
}
