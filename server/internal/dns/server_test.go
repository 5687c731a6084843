package dns

import (
	"encoding/json"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// zone is a name server's data: "name TYPE" to its records, or to the trouble with it (servfail, refused, timeout).
type zone map[string]any

// nameServer is one that speaks UDP and TCP on one port of this machine.
type nameServer struct {
	zone zone
	// before, where it is set, may answer in its own way, and says whether it did.
	before func(w dns.ResponseWriter, asked *dns.Msg) bool

	mu    sync.Mutex
	asked []string // "net name TYPE"
}

func start(t *testing.T, s *nameServer) string {
	t.Helper()
	// Another process may have the TCP port of the UDP port that was free.
	for range 20 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err != nil {
			_ = udp.Close()
			continue
		}
		for _, server := range []*dns.Server{{PacketConn: udp, Handler: s}, {Listener: tcp, Handler: s}} {
			ready := make(chan struct{})
			server.NotifyStartedFunc = func() { close(ready) }
			go func() { _ = server.ActivateAndServe() }()
			<-ready
			t.Cleanup(func() { _ = server.Shutdown() })
		}
		return udp.LocalAddr().String()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return ""
}

func (s *nameServer) ServeDNS(w dns.ResponseWriter, asked *dns.Msg) {
	q := asked.Question[0]
	network := w.LocalAddr().Network()
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	s.mu.Lock()
	s.asked = append(s.asked, network+" "+name+" "+dns.TypeToString[q.Qtype])
	s.mu.Unlock()
	if s.before != nil && s.before(w, asked) {
		return
	}
	reply := new(dns.Msg).SetReply(asked)
	reply.RecursionAvailable = true
	switch found := s.zone[name+" "+dns.TypeToString[q.Qtype]].(type) {
	case nil:
		if !s.exists(name) {
			reply.Rcode = dns.RcodeNameError
		}
	case string:
		switch found {
		case "servfail":
			reply.Rcode = dns.RcodeServerFailure
		case "refused":
			reply.Rcode = dns.RcodeRefused
		default:
			return // nothing is said
		}
	case []any:
		for _, data := range found {
			reply.Answer = append(reply.Answer, record(q, data.(string)))
		}
	}
	if network == "udp" {
		size := dns.MinMsgSize
		if edns := asked.IsEdns0(); edns != nil {
			size = int(edns.UDPSize())
		}
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply)
}

// exists: a name with something below it does (RFC 8020).
func (s *nameServer) exists(name string) bool {
	for key := range s.zone {
		known, _, _ := strings.Cut(key, " ")
		if known == name || strings.HasSuffix(known, "."+name) {
			return true
		}
	}
	return false
}

func record(q dns.Question, data string) dns.RR {
	header := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: 60}
	if q.Qtype == dns.TypeTXT {
		return &dns.TXT{Hdr: header, Txt: chunks(data)}
	}
	rr, err := dns.NewRR(q.Name + " 60 IN " + dns.TypeToString[q.Qtype] + " " + data)
	if err != nil {
		panic(err)
	}
	return rr
}

// chunks are a TXT record's strings, of 255 octets at most, as miekg/dns has them: with quotes and backslashes escaped.
func chunks(data string) []string {
	var parts []string
	for chunk := range slices.Chunk([]byte(data), 255) {
		parts = append(parts, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(chunk)))
	}
	return parts
}

func (s *nameServer) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func decode[T any](t *testing.T, in []byte) (out T) {
	t.Helper()
	if err := json.Unmarshal(in, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
