package fluxconfig

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// curveKeySize is the length of a CURVE key (ZeroMQ RFC 26); curveTextSize is
// its length as Z85.
const (
	curveKeySize  = 32
	curveTextSize = 40
)

// Certificate is the CURVE certificate that all brokers of an instance share: it encrypts their connections and
// proves that a broker belongs to the instance (flux-keygen(1), flux-config-bootstrap(5)). Only Text contains its
// secret key; printing or logging a Certificate in any other way prints its name.
type Certificate struct {
	metadata []certificateEntry
	public   string
	// secret is a pointer because fmt prints a pointer inside a struct as an address: if a Certificate is an unexported
	// field, fmt cannot call Format and prints the fields.
	secret *string
}

type certificateEntry struct{ key, value string }

// NewCertificate creates a certificate from 32 bytes of random. The name, which Flux prints in messages about the
// certificate, is that of the MiniCluster.
func NewCertificate(random io.Reader, name string, now time.Time) (Certificate, error) {
	// The bytes are not read by ecdh.GenerateKey, which has its own source: tests need the same certificate for the same
	// random.
	var seed [curveKeySize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return Certificate{}, fmt.Errorf("create CURVE certificate: read random bytes: %w", err)
	}
	key, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		return Certificate{}, errors.New("create CURVE certificate: the random bytes are not an X25519 key")
	}
	secret := z85Encode(key.Bytes())
	c := Certificate{
		metadata: []certificateEntry{
			{nameEntry, name},
			{"keygen.time", now.UTC().Format("2006-01-02T15:04:05")},
		},
		public: z85Encode(key.PublicKey().Bytes()),
		secret: &secret,
	}
	for _, e := range c.metadata {
		if err := e.check(); err != nil {
			return Certificate{}, fmt.Errorf("create CURVE certificate: %s %q: %w", e.key, abbreviate(e.value), err)
		}
	}
	return c, nil
}

// check returns an error if Flux could not read the entry.
func (e certificateEntry) check() error {
	switch {
	case !validCertificateValue(e.value):
		return errors.New("only letters, digits, blanks and .-:+=^!/*?&<>()[]{}@%$# are allowed")
	case len(e.line())-len("\n") > maxCertificateLine:
		return fmt.Errorf("too long for a line of %d bytes", maxCertificateLine)
	}
	return nil
}

func (e certificateEntry) line() string {
	return "    " + e.key + ` = "` + e.value + "\"\n"
}

// Text returns the certificate as flux-keygen(1) writes it, including the secret key. Store it in a Secret only; its
// file must not be readable by group or others.
func (c Certificate) Text() []byte {
	var b strings.Builder
	b.WriteString("#  ZeroMQ CURVE **Secret** Certificate\n#  DO NOT DISTRIBUTE\n\nmetadata\n")
	for _, e := range c.metadata {
		b.WriteString(e.line())
	}
	b.WriteString("curve\n")
	b.WriteString(certificateEntry{publicKeyEntry, c.public}.line())
	if c.secret != nil {
		b.WriteString(certificateEntry{secretKeyEntry, *c.secret}.line())
	}
	return []byte(b.String())
}

// Name returns the name in the certificate's metadata.
func (c Certificate) Name() string {
	for _, e := range c.metadata {
		if e.key == nameEntry {
			return e.value
		}
	}
	return ""
}

func (c Certificate) named() bool {
	return slices.ContainsFunc(c.metadata, func(e certificateEntry) bool { return e.key == nameEntry })
}

// PublicKey returns the public key as Z85. It identifies a certificate without revealing the secret.
func (c Certificate) PublicKey() string {
	return c.public
}

// Format prints the certificate's name for every verb: otherwise %+v and %#v would print the secret key.
func (c Certificate) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "CURVE certificate %q", c.Name())
}

// String returns the text that Format prints.
func (c Certificate) String() string {
	return fmt.Sprint(c)
}
