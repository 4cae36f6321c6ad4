package fluxconfig

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/golden"
)

// The client key pair of the example in the manual of ZeroMQ, zmq_curve(7). It is public, and therefore not a secret.
const (
	examplePublic = `Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID`
	exampleSecret = `D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs`
	// The public key of the server pair on the same page.
	otherPublic = `rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7`
)

var testTime = time.Date(2026, 11, 22, 4, 16, 49, 0, time.FixedZone("", 3600))

func TestNewCertificate(t *testing.T) {
	seed, err := z85Decode(exampleSecret)
	require.NoError(t, err)
	c, err := NewCertificate(bytes.NewReader(seed), "flux-sample", testTime)
	require.NoError(t, err)
	assert.Equal(t, examplePublic, c.PublicKey())
	assert.Equal(t, "flux-sample", c.Name())
	golden.Check(t, "curve.cert", c.Text())

	parsed, err := ParseCertificate(c.Text(), "default")
	require.NoError(t, err)
	assert.Equal(t, c.Text(), parsed.Text())
}

func TestNewCertificatesDiffer(t *testing.T) {
	a, err := NewCertificate(rand.Reader, "a", testTime)
	require.NoError(t, err)
	b, err := NewCertificate(rand.Reader, "a", testTime)
	require.NoError(t, err)
	assert.NotEqual(t, a.PublicKey(), b.PublicKey())
	for _, c := range []Certificate{a, b} {
		_, err := ParseCertificate(c.Text(), "default")
		require.NoError(t, err)
	}
}

func TestNewCertificateErrors(t *testing.T) {
	_, err := NewCertificate(bytes.NewReader(make([]byte, 31)), "a", testTime)
	require.ErrorContains(t, err, "read random bytes: unexpected EOF")
	boom := errors.New("boom")
	_, err = NewCertificate(iotest.ErrReader(boom), "a", testTime)
	require.ErrorIs(t, err, boom)
	_, err = NewCertificate(rand.Reader, "a_b", testTime)
	require.ErrorContains(t, err, `name "a_b": only letters`)
	_, err = NewCertificate(rand.Reader, "a\nb", testTime)
	require.ErrorContains(t, err, "only letters")
	_, err = NewCertificate(rand.Reader, strings.Repeat("a", 250), testTime)
	require.ErrorContains(t, err, "too long for a line of 255 bytes")
}

func TestParseCertificate(t *testing.T) {
	keys := "  public-key = \"" + examplePublic + "\"\n  secret-key = \"" + exampleSecret + "\"\n"
	for name, tc := range map[string]struct{ text, name string }{
		"as flux keygen writes it": {
			"#  ZeroMQ CURVE **Secret** Certificate\n#  DO NOT DISTRIBUTE\n\nmetadata\n    name = \"vm\"\n" +
				"    keygen.flux-core-version = \"0.88.0\"\n    keygen.userid = \"0\"\ncurve\n" + keys,
			"vm",
		},
		"no metadata":                   {"curve\n" + keys, "default"},
		"no newline at the end":         {"curve\n" + strings.TrimSuffix(keys, "\n"), "default"},
		"CR LF":                         {strings.ReplaceAll("metadata\n\tname=\"x\"\ncurve\n"+keys, "\n", "\r\n"), "x"},
		"tabs, odd blanks":              {"metadata \n\t name  =\t\"a b\" \n  \ncurve\t\n" + keys, "a b"},
		"the last key takes precedence": {"curve\n public-key=\"" + otherPublic + "\"\n" + keys, "default"},
		"sections in any order":         {"curve\n" + keys + "metadata\n name=\"n\"\n", "n"},
		"comment, indented":             {"curve\n   # x\n" + keys, "default"},
		"empty value":                   {"metadata\n name=\"\"\ncurve\n" + keys, ""},
		"equals sign in a value":        {"metadata\n name=\"a=b\"\ncurve\n" + keys, "a=b"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := ParseCertificate([]byte(tc.text), "default")
			require.NoError(t, err)
			assert.Equal(t, tc.name, c.Name())
			assert.Equal(t, examplePublic, c.PublicKey())
			again, err := ParseCertificate(c.Text(), "default")
			require.NoError(t, err)
			assert.Equal(t, c.Text(), again.Text())
		})
	}
}

