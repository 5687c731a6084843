package outbox

import (
	"encoding/pem"
	"slices"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier"
	"postroom/server/internal/courier/peer"
)

// TestTheCertificateOfAConversationIsNoted, where it is verified, and where there was a handshake.
func TestTheCertificateOfAConversationIsNoted(t *testing.T) {
	ends := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	shown := peer.Certificate(t, ends, "127.0.0.1")
	safe := peer.Start(t, func(p *peer.Peer) { p.Implicit, p.TLS = true, shown })
	w := newWorld(t)
	var noted []string
	o := w.node(func(options *Options) {
		options.Certificate = func(connection, server string, facts *core.TLSFacts) {
			if !facts.Verified || facts.Chain[0].NotAfter != ends.UnixMilli() {
				t.Errorf("%+v", facts)
			}
			noted = append(noted, connection)
		}
	})
	send := func(name string, port int, security string, verify bool) {
		t.Helper()
		to := core.Connection{Name: name, Server: "127.0.0.1", Port: port, Security: security, VerifyCertificate: verify, MinTLS: "1.2", TimeoutMS: 5000,
			CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: shown.Certificates[0].Certificate[0]}))}
		outcome := o.noting(o.upstreamCourier, &to).Send(t.Context(), to, courier.Envelope{From: "a@example.com", To: "b@example.com", Message: []byte("x\r\n")})
		if outcome.Failure != nil || outcome.Reply.Code != 250 {
			t.Fatalf("%s: %+v", name, outcome)
		}
	}
	send("primary", safe.Port, "tls", true)
	send("not verified", safe.Port, "tls", false)
	send("clear", w.peer.Port, "none", true)
	if !slices.Equal(noted, []string{"primary"}) {
		t.Error(noted)
	}
}
