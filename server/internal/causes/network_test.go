package causes

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"postroom/server/internal/courier/peer"
)

// nameServer answers for every name as the fixture says, and gives the resolver that asks it.
func nameServer(t *testing.T, f *fixture) *net.Resolver {
	t.Helper()
	code := map[string]dnsmessage.RCode{
		"nxdomain": dnsmessage.RCodeNameError, "servfail": dnsmessage.RCodeServerFailure, "refused": dnsmessage.RCodeRefused,
	}[f.DNS]
	return peer.NameServer(t, func(asked dnsmessage.Question) (dnsmessage.RCode, []dnsmessage.Resource, bool) {
		var answers []dnsmessage.Resource
		if f.DNS == "" {
			for _, address := range f.Addresses {
				answers = append(answers, record(asked, address)...)
			}
		}
		return code, answers, f.DNS != "silent"
	})
}

// record is an address as an A, or where it is written with colons as an AAAA record.
func record(asked dnsmessage.Question, address string) []dnsmessage.Resource {
	ip, six := net.ParseIP(address), strings.Contains(address, ":")
	header := dnsmessage.ResourceHeader{Name: asked.Name, Type: asked.Type, Class: dnsmessage.ClassINET}
	switch {
	case asked.Type == dnsmessage.TypeA && !six:
		return []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: [4]byte(ip.To4())}}}
	case asked.Type == dnsmessage.TypeAAAA && six:
		return []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: [16]byte(ip.To16())}}}
	}
	return nil
}

// dialer connects to the server that is played, whatever address and port are named; or does to the connection what the
// fixture says. What can't be had on loopback is the error that the kernel gives for it.
func dialer(t *testing.T, f *fixture, port int) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	shut, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := shut.Addr().String()
	_ = shut.Close()
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		kernel := func(call error) error {
			return &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", call)}
		}
		switch what := f.TCP[host]; what {
		case "":
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		case "refused":
			return (&net.Dialer{}).DialContext(ctx, network, closed)
		case "silent":
			<-ctx.Done()
			return nil, kernel(ctx.Err())
		case "unreachable":
			return nil, kernel(syscall.ENETUNREACH)
		case "no_host":
			return nil, kernel(syscall.EHOSTUNREACH)
		case "reset":
			return nil, kernel(syscall.ECONNRESET)
		case "denied":
			return nil, kernel(syscall.EPERM)
		default:
			return nil, fmt.Errorf("no such fate of a connection: %q", what)
		}
	}
}
