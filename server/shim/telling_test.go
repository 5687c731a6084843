package shim

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"time"
)

// files are the support data by name.
func files(t *testing.T, p *Plugin) map[string]string {
	t.Helper()
	data, err := p.GenerateSupportData(nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, file := range data {
		found[file.Filename] = string(file.Body)
	}
	return found
}

func TestMetricsAndSupportDataAreTheServices(t *testing.T) {
	w := newWorld(t)
	k, stop := w.keep("one")
	first := w.ready(k)
	p := &Plugin{keeper: k}
	if err := os.WriteFile(k.logFile(), bytes.Repeat([]byte("0123456789abcdef"), logTail/8), 0o600); err != nil {
		t.Fatal(err)
	}
	reply := httptest.NewRecorder()
	p.ServeMetrics(nil, reply, httptest.NewRequest("GET", "/metrics", nil))
	if reply.Code != 200 || reply.Body.String() != "/shim/metrics 0\n" {
		t.Errorf("%d %q", reply.Code, reply.Body)
	}
	found := files(t, p)
	if found["postroom/support.json"] != "/shim/support 0\n" || found["postroom/metrics.txt"] != "/shim/metrics 0\n" || len(found["postroom/service.log"]) != logTail {
		t.Errorf("%d files, a log of %d octets: %.200v", len(found), len(found["postroom/service.log"]), found)
	}

	// Each restart is counted, over services and shims.
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for waited := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if hello, err := k.hello(context.Background()); err == nil && hello.Process != first && hello.Restarts == 1 {
			break
		}
		if time.Since(waited) > 5*time.Second {
			t.Fatal("a restart is not counted")
		}
	}
	stop()
	next, stop := w.keep("one")
	w.ready(next)
	if restarts := next.restarts(); restarts != 2 {
		t.Errorf("the next restart is the shim's number %d, not 2", restarts)
	}
	stop()
	next.end(context.Background())

	// Nobody there: a scrape fails, and the support data says so.
	p.keeper = next
	reply = httptest.NewRecorder()
	p.ServeMetrics(nil, reply, httptest.NewRequest("GET", "/metrics", nil))
	if reply.Code != 503 {
		t.Errorf("without a service a scrape is answered %d", reply.Code)
	}
	if found := files(t, p); found["postroom/support.json.missing"] == "" {
		t.Errorf("without a service: %v", found)
	}
}
