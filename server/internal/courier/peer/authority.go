package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// Authority signs certificates, as good or as bad as a test asks for.
type Authority struct {
	PEM string

	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	chain       [][]byte // up to it, without the root
}

// NewAuthority is a root of that name.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	return authority(t, name, nil, nil)
}

// Below is an authority that this one has signed, changed by change.
func (a *Authority) Below(t testing.TB, name string, change func(*x509.Certificate)) *Authority {
	t.Helper()
	return authority(t, name, a, change)
}

func authority(t testing.TB, name string, above *Authority, change func(*x509.Certificate)) *Authority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(template)
	}
	a := &Authority{}
	der, key := sign(t, template, above)
	var err error
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.key, a.PEM = key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if above != nil {
		a.chain = append([][]byte{der}, above.chain...)
	}
	return a
}

// Issue is a server's side of TLS with a certificate for peer.test and localhost's name, changed by change. That of no
// authority signs itself.
func (a *Authority) Issue(t testing.TB, change func(*x509.Certificate)) *tls.Config {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "peer.test"}, DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	der, key := sign(t, template, a)
	chain := [][]byte{der}
	if a != nil {
		chain = append(chain, a.chain...)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: key}}}
}

// sign makes a key and a certificate for it, which signs itself where nobody is above.
func sign(t testing.TB, template *x509.Certificate, above *Authority) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-48 * time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(48 * time.Hour)
	}
	parent, signer := template, key
	if above != nil {
		parent, signer = above.certificate, above.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}
