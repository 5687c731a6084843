package courier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"time"

	"postroom/server/internal/core"
)

// errPin is a server whose key is another than the one that was pinned.
var errPin = errors.New("the server's key is not the pinned one")

// secure shakes hands on the connection and notes what the server showed, also where the handshake fails.
//
// A pin is demanded besides the usual check; where the check is switched off it is the whole of it, and so makes a
// certificate of one's own safe to use.
func (t *conversation) secure(ctx context.Context, conn net.Conn, address string) (net.Conn, *core.Outcome) {
	roots, err := trusted(t.to.CA)
	if err != nil {
		return nil, t.fail(failed(StepTLS, FailureOther, err.Error()))
	}
	seen := &core.TLSFacts{Chain: []core.Certificate{}}
	heard := &eavesdropper{Conn: conn}
	config := &tls.Config{
		ServerName: t.to.Server, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection checks, and keeps what it saw
		VerifyConnection: func(state tls.ConnectionState) error {
			return verify(state.PeerCertificates, t.to, roots, seen)
		},
	}
	if t.to.MinTLS == "1.3" {
		config.MinVersion = tls.VersionTLS13
	}
	secure := tls.Client(heard, config)
	err = secure.Handshake()
	heard.deaf = true
	seen.Version = versionName(secure.ConnectionState().Version)
	if err != nil {
		seen.Alert = alertName(err)
		if seen.Version == "" {
			seen.Version = heard.chosenVersion()
		}
		var record tls.RecordHeaderError
		if errors.As(err, &record) && seen.Version == "" {
			seen.NotTLS = t.notes.secrets.hide(printable(heard.first))
		}
	}
	t.notes.facts.TLS = seen
	if err != nil {
		outcome := failed(StepTLS, kindOf(ctx, err, StepTLS), describe(ctx, err))
		t.notes.event(StepTLS, *outcome, address)
		return nil, outcome
	}
	t.notes.event(StepTLS, core.Outcome{}, "")
	return secure, nil
}

// trusted are the machine's own authorities and those besides; nil for the machine's alone.
func trusted(ca string) (*x509.CertPool, error) {
	if strings.TrimSpace(ca) == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(ca)) {
		return nil, errors.New("the CA bundle holds no certificate in PEM")
	}
	return pool, nil
}

// verify checks what a server showed as the connection demands, and notes it whatever is demanded.
func verify(chain []*x509.Certificate, to core.Connection, roots *x509.CertPool, seen *core.TLSFacts) error {
	if len(chain) == 0 {
		return &tls.CertificateVerificationError{Err: errors.New("the server showed no certificate")}
	}
	others := x509.NewCertPool()
	for i, certificate := range chain {
		seen.Chain = append(seen.Chain, described(certificate))
		if i > 0 {
			others.AddCert(certificate)
		}
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: to.Server, Roots: roots, Intermediates: others})
	seen.Verified, seen.Problem = err == nil, problem(err, chain[0])
	if !to.VerifyCertificate {
		err = nil
	}
	if err == nil && to.Pin != "" && subtle.ConstantTimeCompare([]byte(plainHex(to.Pin)), []byte(seen.Chain[0].SPKISHA256)) != 1 {
		err, seen.Problem = errPin, "pin"
	}
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}

// plainHex takes the colons that many tools print out of a pin.
func plainHex(pin string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimSpace(pin), ":", ""))
}

func described(certificate *x509.Certificate) core.Certificate {
	whole, key := sha256.Sum256(certificate.Raw), sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	names := slices.Concat([]string{}, certificate.DNSNames)
	for _, address := range certificate.IPAddresses {
		names = append(names, address.String())
	}
	return core.Certificate{
		Subject: certificate.Subject.String(), Issuer: certificate.Issuer.String(), Names: names,
		NotBefore: certificate.NotBefore.UnixMilli(), NotAfter: certificate.NotAfter.UnixMilli(),
		SHA256: hex.EncodeToString(whole[:]), SPKISHA256: hex.EncodeToString(key[:]),
	}
}

// problem is the contract's name for why a chain is not trusted.
func problem(err error, leaf *x509.Certificate) string {
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &name):
		return "name"
	case errors.As(err, &authority):
		if bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
			return "self_signed"
		}
		return "unknown_authority"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if invalid.Cert != nil && time.Now().Before(invalid.Cert.NotBefore) {
			return "not_yet_valid"
		}
		return "expired"
	case errors.As(err, &invalid):
		return "constraints"
	}
	return "other"
}

func versionName(version uint16) string {
	return map[uint16]string{tls.VersionTLS10: "1.0", tls.VersionTLS11: "1.1", tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}[version]
}

// eavesdropper keeps the first octets that a peer says in a handshake.
type eavesdropper struct {
	net.Conn
	first []byte
	deaf  bool
}

// Read is net.Conn's.
func (e *eavesdropper) Read(into []byte) (int, error) {
	n, err := e.Conn.Read(into)
	if room := 200 - len(e.first); !e.deaf && room > 0 {
		e.first = append(e.first, into[:min(n, room)]...)
	}
	return n, err
}

// chosenVersion is what a server chose where we did not agree: its ServerHello (RFC 5246, 7.4.1.3) in its first record.
func (e *eavesdropper) chosenVersion() string {
	if len(e.first) < 11 || e.first[0] != 22 || e.first[5] != 2 {
		return ""
	}
	return versionName(uint16(e.first[9])<<8 | uint16(e.first[10]))
}

// printable is the first line of what a peer said, less what can't be shown.
func printable(said []byte) string {
	first, _, _ := strings.Cut(string(said), "\n")
	return oneLine(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.TrimRight(first, "\r")))
}

// alertName is the name in RFC 8446 (6) of the alert that a peer sent, empty where it sent none. The code is in an
// unexported type of crypto/tls.
func alertName(err error) string {
	var operation *net.OpError
	if !errors.As(err, &operation) || operation.Op != "remote error" {
		return ""
	}
	code := reflect.ValueOf(operation.Err)
	if code.Kind() != reflect.Uint8 {
		return "unknown"
	}
	if name, known := alerts[code.Uint()]; known {
		return name
	}
	return fmt.Sprintf("alert_%d", code.Uint())
}

var alerts = map[uint64]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
	42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
	46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
	51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
	86: "inappropriate_fallback", 90: "user_canceled", 109: "missing_extension", 110: "unsupported_extension",
	112: "unrecognized_name", 113: "bad_certificate_status_response", 115: "unknown_psk_identity",
	116: "certificate_required", 120: "no_application_protocol",
}
