// Package service is the composition root of the service: it makes the parts, wires them, and ends them. The parts
// are under internal, one duty each.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/dns"
	"postroom/server/internal/engine"
	"postroom/server/internal/flow"
	"postroom/server/internal/httpapi"
	"postroom/server/internal/incidents"
	"postroom/server/internal/limits"
	"postroom/server/internal/link"
	"postroom/server/internal/metrics"
	"postroom/server/internal/outbox"
	"postroom/server/internal/relay"
	"postroom/server/internal/settings"
	"postroom/server/internal/store"
	"postroom/server/internal/subjects"
	"postroom/server/internal/trial"
)

const (
	// drainWithin bounds an orderly end; a conversation cut off is taken up again when its lease has lapsed.
	drainWithin = 5 * time.Second
	// orphanDrain is for a server that is gone: nothing of ours may outlive it by more than 5 s (R24).
	orphanDrain = 2 * time.Second
	// lookAtFilesEvery is how soon a renewed secret is taken up.
	lookAtFilesEvery = 30 * time.Second
	// sweepEvery is how often leftovers of interrupted redemptions are looked for.
	sweepEvery = 10 * time.Minute
)

// Run is the service from its handover to its end; it gives back the exit code.
func Run(handover io.Reader, ready *os.File) int {
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	var from link.Handover
	if err := json.NewDecoder(handover).Decode(&from); err != nil {
		tell(ready, errors.New("the service was started without a handover; Mattermost starts it, through the plugin"))
		return 2
	}
	feed := newFeed(os.Stderr)
	log := slog.New(feed)
	service, err := start(from, feed, log)
	tell(ready, err)
	if err != nil {
		log.Error("the service can't start", "error", err)
		return 1
	}
	service.wait()
	return 0
}

// tell gives the shim its one answer.
func tell(ready *os.File, err error) {
	answer := link.Ready{OK: err == nil}
	if err != nil {
		answer.Error = err.Error()
	}
	_ = json.NewEncoder(ready).Encode(answer)
	_ = ready.Close()
}

// service is what runs.
type service struct {
	from   link.Handover
	node   string                            // this process in leases and among the nodes
	latest atomic.Pointer[settings.Snapshot] // as Mattermost has them
	raw    atomic.Pointer[[]byte]            // what that was read from; secret
	log    *slog.Logger
	feed   *feed
	engine *engine.Engine
	store  *store.Store
	alerts *incidents.Incidents
	outbox *outbox.Outbox
	flows  *flow.Flows
	server *http.Server

	started time.Time
	metrics *metrics.Metrics

	relayMutex  sync.Mutex                  // over what the relay is made of
	relay       atomic.Pointer[relay.Relay] // nil where it can't listen
	secrets     *flow.RelaySecrets
	taking      bool // the outbox is ready for mail
	relayClosed bool
	keeping     sync.Once
	relaySocket atomic.Pointer[os.File]
	port        atomic.Pointer[flow.RelayPort]

	orders    chan link.Line // what the shim is to do, beside acts
	nudge     chan struct{}  // wantBack was set
	wantBack  atomic.Bool    // Mattermost's settings name a relay that takes no mail
	askedBack atomic.Int64   // when the shim was last asked to put them back, in ms
	files     *link.Listener
	shims     struct {
		sync.Mutex
		streams int
		left    time.Time // when the last one did
	}
	applying sync.Mutex

	ctx context.Context
	end context.CancelCauseFunc
}

// Reasons to end.
var (
	errServerGone = errors.New("the Mattermost server is gone")
	errToldToEnd  = errors.New("the shim said so")
	errNewSource  = errors.New("the database's address has changed; the shim starts a service for it")
)

