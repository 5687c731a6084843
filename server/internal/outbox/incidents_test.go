package outbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier"
	"postroom/server/internal/courier/peer"
)

// TestTheCertificateOfAConversationIsNoted, where it is verified, and where there was a handshake.
func TestTheCertificateOfAConversationIsNoted(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ends := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "smtp"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: ends, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	safe := peer.Start(t, func(p *peer.Peer) {
		p.Implicit, p.TLS = true, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}}
	})
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
			CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))}
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
