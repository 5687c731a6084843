package shim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/mattermost/mattermost/server/public/plugin"

	"postroom/server/internal/link"
)

const (
	// silence is how long the stream may say nothing before the service is held to hang; it says something
	// every second.
	silence = 15 * time.Second
	// steady is how long a service must have run for the next restart to be at once again.
	steady = 10 * time.Second
	// askWithin bounds a question to the service.
	askWithin  = 5 * time.Second
	maxBackoff = 30 * time.Second
)

// keeper keeps one service alive: it adopts the one that runs, or starts one, follows its stream, and begins
// again when that ends.
type keeper struct {
	api      plugin.API
	settings func() []byte
	server   link.Process
	dir      string
	client   *http.Client
	launch   launch
	silence  time.Duration

	// first gets the first outcome: nil once the service is ready, else why it is not.
	first chan error

	mutex   sync.Mutex
	current link.Hello
	// relay is a copy of the relay's listening socket, so that the service's death frees no port; nil without one.
	relay *os.File
	// off is the way back for Mattermost's mail, should the service not be there to say it; nil while the relay is off.
	off *link.Switch
}

func newKeeper(api plugin.API, settings func() []byte) (*keeper, error) {
	server, err := link.FindProcess(os.Getppid())
	if err != nil {
		return nil, fmt.Errorf("the server's process can't be told: %w", err)
	}
	dir, err := link.RuntimeDir(server)
	if err != nil {
		return nil, err
	}
	launch, err := newLaunch(api)
	if err != nil {
		return nil, err
	}
	return &keeper{
		api: api, settings: settings, server: server, dir: dir, client: link.Client(dir), launch: launch, silence: silence,
		first: make(chan error, 1),
	}, nil
}

func (k *keeper) logFile() string { return link.LogFile(k.dir) }

func (k *keeper) run(ctx context.Context) {
	var backoff time.Duration
	for ctx.Err() == nil {
		started := time.Now()
		hello, err := k.adoptOrStart(ctx)
		if err == nil {
			k.setCurrent(hello)
		}
		k.report(err)
		if err == nil {
			k.holdRelay(ctx)
			err = k.follow(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > steady {
			backoff = 0
		}
		k.api.LogWarn("the service is not there and is started again", "after", backoff.String(), "why", err.Error())
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(max(2*backoff, 100*time.Millisecond), maxBackoff)
	}
}

func (k *keeper) report(err error) {
	select {
	case k.first <- err:
	default:
	}
}

func (k *keeper) setCurrent(hello link.Hello) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.current = hello
}

func (k *keeper) running() link.Hello {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.current
}

// adoptOrStart gives back a service of this very build that takes requests. One of another build is told to end,
// which lets it finish what it is about, and is replaced at once.
func (k *keeper) adoptOrStart(ctx context.Context) (link.Hello, error) {
	unlock, err := link.Lock(k.dir)
	if err != nil {
		return link.Hello{}, err
	}
	defer unlock()
	if hello, err := k.hello(ctx); err == nil {
		if hello.Build == k.launch.build && hello.Server == k.server {
			return hello, k.post(ctx, link.PathSettings, k.settings())
		}
		k.api.LogInfo("a service of another build is replaced", "pid", hello.Process.PID)
		k.holdRelay(ctx)
		if err := k.post(ctx, link.PathEnd, nil); err != nil {
			kill(hello.Process)
		}
		k.client.CloseIdleConnections()
	}
	if err := k.launch.start(ctx, k.dir, k.server, k.settings(), k.heldRelay(), k.restarts()); err != nil {
		return link.Hello{}, err
	}
	return k.hello(ctx)
}

// restarts is how often a service was started again, with the one to be started now.
func (k *keeper) restarts() int {
	before := k.running()
	if before.Process.PID == 0 {
		return 0 // the first
	}
	return before.Restarts + 1
}

func (k *keeper) hello(ctx context.Context) (link.Hello, error) {
	var hello link.Hello
	reply, err := k.ask(ctx, askWithin, http.MethodGet, link.PathHello, nil, nil)
	if err != nil {
		return hello, err
	}
	defer func() { _ = reply.Body.Close() }()
	return hello, json.NewDecoder(reply.Body).Decode(&hello)
}

func (k *keeper) post(ctx context.Context, path string, body []byte) error {
	reply, err := k.ask(ctx, askWithin, http.MethodPost, path, nil, body)
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("the service answered %s with status %d", path, reply.StatusCode)
	}
	return nil
}