func start(from link.Handover, feed *feed, log *slog.Logger) (*service, error) {
	ctx, end := context.WithCancelCause(context.Background())
	s := &service{from: from, node: nodeName(), log: log, feed: feed, ctx: ctx, end: end, started: time.Now().UTC(), orders: make(chan link.Line, 8), nudge: make(chan struct{}, 1)}
	s.shims.left = time.Now()
	snapshot, warnings, err := settings.Parse(from.Settings)
	if err != nil {
		return nil, err
	}
	s.latest.Store(snapshot)
	s.raw.Store((*[]byte)(&from.Settings))
	s.warn(warnings)
	if s.engine, err = s.openEngine(); err != nil {
		return nil, err
	}
	s.metrics = metrics.New(metrics.Build{Version: from.Version, Core: s.engine.SelfTest().Version, Restarts: from.Restarts})
	if s.store, err = store.Open(ctx, snapshot.DataSource); err != nil {
		return nil, err
	}
	if s.alerts, err = incidents.New(incidents.Options{Store: s.store, Engine: s.engine, Log: log, Webhook: snapshot.AlertWebhook}); err != nil {
		return nil, err
	}
	s.outbox, err = outbox.New(outbox.Options{Store: s.store, Engine: s.engine, Log: log, Node: s.node, Settings: snapshot, Incidents: s.alerts, Certificate: s.alerts.Certificate, Metrics: s.metrics})
	if err != nil {
		return nil, err
	}
	s.flows = &flow.Flows{Engine: s.engine, Store: s.store, Outbox: s.outbox, Limits: limits.New(s.engine), Trials: trial.New(s.store), Resolver: &dns.Resolver{}, Log: log,
		Subjects: subjects.New(from.ServerDir), Switching: &flow.Switching{Engine: s.engine, Store: s.store, Node: s.node, Port: s.relayPort},
		Process: s.process, Aside: func(aside link.Aside) { s.order(link.Line{Aside: &aside}) }, Metrics: s.metrics}
	s.flows.Apply(ctx, snapshot)
	s.watch()
	if err := s.checkKey(snapshot); err != nil {
		return nil, err
	}
	if err := s.bringUp(); err != nil {
		var wrong *store.SchemaError
		if errors.As(err, &wrong) {
			return nil, err
		}
		log.Warn("the database is out of reach; requests are refused until it is back", "error", err)
		go s.keepBringingUp()
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	go from.Server.WhenGone(ctx, func() { end(errServerGone) })
	go s.sweep()
	go s.alerts.Run(ctx)
	go s.watchFiles()
	go s.watchShim()
	return s, nil
}

// bringUp begins what needs the database: the schema, the relay, then the outbox, which must not send before it is
// known whether Mattermost's settings name the relay itself. It may be called again.
func (s *service) bringUp() error {
	if err := s.store.Migrate(s.ctx); err != nil {
		return err
	}
	if err := s.openRelay(); err != nil {
		return err
	}
	s.reapply()
	if err := s.outbox.Start(s.ctx); err != nil {
		return err
	}
	s.startRelay()
	return nil
}

// reapply has the settings in force looked at again: where mail goes may be known now.
func (s *service) reapply() {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.outbox.Apply(s.flows.Apply(s.ctx, s.latest.Load()))
}

// keepBringingUp tries again until the database is back.
func (s *service) keepBringingUp() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(time.Second):
		}
		if err := s.bringUp(); err == nil {
			s.log.Info("the database is back; requests are taken")
			return
		}
	}
}

// nodeName names this process in leases: host, process, start.
func nodeName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	own, err := link.FindProcess(os.Getpid())
	if err != nil {
		own = link.Process{PID: os.Getpid(), Start: fmt.Sprint(time.Now().UnixNano())}
	}
	return fmt.Sprintf("%s-%d-%s", host, own.PID, own.Start)
}

func (s *service) openEngine() (*engine.Engine, error) {
	wasm, err := os.ReadFile(s.from.Wasm)
	if err != nil {
		return nil, fmt.Errorf("the core could not be read: %w; upload the plugin's bundle again", err)
	}
	return engine.New(s.ctx, engine.Options{
		Wasm: wasm, CacheDir: engine.CacheDir(), Logger: s.log,
		// What the largest mail of the relay's takes (30 MB: 512 MiB and 6 s on a busy machine, measured).
		MemoryPages: 8192, Deadline: 20 * time.Second,
		Observe: func(op, result string, took time.Duration) { s.metrics.CoreCall(op, result, took) },
	})
}

