package fluxconfig

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"strings"
)

const (
	nameEntry      = "name"
	publicKeyEntry = "public-key"
	secretKeyEntry = "secret-key"

	// maxCertificateLine is the number of bytes that Flux reads as one line. It would read the rest of a longer line as
	// another line.
	maxCertificateLine = 255
)

// ParseCertificate parses a certificate of a user (spec.flux.curveCert) as strictly as Flux does: a broker that
// cannot read its certificate exits with "Invalid argument" and no details. The errors here describe the problem with
// the number of the line, and never contain a part of the text.
//
// A certificate without a name gets defaultName. Flux reads a certificate without a name, and followers run with it,
// but the lead broker exits.
func ParseCertificate(text []byte, defaultName string) (Certificate, error) {
	p := certificateParser{}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if err := p.line(string(line)); err != nil {
			return Certificate{}, fmt.Errorf("CURVE certificate, line %d: %w", number, err)
		}
	}
	if err := p.checkKeys(); err != nil {
		return Certificate{}, fmt.Errorf("CURVE certificate: %w", err)
	}
	if !p.cert.named() {
		name := certificateEntry{nameEntry, defaultName}
		if err := name.check(); err != nil {
			return Certificate{}, fmt.Errorf("CURVE certificate: default name: %w", err)
		}
		p.cert.metadata = append([]certificateEntry{name}, p.cert.metadata...)
	}
	return p.cert, nil
}

type certificateParser struct {
	cert    Certificate
	section string
}

func (p *certificateParser) line(line string) error {
	if len(strings.TrimSuffix(line, "\n")) > maxCertificateLine {
		return fmt.Errorf("longer than %d bytes", maxCertificateLine)
	}
	if strings.ContainsRune(line, 0) {
		return errors.New("a zero byte")
	}
	indented := line[0] == ' ' || line[0] == '\t'
	text := trimC(line)
	switch {
	case text == "" || text[0] == '#':
		return nil
	case !indented && (text == "metadata" || text == "curve"):
		p.section = text
		return nil
	case !indented:
		return errors.New("not indented, and neither metadata nor curve")
	case p.section == "":
		return errors.New("an entry before the first section (metadata or curve)")
	}
	entry, err := parseCertificateEntry(text)
	if err != nil {
		return err
	}
	if p.section == "curve" {
		return p.key(entry)
	}
	return p.meta(entry)
}

// trimC trims white space as isspace(3) in the C locale defines it: a line may end in CR LF.
func trimC(s string) string {
	return strings.Trim(s, " \t\n\v\f\r")
}

func parseCertificateEntry(text string) (certificateEntry, error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return certificateEntry{}, errors.New(`not of the form key = "value"`)
	}
	key, value = trimC(key), trimC(value)
	if key == "" || strings.ContainsFunc(key, func(c rune) bool { return !isAlnum(c) && c != '-' && c != '.' }) {
		return certificateEntry{}, errors.New("a key may have letters, digits, hyphens and dots only (no underscore)")
	}
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return certificateEntry{}, errors.New("the value is not in double quotes")
	}
	value = value[1 : len(value)-1]
	if !validCertificateValue(value) {
		return certificateEntry{}, errors.New("a value may have letters, digits, blanks and .-:+=^!/*?&<>()[]{}@%$# only (no underscore, no comma)")
	}
	return certificateEntry{key, value}, nil
}

func validCertificateValue(value string) bool {
	return !strings.ContainsFunc(value, func(c rune) bool {
		return c != ' ' && c != '\t' && !strings.ContainsRune(z85Alphabet, c)
	})
}

func (p *certificateParser) meta(e certificateEntry) error {
	for _, have := range p.cert.metadata {
		if have.key == e.key {
			return errors.New("a metadata key is repeated")
		}
	}
	// Text indents by four blanks, which Flux 0.49 requires. The line must not become too long.
	if err := e.check(); err != nil {
		return err
	}
	p.cert.metadata = append(p.cert.metadata, e)
	return nil
}

func (p *certificateParser) key(e certificateEntry) error {
	if e.key != publicKeyEntry && e.key != secretKeyEntry {
		return errors.New("section curve may have public-key and secret-key only")
	}
	if len(e.value) != curveTextSize {
		return fmt.Errorf("a key must have %d characters, this one has %d", curveTextSize, len(e.value))
	}
	if _, err := z85Decode(e.value); err != nil {
		return fmt.Errorf("a key must be Z85: %w", err)
	}
	if e.key == publicKeyEntry {
		p.cert.public = e.value
	} else {
		p.cert.secret = &e.value
	}
	return nil
}

func (p *certificateParser) checkKeys() error {
	switch {
	case p.cert.public == "":
		return errors.New("section curve has no public-key")
	case p.cert.secret == nil:
		return errors.New("section curve has no secret-key")
	}
	secret, err := z85Decode(*p.cert.secret)
	if err != nil {
		return fmt.Errorf("secret-key: %w", err)
	}
	key, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		return errors.New("secret-key is not an X25519 key")
	}
	if z85Encode(key.PublicKey().Bytes()) != p.cert.public {
		return errors.New("public-key does not belong to secret-key")
	}
	return nil
}