// ask asks the service; the whole exchange ends within that time.
func (k *keeper) ask(ctx context.Context, within time.Duration, method, path string, header http.Header, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	request, err := http.NewRequestWithContext(ctx, method, link.URL(path), bytes.NewReader(body))
	if err != nil {
		cancel()
		return nil, err
	}
	if header != nil {
		request.Header = header
	}
	reply, err := k.client.Do(request)
	if err != nil {
		cancel()
		return nil, err
	}
	reply.Body = endingBody{reply.Body, cancel}
	return reply, nil
}

// endingBody ends its request's context when it is closed.
type endingBody struct {
	io.ReadCloser
	end context.CancelFunc
}

func (b endingBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// follow reads the stream, doing what it asks, until it ends; the error says how.
func (k *keeper) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(k.silence, func() {
		kill(k.running().Process)
		cancel(fmt.Errorf("it said nothing for %s and was killed", k.silence))
	})
	defer quiet.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, link.URL(link.PathStream), nil)
	if err != nil {
		return err
	}
	reply, err := k.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	lines := json.NewDecoder(reply.Body)
	for {
		var line link.Line
		if err := lines.Decode(&line); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return fmt.Errorf("its stream ended: %w", err)
		}
		quiet.Stop() // what is to be done may take longer
		k.obey(ctx, line)
		quiet.Reset(k.silence)
	}
}

func (k *keeper) obey(ctx context.Context, line link.Line) {
	if line.Log != nil {
		writeLog(k.api, *line.Log)
	}
	if line.Relay {
		k.holdRelay(ctx)
	}
	if line.Switch != nil {
		_ = k.carryOut(ctx, *line.Switch) // the service asks again
	}
	if line.Aside != nil {
		sayAside(k.api, *line.Aside)
	}
	var carried link.Done
	for _, act := range line.Acts {
		if act.Audit != nil {
			writeAudit(k.api, *act.Audit, nil)
		}
		if act.Message != nil {
			if err := tellAdmins(k.api, act.ID, *act.Message); err != nil {
				k.api.LogError("the system admins could not be told; it is tried again", "error", err.Error())
				continue
			}
		}
		carried.IDs = append(carried.IDs, act.ID)
	}
	if len(carried.IDs) == 0 {
		return
	}
	done, err := json.Marshal(carried)
	if err == nil {
		err = k.post(ctx, link.PathDone, done)
	}
	if err != nil && ctx.Err() == nil {
		k.api.LogWarn("acts could not be reported as done and will be offered again", "error", err.Error())
	}
}

func (k *keeper) settingsChanged() {
	if err := k.post(context.Background(), link.PathSettings, k.settings()); err != nil {
		k.api.LogWarn("the service has not taken the new settings yet; it gets them when it is started or adopted again", "error", err.Error())
		return
	}
	k.rememberOff(context.Background())
}

// end asks the service to finish and waits for it, then makes sure.
func (k *keeper) end(ctx context.Context) {
	service := k.running().Process
	if hello, err := k.hello(ctx); err == nil {
		service = hello.Process
	}
	if service.PID == 0 {
		return
	}
	_ = k.post(ctx, link.PathEnd, nil)
	for service.Alive() {
		select {
		case <-ctx.Done():
			kill(service)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	_ = os.RemoveAll(k.dir)
}

// kill ends a process that is still the one we mean.
func kill(process link.Process) {
	if process.PID > 1 && process.Alive() {
		_ = syscall.Kill(process.PID, syscall.SIGKILL)
	}
}

// launch is what a service is started from.
type launch struct{ executable, wasm, build, version string }

func newLaunch(api plugin.API) (launch, error) {
	executable, err := os.Executable()
	if err != nil {
		return launch{}, err
	}
	bundle, err := api.GetBundlePath()
	if err != nil {
		return launch{}, err
	}
	wasm := filepath.Join(bundle, "assets", "core.wasm")
	build, err := digestFiles(executable, wasm)
	if err != nil {
		return launch{}, errors.Join(errors.New("the plugin's bundle is incomplete; upload it again"), err)
	}
	var manifest struct{ Version string }
	raw, err := os.ReadFile(filepath.Join(bundle, "plugin.json"))
	if err == nil {
		err = json.Unmarshal(raw, &manifest)
	}
	if err != nil {
		return launch{}, errors.Join(errors.New("the plugin's bundle is incomplete; upload it again"), err)
	}
	return launch{executable: executable, wasm: wasm, build: build, version: manifest.Version}, nil
}