func TestParseCertificateErrors(t *testing.T) {
	public := " public-key = \"" + examplePublic + "\"\n"
	secret := " secret-key = \"" + exampleSecret + "\"\n"
	keys := "curve\n" + public + secret
	for name, tc := range map[string]struct{ text, want string }{
		"empty":                  {"", "section curve has no public-key"},
		"other text":             {"-----BEGIN CERTIFICATE-----\n", "line 1: not indented, and neither metadata nor curve"},
		"no indent":              {"curve\n" + public[1:] + secret[1:], "line 2: not indented"},
		"indented section":       {"metadata\n  curve\n" + public, `line 2: not of the form key = "value"`},
		"entry before a section": {public, "line 1: an entry before the first section"},
		"underscore in value":    {"metadata\n name=\"a_b\"\n" + keys, "line 2: a value may have letters"},
		"comma in value":         {"metadata\n name=\"a,b\"\n" + keys, "line 2: a value may have letters"},
		"not ASCII":              {"metadata\n name=\"ä\"\n" + keys, "line 2: a value may have letters"},
		"quote in value":         {"metadata\n name=\"a\"b\"\n" + keys, "line 2: a value may have letters"},
		"underscore in key":      {"metadata\n keygen_time=\"a\"\n" + keys, "line 2: a key may have letters"},
		"no key":                 {"metadata\n =\"a\"\n" + keys, "line 2: a key may have letters"},
		"unquoted":               {"metadata\n name=a\n" + keys, "line 2: the value is not in double quotes"},
		"half quoted":            {"metadata\n name=\"\n" + keys, "line 2: the value is not in double quotes"},
		"metadata twice":         {"metadata\n name=\"a\"\n name=\"b\"\n" + keys, "line 3: a metadata key is repeated"},
		"public only":            {"curve\n" + public, "section curve has no secret-key"},
		"secret only":            {"curve\n" + secret, "section curve has no public-key"},
		"not a pair": {"curve\n" + secret + " public-key = \"" + otherPublic + "\"\n",
			"public-key does not belong to secret-key"},
		"another key in curve":       {"curve\n private-key = \"x\"\n", "line 2: section curve may have public-key and secret-key only"},
		"short":                      {"curve\n public-key = \"" + examplePublic[1:] + "\"\n", "line 2: a key must have 40 characters, this one has 39"},
		"not Z85":                    {"curve\n secret-key = \"" + exampleSecret[1:] + " \"\n", "line 2: a key must be Z85: a character that is not Z85"},
		"beyond Z85":                 {"curve\n secret-key = \"" + exampleSecret[5:] + "#####\"\n", "line 2: a key must be Z85: a group of characters beyond"},
		"long line":                  {"#" + strings.Repeat("x", 255) + "\n" + keys, "line 1: longer than 255 bytes"},
		"too long after indentation": {"metadata\n name=\"" + strings.Repeat("x", 245) + "\"\n" + keys, "line 2: too long for a line of 255 bytes"},
		"zero byte":                  {"curve\n" + public + "\x00" + secret, "line 3: a zero byte"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseCertificate([]byte(tc.text), "default")
			require.ErrorContains(t, err, "CURVE certificate")
			require.ErrorContains(t, err, tc.want)
			assertNoKey(t, err.Error())
		})
	}
}

func TestParseCertificateDefaultName(t *testing.T) {
	keys := "curve\n public-key=\"" + examplePublic + "\"\n secret-key=\"" + exampleSecret + "\"\n"
	c, err := ParseCertificate([]byte("metadata\n a=\"b\"\n"+keys), "flux-sample")
	require.NoError(t, err)
	assert.Contains(t, string(c.Text()), "metadata\n    name = \"flux-sample\"\n    a = \"b\"\ncurve\n")
	_, err = ParseCertificate([]byte(keys), "a_b")
	require.ErrorContains(t, err, "default name: only letters")
}

func TestCertificateDoesNotPrintItsSecret(t *testing.T) {
	c, err := ParseCertificate([]byte("metadata\n name=\"n\"\ncurve\n public-key=\""+examplePublic+"\"\n secret-key=\""+exampleSecret+"\"\n"), "default")
	require.NoError(t, err)
	type holder struct {
		C *Certificate
		D Certificate
		e Certificate
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		assert.NotContains(t, fmt.Sprintf(format, c), exampleSecret, format)
		assert.NotContains(t, fmt.Sprintf(format, &c), exampleSecret, format)
		assert.NotContains(t, fmt.Sprintf(format, holder{&c, c, c}), exampleSecret, format)
	}
	assert.Equal(t, `CURVE certificate "n"`, c.String())
	asJSON, err := json.Marshal(map[string]any{"c": c})
	require.NoError(t, err)
	assert.JSONEq(t, `{"c":{}}`, string(asJSON))
	assert.Contains(t, string(c.Text()), exampleSecret)
}

// assertNoKey checks that a message, which may be logged, contains no part of a key.
func assertNoKey(t *testing.T, message string) {
	t.Helper()
	for _, key := range []string{examplePublic, exampleSecret, otherPublic} {
		for i := 0; i+6 <= len(key); i++ {
			assert.NotContains(t, message, key[i:i+6])
		}
	}
}

func TestZ85(t *testing.T) {
	// The example of ZeroMQ RFC 32.
	assert.Equal(t, "HelloWorld", z85Encode([]byte{0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B}))
	data, err := z85Decode("HelloWorld")
	require.NoError(t, err)
	assert.Equal(t, []byte{0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B}, data)
	for _, bad := range []string{"Hell", "Hell ", "Hell_", "#####", "%nSc1"} {
		_, err := z85Decode(bad)
		require.Error(t, err, bad)
	}
	data, err = z85Decode("%nSc0")
	require.NoError(t, err)
	assert.Equal(t, []byte{0xff, 0xff, 0xff, 0xff}, data)
}

// FuzzCurveParse checks that an accepted certificate is written as one that is accepted with the same keys, and that
// errors contain no part of the input.
func FuzzCurveParse(f *testing.F) {
	f.Add([]byte("metadata\n    name = \"vm\"\ncurve\n    public-key = \"" + examplePublic + "\"\n    secret-key = \"" + exampleSecret + "\"\n"))
	f.Add([]byte("curve\r\n\tsecret-key=\"" + exampleSecret + "\"\r\n\tpublic-key=\"" + examplePublic + "\""))
	f.Add([]byte("# x\n\nmetadata\n a.b-c = \"\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseCertificate(text, "default")
		if err != nil {
			assertNoKey(t, err.Error())
			assert.Less(t, len(err.Error()), 200)
			return
		}
		again, err := ParseCertificate(c.Text(), "default")
		require.NoError(t, err)
		require.Equal(t, c.Text(), again.Text())
		require.Equal(t, c.PublicKey(), again.PublicKey())
		for line := range bytes.Lines(c.Text()) {
			require.LessOrEqual(t, len(line), maxCertificateLine+1)
		}
	})
}
