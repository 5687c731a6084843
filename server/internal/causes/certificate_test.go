package causes

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
	"sync"
	"testing"
	"time"
)

// authority signs the certificates of the servers that are played.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         string
}

var trusted = sync.OnceValue(func() *authority { return newAuthority("Postroom Test Root") })

func newAuthority(name string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return &authority{key, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// certificates are the server's side of TLS, by the names that fixtures use.
func certificates(t *testing.T, kind, server string) *tls.Config {
	t.Helper()
	if kind == "" || kind == "none" {
		return nil
	}
	from, until, name, by := time.Now().AddDate(0, -1, 0), time.Now().AddDate(1, 0, 0), server, trusted()
	config := &tls.Config{}
	switch kind {
	case "good":
	case "expired":
		from, until = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2025, 1, 31, 12, 0, 0, 0, time.UTC)
	case "ends_soon":
		until = time.Now().Add(5 * 24 * time.Hour)
	case "not_yet_valid":
		from = time.Now().AddDate(0, 6, 0)
	case "wrong_name":
		name = "mail.example.net"
	case "unknown_ca":
		by = newAuthority("Example Internal Root CA")
	case "self_signed", "proton_bridge":
		by = nil
	case "old":
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	case "tls12":
		config.MaxVersion = tls.VersionTLS12
	case "no_cipher":
		config.MaxVersion, config.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_RC4_128_SHA} //nolint:gosec // that is the point
	case "client_certificate":
		config.MaxVersion, config.ClientAuth = tls.VersionTLS12, tls.RequireAnyClientCert
	case "not_for_servers":
	default:
		t.Fatalf("no such TLS: %q", kind)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if kind == "proton_bridge" { // internal/certs/tls.go of ProtonMail/proton-bridge
		template.Subject = pkix.Name{
			Country: []string{"CH"}, Organization: []string{"Proton AG"}, OrganizationalUnit: []string{"Proton Mail"}, CommonName: name,
		}
	}
	if kind == "not_for_servers" {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	config.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	return config
}
