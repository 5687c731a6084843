package dns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"postroom/server/internal/core"
	"postroom/server/internal/engine"
)

const root = "../../../"

// shared is one core for all tests: compiling it takes seconds without a cache.
var shared = sync.OnceValues(func() (*engine.Engine, error) {
	wasm, err := os.ReadFile(root + ".build/core.wasm")
	if err != nil {
		return nil, fmt.Errorf("the core is not built (run: make wasm): %w", err)
	}
	return engine.New(context.Background(), engine.Options{Wasm: wasm, CacheDir: root + ".build/wazero"})
})

func openCore(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Each case of contract/dns, through a real name server, comes to the steps that the core alone came to.
func TestEveryCauseThroughARealSocket(t *testing.T) {
	e := openCore(t)
	paths, err := filepath.Glob(root + "contract/dns/*.case.json")
	if err != nil || len(paths) < 60 {
		t.Fatalf("%d cases in contract/dns: %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".case.json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c := decode[struct {
				Args core.DNSChecksArgs `json:"args"`
				Zone zone               `json:"zone"`
			}](t, in)
			golden, err := os.ReadFile(strings.TrimSuffix(path, ".case.json") + ".steps.json")
			if err != nil {
				t.Fatal(err)
			}
			want := decode[[]core.Step](t, golden)
			server := &nameServer{zone: c.Zone}
			checker := &Checker{Core: e, Resolver: &Resolver{Servers: []string{start(t, server)}, patience: patience(c.Zone)}}
			told := map[string]core.Step{}
			got, err := checker.Check(t.Context(), c.Args, func(step core.Step) { told[step.Step] = step })
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if (got[i].MS == nil) != (got[i].State == "skipped") {
					t.Errorf("%s took %v and is %s", got[i].Step, got[i].MS, got[i].State)
				}
				if one := told[got[i].Step]; asText(t, one) != asText(t, got[i]) {
					t.Errorf("told %s, which ended as %s", asText(t, one), asText(t, got[i]))
				}
				got[i].MS = nil
			}
			if g, w := asText(t, got), asText(t, want); g != w {
				t.Errorf("got  %s\nwant %s\nasked %v", g, w, server.questions())
			}
			if asked := len(server.questions()); asked > 90 {
				t.Errorf("%d questions", asked)
			}
		})
	}
}

// patience is short where a case is about a server that says nothing, and long where a slow machine must not make one.
func patience(z zone) time.Duration {
	for _, found := range z {
		if found == "timeout" {
			return 300 * time.Millisecond
		}
	}
	return 10 * time.Second
}

func asText(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

var asked = core.DNSChecksArgs{FromDomain: "acme.net", EnvelopeDomain: "acme.net", Server: "smtp.office365.com", Addresses: []string{"192.0.2.10"}, EHLOName: "chat.acme.net"}

func causes(steps []core.Step) (found []string) {
	for _, step := range steps {
		if step.Cause != nil {
			found = append(found, step.State+" "+*step.Cause)
		}
	}
	return found
}

// Without a DNS that answers there is a warning for each step, within the check's own time.
func TestADNSThatSaysNothing(t *testing.T) {
	server := &nameServer{before: func(dns.ResponseWriter, *dns.Msg) bool { return true }}
	checker := &Checker{Core: openCore(t), Resolver: &Resolver{Servers: []string{start(t, server)}}, inAll: time.Second}
	began := time.Now()
	steps, err := checker.Check(t.Context(), asked, nil)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	want := []string{"warning spf_not_looked_up", "warning dkim_not_looked_up", "warning dmarc_not_looked_up", "warning mx_not_looked_up"}
	if got := causes(steps); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// Whoever asked may go: the check ends at once, with no steps.
func TestACheckThatIsBrokenOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := &nameServer{before: func(dns.ResponseWriter, *dns.Msg) bool { cancel(); return true }}
	checker := &Checker{Core: openCore(t), Resolver: &Resolver{Servers: []string{start(t, server)}, patience: time.Minute}}
	if steps, err := checker.Check(ctx, asked, nil); !errors.Is(err, context.Canceled) || steps != nil {
		t.Errorf("%v, %v", steps, err)
	}
}

// A hostile name server: includes without end, 60 kB of text, octets that are no UTF-8.
func TestAHostileDNS(t *testing.T) {
	long := strings.Repeat("include:a.evil.net ", 3000)
	bytes := "v=spf1 include:\xff\xfe.net \x00 -all"
	n := 0
	for name, say := range map[string]func(q dns.Question) string{
		"wide":  func(dns.Question) string { return "v=spf1 " + long + "-all" },
		"bytes": func(dns.Question) string { return bytes },
		"deep": func(q dns.Question) string {
			if q.Qtype != dns.TypeTXT || strings.HasPrefix(q.Name, "_") {
				return strings.Repeat("x", 60_000)
			}
			return "v=spf1 include:a." + q.Name + " include:b." + q.Name + " a:c." + q.Name + " mx:d." + q.Name + " ~all"
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := &nameServer{before: func(w dns.ResponseWriter, asked *dns.Msg) bool {
				q := asked.Question[0]
				if q.Qtype != dns.TypeTXT {
					return false
				}
				reply := new(dns.Msg).SetReply(asked)
				if w.LocalAddr().Network() == "udp" {
					reply.Truncated = true
				} else {
					reply.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET}, Txt: escaped(say(q))}}
				}
				_ = w.WriteMsg(reply)
				return true
			}}
			checker := &Checker{Core: openCore(t), Resolver: &Resolver{Servers: []string{start(t, server)}, patience: 10 * time.Second}}
			steps, err := checker.Check(t.Context(), asked, nil)
			if err != nil || len(steps) != 5 {
				t.Fatalf("%v, %v", steps, err)
			}
			if steps[0].State != "failed" {
				t.Errorf("spf is %+v", steps[0])
			}
			if got := len(server.questions()); got > 2*80 {
				t.Errorf("%d questions", got)
			}
			n++
		})
	}
	if n != 3 {
		t.Errorf("%d of 3", n)
	}
}

// escaped is chunks for octets of any kind.
func escaped(data string) []string {
	const digits = "0123456789"
	var parts []string
	for chunk := range slices.Chunk([]byte(data), 255) {
		var part strings.Builder
		for _, octet := range chunk {
			if octet >= ' ' && octet < 0x7f && octet != '\\' && octet != '"' {
				part.WriteByte(octet)
				continue
			}
			part.Write([]byte{'\\', digits[octet/100], digits[octet/10%10], digits[octet%10]})
		}
		parts = append(parts, part.String())
	}
	return parts
}
