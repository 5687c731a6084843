package relay

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/smtp"
	"time"
)

// certificateLife is long: Mattermost does not look at it, and nobody would renew it.
const certificateLife = 30 * 365 * 24 * time.Hour

// NewCertificate makes a self-signed certificate (ECDSA, P-256) and its key, as PEM: what Certificate reads. Secret.
func NewCertificate(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Postroom relay"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	both := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	return append(both, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

// Certificate reads what NewCertificate made. Its errors quote nothing of it.
func Certificate(both []byte) (tls.Certificate, error) {
	certificate, err := tls.X509KeyPair(both, both)
	if err != nil {
		return tls.Certificate{}, errors.New("the relay's certificate can't be read")
	}
	return certificate, nil
}

// Check logs in to the relay as Mattermost would, and tells whether it is ours that answers at address: the certificate
// must be this one. ctx bounds it.
func Check(ctx context.Context, address string, certificate tls.Certificate, credentials Credentials) error {
	dialer := tls.Dialer{Config: &tls.Config{
		InsecureSkipVerify: true, // compared whole instead: it is self-signed
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) != 1 || !bytes.Equal(state.PeerCertificates[0].Raw, certificate.Certificate[0]) {
				return errors.New("another program listens on the relay's port")
			}
			return nil
		},
	}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the relay does not answer at %s: %w", address, err)
	}
	defer func() { _ = conn.Close() }()
	if until, bounded := ctx.Deadline(); bounded {
		_ = conn.SetDeadline(until)
	}
	client, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return fmt.Errorf("the relay does not greet: %w", err)
	}
	if err := client.Auth(smtp.PlainAuth("", credentials.Username, credentials.Password, "localhost")); err != nil {
		return fmt.Errorf("the relay refuses its own credentials: %w", err)
	}
	return client.Quit()
}
