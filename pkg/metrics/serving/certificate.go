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
	// lifetime of a generated certificate.
	lifetime = 90 * 24 * time.Hour
	// renewBefore is the remaining lifetime at which a certificate is renewed.
	renewBefore = lifetime / 3
	// clockSkew is the tolerated difference between clocks of nodes.
	clockSkew = 5 * time.Minute
)

// pair is a serving certificate with its key and its certificate authorities, PEM encoded.
type pair struct {
	certificate, key, authorities []byte
}

// newPair generates a certificate authority and a certificate that it signs, and discards the key of
// the authority. The bundle of authorities also contains the trusted ones that have not expired, so
// that a replica that still serves the previous certificate stays trusted.
func newPair(names []string, trusted []byte, now time.Time) (pair, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("generating a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return pair{}, fmt.Errorf("generating a serial number: %w", err)
	}
	authority := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: fmt.Sprintf("%s CA %x", names[0], serial.Bytes()[:4])},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(lifetime),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return pair{}, fmt.Errorf("signing the certificate authority: %w", err)
	}
	if authority, err = x509.ParseCertificate(authorityDER); err != nil {
		return pair{}, fmt.Errorf("parsing the certificate authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("generating a key: %w", err)
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
		authorities: append(encode("CERTIFICATE", authorityDER), unexpired(trusted, now)...),
	}, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// unexpired returns the certificates of a bundle that have not expired.
func unexpired(bundle []byte, now time.Time) []byte {
	var kept []byte
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && now.Before(c.NotAfter) {
			kept = append(kept, encode("CERTIFICATE", block.Bytes)...)
		}
	}
	return kept
}

// check returns an error if a pair is not valid for some names until after the time at which it
// would be renewed.
func (p pair) check(names []string, now time.Time) error {
	both, err := tls.X509KeyPair(p.certificate, p.key)
	if err != nil {
		return fmt.Errorf("it is invalid: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(p.authorities) {
		return errors.New("it has no certificate authority")
	}
	for _, name := range names {
		// Valid now and at the time of the renewal.
		for _, at := range []time.Time{now, now.Add(renewBefore)} {
			if _, err := both.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: at}); err != nil {
				return fmt.Errorf("it is not valid for %s: %w", name, err)
			}
		}
	}
	return nil
}