// checkKey fails early, in the core's words, when mails could not be sealed.
func (s *service) checkKey(snapshot *settings.Snapshot) error {
	err := s.engine.Call(s.ctx, core.OpKey, time.Now(), core.KeyArgs{Key: snapshot.AtRestKey}, nil)
	var wrong *engine.CoreError
	if errors.As(err, &wrong) {
		return errors.New(wrong.Detail)
	}
	return err
}

func (s *service) warn(warnings []string) {
	for _, warning := range warnings {
		s.log.Warn(warning)
	}
}

// apply swaps the settings. Another database is another life.
func (s *service) apply(raw []byte) error {
	snapshot, warnings, err := settings.Parse(raw)
	if err != nil {
		return err
	}
	s.warn(warnings)
	if snapshot.DataSource != s.latest.Load().DataSource {
		s.end(errNewSource)
		return nil
	}
	s.latest.Store(snapshot)
	s.alerts.Apply(snapshot.AlertWebhook)
	s.raw.Store(&raw)
	s.reapply()
	return nil
}

func (s *service) listen() error {
	listener, err := link.Listen(s.from.Dir)
	if err != nil {
		return fmt.Errorf("the service's socket could not be opened: %w", err)
	}
	// The shim holds a copy of the relay's socket, where there is one.
	if s.files, err = link.OfferFile(s.from.Dir, s.relaySocket.Load); err != nil {
		return fmt.Errorf("the service's second socket could not be opened: %w", err)
	}
	s.server = &http.Server{Handler: s.routes(), ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.end(fmt.Errorf("the socket failed: %w", err))
		}
	}()
	return nil
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(link.PathOutside+"/", http.StripPrefix(link.PathOutside, httpapi.New(s.flows, s.log)))
	s.shimRoutes(mux)
	return mux
}

// sweep removes what interrupted redemptions left in Mattermost's table.
func (s *service) sweep() {
	for {
		if swept, err := s.store.SweepInner(s.ctx); err == nil && swept > 0 {
			s.log.Info("leftovers of interrupted redemptions were removed", "tokens", swept)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(sweepEvery):
		}
	}
}

// watchFiles reads the settings again when a file that one of them refers to was replaced, as secrets are where they are
// renewed.
func (s *service) watchFiles() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(lookAtFilesEvery):
		}
		if !s.latest.Load().FilesChanged() {
			continue
		}
		s.log.Info("a file that the settings refer to has changed, and is read again")
		if err := s.apply(*s.raw.Load()); err != nil {
			s.log.Error("the settings can't be read again; the old ones stay", "error", err)
		}
	}
}

// wait returns when the service has ended: it takes nothing more, lets what runs finish, and gives all back.
func (s *service) wait() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-s.ctx.Done():
	case <-stop:
		s.end(errToldToEnd)
	}
	cause, within := context.Cause(s.ctx), drainWithin
	if errors.Is(cause, errServerGone) {
		within = orphanDrain
		time.AfterFunc(within+time.Second, func() { os.Exit(0) }) // whatever hangs
	}
	s.log.Info("the service ends", "why", cause.Error())
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	stopped := make(chan struct{})
	go func() { // the outbox first: requests that come meanwhile are still accepted
		defer close(stopped)
		s.closeRelay(ctx)
		if err := s.outbox.Stop(ctx); err != nil {
			s.log.Warn("not everything that ran could finish; it is taken up again elsewhere or later", "error", err)
		}
	}()
	<-stopped
	s.feed.close()
	_ = s.server.Shutdown(ctx)
	_ = s.files.Close()
	if file := s.relaySocket.Swap(nil); file != nil {
		_ = file.Close()
	}
	s.store.Close()
	_ = s.engine.Close(context.Background())
	if errors.Is(cause, errServerGone) && strings.Contains(s.from.Dir, "postroom") {
		_ = os.RemoveAll(s.from.Dir) // nobody is left who would
	}
}
