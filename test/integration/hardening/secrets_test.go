package hardening_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
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

// No key and no password is ever logged, at any verbosity and in any format.
func testNothingSecretIsLogged(t *testing.T) {
	freeLease(t)
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			f := newFixtureOn(t, processes.Cluster(t))
			p := startProcess(t, mostVerbose, "--logging-format="+format)
			given, err := fluxconfig.NewCertificate(rand.Reader, "given", time.Now())
			require.NoError(t, err)
			password := "pa55w0rd"
			made := f.create("made", 2, maxSize(4))
			f.create("given", 2, maxSize(4), func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Flux = &v1alpha2.FluxSpec{CurveCert: string(given.Text())}
				mc.Spec.Users = []v1alpha2.MiniClusterUser{{Name: "fluxuser", Password: password}}
			})
			// A rejected one, with a message that must not contain it either.
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
				"the password": password,
			} {
				for form, texts := range traces(secret) {
					leaked := slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(log, text) })
					assert.False(t, leaked, "%s is in the log, %s", what, form)
				}
			}
			for _, c := range f.history() {
				if c.kind == "ConfigMap" || c.kind == "Job" {
					assert.NotContains(t, asJSON(t, c.object), secretKey(t, certificate), "in a %s", c.kind)
				}
			}
			t.Logf("searched %d kB of log", len(log)>>10)
		})
	}
}

func secretKey(t *testing.T, certificate string) string {
	t.Helper()
	match := quotedKey.FindStringSubmatch(certificate)
	require.NotNil(t, match, "the certificate has a key")
	return match[1]
}

// traces returns texts that a log with a secret, or the greater part of it, would contain: raw, as base64 or as
// hexadecimal digits, also in a dump of bytes, which breaks lines. Each text is long enough to exclude coincidences.
func traces(secret string) map[string][]string {
	const piece = 8
	out := map[string][]string{}
	windows := func(kind, text string, size, step int) {
		for i := 0; i+size <= len(text); i += step {
			out[kind] = append(out[kind], text[i:i+size])
		}
	}
	windows("raw", secret, piece, 1)
	windows("hex", hex.EncodeToString([]byte(secret)), 2*piece, 2)
	windows("a dump", fmt.Sprintf("% x", secret), 3*piece-1, 3)
	// Base64 depends on the number of bytes before it; its ends depend on its neighbors.
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		if len(text) > 8+12 {
			windows("base64", text[4:len(text)-4], 12, 4)
		}
	}
	return out
}

func asJSON(t *testing.T, o any) string {
	t.Helper()
	text, err := json.Marshal(o)
	require.NoError(t, err)
	return string(text)
}
