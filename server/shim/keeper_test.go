package shim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mattermost/mattermost/server/public/plugin/plugintest"
	"github.com/stretchr/testify/mock"

	"postroom/server/internal/link"
)

// TestMain lets the test binary be the service that a keeper starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == RoleService {
		fakeService()
		return
	}
	os.Exit(m.Run())
}

// fakeService speaks the shim's side of the protocol and nothing else. Its settings say how it behaves.
func fakeService() {
	var from link.Handover
	ready := os.NewFile(3, "ready")
	if err := json.NewDecoder(os.Stdin).Decode(&from); err != nil {
		os.Exit(2)
	}
	var settings struct{ Fail, Silent bool }
	_ = json.Unmarshal(from.Settings, &settings)
	if settings.Fail {
		_ = json.NewEncoder(ready).Encode(link.Ready{Error: "GRANT CREATE ON DATABASE mattermost TO mmuser"})
		os.Exit(1)
	}
	own, _ := link.FindProcess(os.Getpid())
	mux := http.NewServeMux()
	mux.HandleFunc(link.PathHello, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(link.Hello{Build: from.Build, Process: own, Server: from.Server, Restarts: from.Restarts})
	})
	for _, path := range []string{link.PathMetrics, link.PathSupport} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, "%s %d\n", path, from.Restarts) })
	}
	mux.HandleFunc(link.PathSettings, func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc(link.PathEnd, func(http.ResponseWriter, *http.Request) {
		time.AfterFunc(10*time.Millisecond, func() { os.Exit(0) })
	})
	mux.HandleFunc(link.PathStream, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil && !settings.Silent {
			if json.NewEncoder(w).Encode(link.Line{}) != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		<-r.Context().Done()
	})
	listener, err := link.Listen(from.Dir)
	if err != nil {
		os.Exit(3)
	}
	go from.Server.WhenGone(context.Background(), func() { os.Exit(0) })
	_ = json.NewEncoder(ready).Encode(link.Ready{OK: true})
	_ = ready.Close()
	_ = http.Serve(listener, mux)
}

type world struct {
	t        *testing.T
	api      *plugintest.API
	dir      string
	server   link.Process
	silence  time.Duration
	settings atomic.Value
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, api: &plugintest.API{}, silence: silence}
	for _, name := range []string{"LogInfo", "LogWarn", "LogError"} {
		for arguments := 1; arguments < 8; arguments++ {
			any := make([]any, arguments)
			for i := range any {
				any[i] = mock.Anything
			}
			w.api.On(name, any...).Maybe()
		}
	}
	dir, err := os.MkdirTemp("/tmp", "keeper") // a socket's path may not be long
	if err != nil {
		t.Fatal(err)
	}
	w.dir = dir
	if w.server, err = link.FindProcess(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	w.settings.Store(`{}`)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return w
}

// keep starts a keeper of the given build, as an activation does.
func (w *world) keep(build string) (*keeper, context.CancelFunc) {
	ctx, stop := context.WithCancel(context.Background())
	k := &keeper{
		api: w.api, settings: func() []byte { return []byte(w.settings.Load().(string)) }, server: w.server, dir: w.dir,
		client: link.Client(w.dir), launch: launch{executable: os.Args[0], build: build}, silence: w.silence,
		first: make(chan error, 1),
	}
	done := make(chan struct{})
	go func() { k.run(ctx); close(done) }()
	w.t.Cleanup(func() {
		stop()
		<-done
		k.end(context.Background())
	})
	return k, stop
}

func (w *world) ready(k *keeper) link.Process {
	w.t.Helper()
	if err := <-k.first; err != nil {
		w.t.Fatal(err)
	}
	return w.now(k)
}

func (w *world) now(k *keeper) link.Process {
	w.t.Helper()
	hello, err := k.hello(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return hello.Process
}

func TestAKilledServiceIsBackWithinASecond(t *testing.T) {
	w := newWorld(t)
	k, _ := w.keep("one")
	first := w.ready(k)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for killed := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if hello, err := k.hello(context.Background()); err == nil && hello.Process != first {
			return
		}
		if time.Since(killed) > time.Second {
			t.Fatal("not back within a second")
		}
	}
}

func TestTheNextShimAdoptsTheRunningService(t *testing.T) {
	w := newWorld(t)
	k, stop := w.keep("one")
	first := w.ready(k)
	stop() // a shim that dies says nothing to the service
	next, _ := w.keep("one")
	if again := w.ready(next); again != first {
		t.Fatalf("%v was started beside %v", again, first)
	}
}

func TestAServiceOfAnotherBuildIsReplaced(t *testing.T) {
	w := newWorld(t)
	k, stop := w.keep("one")
	first := w.ready(k)
	stop()
	next, _ := w.keep("two")
	if again := w.ready(next); again == first {
		t.Fatal("the old build was adopted")
	}
	for waited := time.Now(); first.Alive(); time.Sleep(10 * time.Millisecond) {
		if time.Since(waited) > 2*time.Second {
			t.Fatal("the old service stays")
		}
	}
}

func TestEndLeavesNothingBehind(t *testing.T) {
	w := newWorld(t)
	k, stop := w.keep("one")
	first := w.ready(k)
	stop()
	k.end(context.Background())
	if _, err := os.Stat(w.dir); first.Alive() || !os.IsNotExist(err) {
		t.Fatal("the service or its folder is still there", err)
	}
}

func TestWhyAServiceCantStartReachesTheAdmin(t *testing.T) {
	w := newWorld(t)
	w.settings.Store(`{"Fail": true}`)
	k, _ := w.keep("one")
	if err := <-k.first; err == nil || !strings.Contains(err.Error(), "GRANT CREATE") {
		t.Fatal(err)
	}
}

func TestAHangingServiceIsKilled(t *testing.T) {
	w := newWorld(t)
	w.silence = 500 * time.Millisecond
	w.settings.Store(`{"Silent": true}`)
	k, _ := w.keep("one")
	first := w.ready(k)
	for waited := time.Now(); first.Alive(); time.Sleep(20 * time.Millisecond) {
		if time.Since(waited) > 4*time.Second {
			t.Fatal("a service that says nothing lives on")
		}
	}
}
