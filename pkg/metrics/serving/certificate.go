package serving

import (
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
	"time"
)

const (
	// Lifetime is how long a certificate that was made here is good.
	Lifetime = 90 * 24 * time.Hour
	// renewBefore its end a certificate is replaced.
	renewBefore = Lifetime / 3
	// clockSkew is how far clocks of nodes may be apart.
	clockSkew = 5 * time.Minute
)

// pair is a serving certificate with its key and the authorities to trust, PEM encoded.
type pair struct {
	certificate, key, authorities []byte
}

// newPair makes an authority, which signs one certificate and is forgotten, and that
// certificate. Authorities that are still good are trusted along with the new one,
// so that a replica which has not changed yet is trusted, too.
func newPair(names []string, trusted []byte, now time.Time) (pair, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return pair{}, fmt.Errorf("making a serial number: %w", err)
	}
	authority := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: fmt.Sprintf("%s CA %x", names[0], serial.Bytes()[:4])},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(Lifetime),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return pair{}, fmt.Errorf("signing the authority: %w", err)
	}
	if authority, err = x509.ParseCertificate(authorityDER); err != nil {
		return pair{}, fmt.Errorf("reading the authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("making a key: %w", err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: new(big.Int).Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: names,
	}, authority, key.Public(), authorityKey)
	if err != nil {
		return pair{}, fmt.Errorf("signing the certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, fmt.Errorf("encoding the key: %w", err)
	}
	return pair{
		certificate: encode("CERTIFICATE", leafDER),
		key:         encode("PRIVATE KEY", keyDER),
		authorities: append(encode("CERTIFICATE", authorityDER), stillGood(trusted, now)...),
	}, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// stillGood keeps the certificates of a bundle that have not expired.
func stillGood(bundle []byte, now time.Time) []byte {
	var kept []byte
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && now.Before(c.NotAfter) {
			kept = append(kept, encode("CERTIFICATE", block.Bytes)...)
		}
	}
	return kept
}

// check says what is wrong with a pair: why it can't serve these names, or not for
// long.
func (p pair) check(names []string, now time.Time) error {
	both, err := tls.X509KeyPair(p.certificate, p.key)
	if err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(p.authorities) {
		return errors.New("it has no authority")
	}
	for _, name := range names {
		// Good now, and good when it would be renewed.
		for _, at := range []time.Time{now, now.Add(renewBefore)} {
			if _, err := both.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: at}); err != nil {
				return fmt.Errorf("it is not good for %s: %w", name, err)
			}
		}
	}
	return nil
}
