package causes

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"testing"
	"time"

	"postroom/server/internal/courier/peer"
)

// certificates are the server's side of TLS, by the names that fixtures use; trusted signs where nobody else is to.
func certificates(t *testing.T, trusted *peer.Authority, kind, server string) *tls.Config {
	t.Helper()
	if kind == "" || kind == "none" {
		return nil
	}
	from, until, name, by := time.Now().AddDate(0, -1, 0), time.Now().AddDate(1, 0, 0), server, trusted
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
		by = peer.NewAuthority(t, "Example Internal Root CA")
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
	signed := by.Issue(t, func(template *x509.Certificate) {
		template.Subject, template.NotBefore, template.NotAfter = pkix.Name{CommonName: name}, from, until
		if kind == "proton_bridge" { // internal/certs/tls.go of ProtonMail/proton-bridge
			template.Subject = pkix.Name{
				Country: []string{"CH"}, Organization: []string{"Proton AG"}, OrganizationalUnit: []string{"Proton Mail"}, CommonName: name,
			}
		}
		if kind == "not_for_servers" {
			template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
		}
		if ip := net.ParseIP(name); ip != nil {
			template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
		} else {
			template.DNSNames = []string{name}
		}
	})
	config.Certificates = signed.Certificates
	return config
}
