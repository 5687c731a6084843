package courier

import (
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
	return peer.NameServer(t, func(asked dnsmessage.Question) (code dnsmessage.RCode, answers []dnsmessage.Resource, ok bool) {
		is := says.Load()
		if asked.Type == dnsmessage.TypeA {
			for _, address := range is.addresses {
				answers = append(answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: asked.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: address},
				})
			}
		}
		return is.code, answers, true
	})
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
