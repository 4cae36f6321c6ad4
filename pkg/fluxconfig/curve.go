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

// Certificate is the CURVE certificate that all brokers of an instance share: it
// encrypts their connections and is the proof that a broker belongs to them
// (flux-keygen(1), flux-config-bootstrap(5)). Its secret key shows in Text only:
// printed or logged in any other way, a Certificate is its name.
type Certificate struct {
	metadata []certificateEntry
	public   string
	// secret is behind a pointer, because fmt prints a pointer inside a struct as
	// an address: where a Certificate is an unexported field, fmt cannot call
	// Format and prints the fields.
	secret *string
}

type certificateEntry struct{ key, value string }

// NewCertificate makes a certificate from 32 bytes of random. The name, which
// Flux prints when it speaks of the certificate, is that of the MiniCluster.
func NewCertificate(random io.Reader, name string, now time.Time) (Certificate, error) {
	// The bytes are read here and not by ecdh.GenerateKey, which has a source of
	// its own: with a given source a test gets a given certificate.
	var seed [curveKeySize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return Certificate{}, fmt.Errorf("make CURVE certificate: read random bytes: %w", err)
	}
	key, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		return Certificate{}, errors.New("make CURVE certificate: the random bytes are no X25519 key")
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
			return Certificate{}, fmt.Errorf("make CURVE certificate: %s %q: %w", e.key, abbreviate(e.value), err)
		}
	}
	return c, nil
}

// check reports whether Flux would read the entry back.
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

// Text is the certificate as flux-keygen(1) writes it, secret key included. It
// belongs in a Secret and nowhere else; its file must not be readable by group
// or others.
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

// Name is the name in the certificate's metadata.
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

// PublicKey is the public key as Z85. It tells certificates apart without
// showing the secret.
func (c Certificate) PublicKey() string {
	return c.public
}

// Format prints the certificate's name, whatever the verb: %+v and %#v would
// show the secret key otherwise.
func (c Certificate) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "CURVE certificate %q", c.Name())
}

// String is what Format prints.
func (c Certificate) String() string {
	return fmt.Sprint(c)
}
