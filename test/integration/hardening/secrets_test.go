package hardening_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// quotedKey finds the secret key in a CURVE certificate.
var quotedKey = regexp.MustCompile(`secret-key = "([^"]+)"`)

// Whatever the verbosity and the format, no key and no password is ever logged.
func TestNothingSecretIsLogged(t *testing.T) {
	freeLease(t)
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			f := newFixture(t)
			p := startProcess(t, "-v=10", "--logging-format="+format)
			given, err := fluxconfig.NewCertificate(rand.Reader, "given", time.Now())
			require.NoError(t, err)
			password := "pa55w0rd"
			made := f.create("made", 2, maxSize(4))
			f.create("given", 2, maxSize(4), func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Flux = &v1alpha2.FluxSpec{CurveCert: string(given.Text())}
				mc.Spec.Users = []v1alpha2.MiniClusterUser{{Name: "fluxuser", Password: password}}
			})
			// One that is refused, with a message that must not quote it either.
			f.create("refused", 2, maxSize(4), func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Flux = &v1alpha2.FluxSpec{CurveCert: "metadata\ncurve\n    secret-key = \"" + secretKey(t, string(given.Text())) + "\"\n"}
			})
			for _, name := range []string{"made", "given"} {
				f.settled(name, 2, v1alpha2.ReasonWithinBounds)
				f.setSize(name, 3)
				f.settled(name, 3, v1alpha2.ReasonWithinBounds)
				f.setSize(name, 9)
				f.settled(name, 4, v1alpha2.ReasonAboveMaximum)
			}
			f.wait(t, "a refusal", func() string {
				if mc := get[*v1alpha2.MiniCluster](f.world, "MiniCluster", "refused"); len(mc.Status.Conditions) > 0 {
					return ""
				}
				return "none"
			})
			certificate := f.certificate(made)
			f.delete("made")
			f.gone(made)
			require.Zero(t, p.terminate(t), p.logged())

			log := p.logged()
			assert.True(t, strings.Contains(log, "curlCommand") || strings.Contains(log, "curl -v"), "the log is that of the highest verbosity")
			for what, secret := range map[string]string{
				"the key that was made": secretKey(t, certificate), "the key that was given": secretKey(t, string(given.Text())),
				"the certificate": certificate, "the password": password,
			} {
				for form, text := range forms(secret) {
					assert.False(t, strings.Contains(log, text), "%s is in the log, %s", what, form)
				}
			}
			for _, c := range f.changesSince(0) {
				if c.kind == "ConfigMap" || c.kind == "Job" {
					assert.NotContains(t, asJSON(t, c.object), secretKey(t, certificate), "in a %s", c.kind)
				}
			}
			t.Logf("%d kB of log, nothing secret", len(log)>>10)
		})
	}
}

func secretKey(t *testing.T, certificate string) string {
	t.Helper()
	match := quotedKey.FindStringSubmatch(certificate)
	require.NotNil(t, match, "the certificate has a key")
	return match[1]
}

// forms are the ways in which a secret could appear in a log. Base64 depends on what
// stands before it, so each of the three alignments counts, without its ends.
func forms(secret string) map[string]string {
	out := map[string]string{
		"raw": secret, "hex": hex.EncodeToString([]byte(secret)), "hex in capitals": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"spaced hex":     strings.TrimSpace(spaced(secret)),
		"escaped":        strings.ReplaceAll(secret, `"`, `\"`),
		"escaped for <>": strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`).Replace(secret),
	}
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		out["base64 at "+string(rune('0'+shift))] = encoded[4 : len(encoded)-4]
	}
	return out
}

// spaced is a part of a secret as a dump of bytes shows it, which breaks lines.
func spaced(secret string) string {
	var b strings.Builder
	for i := range min(8, len(secret)) {
		b.WriteString(hex.EncodeToString([]byte{secret[i]}) + " ")
	}
	return b.String()
}

func asJSON(t *testing.T, o any) string {
	t.Helper()
	text, err := json.Marshal(o)
	require.NoError(t, err)
	return string(text)
}
