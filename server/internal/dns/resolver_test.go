package dns

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"postroom/server/internal/core"
)

func TestLookup(t *testing.T) {
	long := strings.Repeat("0123456789", 400)
	server := &nameServer{zone: zone{
		"acme.net A":          []any{"192.0.2.1", "192.0.2.2"},
		"acme.net AAAA":       []any{"2001:db8::1"},
		"acme.net MX":         []any{"10 mail.acme.net.", "0 ."},
		"acme.net TXT":        []any{"v=spf1 -all", `with "quotes", \back\slashes\ and a ; b`},
		"long.acme.net TXT":   []any{long, long},
		"1.2.0.192.x.net PTR": []any{"mail.acme.net."},
		"broken.net TXT":      "servfail",
		"closed.net TXT":      "refused",
		"silent.net TXT":      "timeout",
		"b.a.net A":           []any{"192.0.2.1"},
	}}
	resolver := &Resolver{Servers: []string{start(t, server)}, patience: time.Second}
	for _, c := range []struct {
		name, kind, status string
		records            []string
	}{
		{"acme.net", "A", core.DNSOK, []string{"192.0.2.1", "192.0.2.2"}},
		{"ACME.net", "AAAA", core.DNSOK, []string{"2001:db8::1"}},
		{"acme.net", "MX", core.DNSOK, []string{"10 mail.acme.net.", "0 ."}},
		{"acme.net", "TXT", core.DNSOK, []string{"v=spf1 -all", `with "quotes", \back\slashes\ and a ; b`}},
		{"acme.net", "PTR", core.DNSNoData, nil},
		{"long.acme.net", "TXT", core.DNSOK, []string{long, long}},
		{"1.2.0.192.x.net", "PTR", core.DNSOK, []string{"mail.acme.net."}},
		{"a.net", "A", core.DNSNoData, nil},
		{"c.a.net", "A", core.DNSNXDomain, nil},
		{"broken.net", "TXT", core.DNSServFail, nil},
		{"closed.net", "TXT", core.DNSRefused, nil},
		{"silent.net", "TXT", core.DNSTimeout, nil},
		{strings.Repeat("a", 64) + ".net", "A", core.DNSFailed, nil},
		{"acme.net", "NONSENSE", core.DNSFailed, nil},
	} {
		got := resolver.Lookup(t.Context(), core.DNSQuestion{Name: c.name, Type: c.kind})
		if got.Name != c.name || got.Type != c.kind || got.Status != c.status || !slices.Equal(got.Records, c.records) {
			t.Errorf("%s %s: %+v", c.name, c.kind, got)
		}
	}
	if asked := server.questions(); !slices.Contains(asked, "udp long.acme.net TXT") || !slices.Contains(asked, "tcp long.acme.net TXT") {
		t.Errorf("a long answer was asked for as %v", asked)
	}
}

// A dead, a failing and a silent server are passed over for one that answers; where none does, the last one's word counts.
func TestTheNextServer(t *testing.T) {
	good := start(t, &nameServer{zone: zone{"acme.net A": []any{"192.0.2.1"}}})
	failing := start(t, &nameServer{zone: zone{"acme.net A": "servfail"}})
	silent := start(t, &nameServer{zone: zone{"acme.net A": "timeout"}})
	dead := closedPort(t)
	for _, c := range []struct {
		servers []string
		status  string
	}{
		{[]string{dead, good}, core.DNSOK},
		{[]string{failing, good}, core.DNSOK},
		{[]string{silent, good}, core.DNSOK},
		{[]string{good, silent}, core.DNSOK},
		{[]string{dead}, core.DNSFailed},
		{[]string{dead, failing}, core.DNSServFail},
		{[]string{failing, silent}, core.DNSTimeout},
	} {
		resolver := &Resolver{Servers: c.servers, patience: time.Second}
		if got := resolver.Lookup(t.Context(), core.DNSQuestion{Name: "acme.net", Type: "A"}); got.Status != c.status {
			t.Errorf("%v: %+v, want %s", c.servers, got, c.status)
		}
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().String()
}

// An alias's target is the name's answer, and nothing else in the message is.
func TestWhatAnAnswerIs(t *testing.T) {
	say := map[string]func(reply *dns.Msg){
		"alias.net.": func(reply *dns.Msg) {
			reply.Answer = []dns.RR{
				rr(t, "alias.net. 60 IN CNAME key.vendor.net."), rr(t, `key.vendor.net. 60 IN TXT "v=DKIM1; p=" "abc"`),
			}
			reply.Extra = append(reply.Extra, rr(t, `alias.net. 60 IN TXT "not this"`))
		},
		"dangling.net.": func(reply *dns.Msg) {
			reply.Answer, reply.Rcode = []dns.RR{rr(t, "dangling.net. 60 IN CNAME gone.net.")}, dns.RcodeNameError
		},
		"bytes.net.": func(reply *dns.Msg) { reply.Answer = []dns.RR{rr(t, `bytes.net. 60 IN TXT "\255\065\\\"\000"`)} },
		"other.net.": func(reply *dns.Msg) { reply.Question[0].Name = "elsewhere.net." },
		"noedns.net.": func(reply *dns.Msg) {
			reply.Answer = []dns.RR{rr(t, `noedns.net. 60 IN TXT "plain"`)}
		},
	}
	server := &nameServer{before: func(w dns.ResponseWriter, asked *dns.Msg) bool {
		reply := new(dns.Msg).SetReply(asked)
		if asked.Question[0].Name == "noedns.net." && asked.IsEdns0() != nil {
			reply.Rcode = dns.RcodeFormatError
		} else {
			say[asked.Question[0].Name](reply)
		}
		_ = w.WriteMsg(reply)
		return true
	}}
	resolver := &Resolver{Servers: []string{start(t, server)}, patience: time.Second}
	for name, want := range map[string]string{
		"alias.net":    "ok [v=DKIM1; p=abc]",
		"dangling.net": "nxdomain []",
		"bytes.net":    "ok [\ufffdA\\\"\x00]",
		"other.net":    "failed []",
		"noedns.net":   "ok [plain]",
	} {
		got := resolver.Lookup(t.Context(), core.DNSQuestion{Name: name, Type: "TXT"})
		if told := got.Status + " [" + strings.Join(got.Records, " ") + "]"; told != want {
			t.Errorf("%s: %q, want %q", name, told, want)
		}
	}
}

func rr(t *testing.T, text string) dns.RR {
	t.Helper()
	record, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return record
}
