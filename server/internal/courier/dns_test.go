package courier

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"postroom/server/internal/courier/peer"
)

// zone is a name server that answers every question for an IPv4 address with these.
type zone struct {
	code      dnsmessage.RCode
	addresses [][4]byte
}

// nameServer starts one, and gives the resolver that asks it.
func nameServer(t *testing.T, says *atomic.Pointer[zone]) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		octets := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(octets)
			if err != nil {
				return
			}
			if reply, ok := answer(octets[:n], says.Load()); ok {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func answer(question []byte, is *zone) ([]byte, bool) {
	var message dnsmessage.Message
	if message.Unpack(question) != nil || len(message.Questions) != 1 {
		return nil, false
	}
	asked := message.Questions[0]
	message.Header = dnsmessage.Header{ID: message.ID, Response: true, RecursionAvailable: true, RCode: is.code}
	message.Additionals = nil
	if asked.Type == dnsmessage.TypeA {
		for _, address := range is.addresses {
			message.Answers = append(message.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: asked.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
				Body:   &dnsmessage.AResource{A: address},
			})
		}
	}
	reply, err := message.Pack()
	return reply, err == nil
}

// The name server's troubles are told, every address is tried, and a changed one is found at the next attempt (R17).
func TestTheNameServerChangesItsMind(t *testing.T) {
	p := peer.Start(t)
	var says atomic.Pointer[zone]
	says.Store(&zone{})
	k, connection := courier(), to(p)
	k.Resolver, connection.Server = nameServer(t, &says), "mail.example.com"
	elsewhere, here := [4]byte{127, 0, 0, 2}, [4]byte{127, 0, 0, 1} // nobody listens at the first
	for _, c := range []struct {
		what string
		is   zone
		want string
	}{
		{"NXDOMAIN", zone{code: dnsmessage.RCodeNameError}, "dns dns"},
		{"SERVFAIL", zone{code: dnsmessage.RCodeServerFailure}, "dns dns"},
		{"no address", zone{}, "dns dns"},
		{"the wrong address", zone{addresses: [][4]byte{elsewhere}}, "connect refused"},
		{"two addresses, of which the first is dead", zone{addresses: [][4]byte{elsewhere, here}}, "final_dot 250"},
		{"a changed address", zone{addresses: [][4]byte{here}}, "final_dot 250"},
		{"SERVFAIL again", zone{code: dnsmessage.RCodeServerFailure}, "dns dns"},
	} {
		says.Store(&c.is)
		if outcome := k.Send(t.Context(), connection, mail); told(outcome) != c.want {
			t.Errorf("%s: %s, want %s (%s)", c.what, told(outcome), c.want, outcome.Detail)
		}
	}
	if got := len(p.Mails()); got != 2 {
		t.Errorf("%d mails have come", got)
	}
}
