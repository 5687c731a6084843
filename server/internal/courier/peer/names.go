package peer

import (
	"context"
	"net"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// NameServer answers each question as answer says, or not at all where that is false. It gives the resolver that asks it.
func NameServer(t testing.TB, answer func(asked dnsmessage.Question) (dnsmessage.RCode, []dnsmessage.Resource, bool)) *net.Resolver {
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
			var message dnsmessage.Message
			if message.Unpack(octets[:n]) != nil || len(message.Questions) != 1 {
				continue
			}
			code, answers, ok := answer(message.Questions[0])
			if !ok {
				continue
			}
			message.Header = dnsmessage.Header{ID: message.ID, Response: true, RecursionAvailable: true, RCode: code}
			message.Answers, message.Additionals = answers, nil
			if reply, err := message.Pack(); err == nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}
