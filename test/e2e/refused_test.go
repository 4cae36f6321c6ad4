package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/user"
)

// certificatesOf returns the certificates in a MiniCluster's Secret, which only the controller reads.
func certificatesOf(t *testing.T, kube *node.Node, namespace, name string) map[string][]byte {
	t.Helper()
	mc := getMiniCluster(t.Context(), t, kube, namespace, name)
	secret, err := kube.Client().CoreV1().Secrets(namespace).Get(t.Context(), fmt.Sprintf("%s-curve-%.8s", name, mc.UID), metav1.GetOptions{})
	require.NoError(t, err)
	return secret.Data
}

// TestOnlyTheControllerDrains checks that a lead's agent rejects requests from a user's pod in the same namespace,
// with every credential that it could have, and with some that it could not.
func TestOnlyTheControllerDrains(t *testing.T) {
	kube, namespace := shared(t)
	apply(t, kube, namespace, interactive("guarded", 2)+"---"+interactive("neighbour", 1))
	pods := eventuallyPods(t, kube, namespace, user.Selector("guarded"), readyPatience, areReady(2))
	user := eventuallyPods(t, kube, namespace, user.Selector("neighbour"), readyPatience, areReady(1))[0]
	lead := pods[0]
	eventuallyNodes(t, kube, lead, "free", 2)

	assert.Empty(t, execute(t, kube, lead, "find", "/", "-xdev", "-name", control.KeyClientKey), "no pod has the controller's key")
	keep := func(whose, certName, keyName string, data map[string][]byte) {
		require.NotEmpty(t, data[certName])
		execute(t, kube, user, "sh", "-c", `printf %s "$1" >/tmp/$0.crt; printf %s "$2" >/tmp/$0.key`, whose, string(data[certName]), string(data[keyName]))
	}
	certificates := certificatesOf(t, kube, namespace, "guarded")
	keep("controller", control.KeyClientCert, control.KeyClientKey, certificates)
	keep("agent", control.KeyServerCert, control.KeyServerKey, certificates)
	keep("neighbour", control.KeyClientCert, control.KeyClientKey, certificatesOf(t, kube, namespace, "neighbour"))
	made, err := kube.Client().CoreV1().ServiceAccounts(systemNamespace).CreateToken(t.Context(), controllerName, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(t, err)

	door := fmt.Sprintf("%s:%d", lead.Status.PodIP, control.Port(plan.DefaultHTTPPort))
	health := fmt.Sprintf("http://%s:%d", lead.Status.PodIP, plan.DefaultHTTPPort)
	ask := func(url string, more ...string) (string, error) {
		args := append([]string{"--silent", "--show-error", "--insecure", "--write-out=%{http_code}"}, more...)
		return kube.Exec(t.Context(), namespace, user.Name, "", append(append([]string{"curl"}, args...), url)...)
	}
	with := func(whose string) []string {
		return []string{"--cert=/tmp/" + whose + ".crt", "--key=/tmp/" + whose + ".key"}
	}
	shrink := []string{"--request=POST", `--data={"size":1}`}
	// With TLS 1.3 a client may find the connection closed while it still writes, before it reads the reason.
	const refused = "tls: |certificate required|connection reset by peer|broken pipe|use of closed network connection|EOF"

	for name, credential := range map[string][]string{
		"nothing":                          nil,
		"the controller's token":           {"--header=Authorization: Bearer " + made.Status.Token},
		"the agent's own certificate":      with("agent"),
		"another MiniCluster's controller": with("neighbour"),
	} {
		_, err := ask("https://"+door+control.PathResize, append(credential, shrink...)...)
		require.Error(t, err, name)
		assert.Regexp(t, refused, err.Error(), name)
	}
	answer, err := ask("http://"+door+control.PathResize, shrink...)
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(answer, "400"), "without TLS: %s", answer)
	_, err = ask(fmt.Sprintf("https://%s:%d%s", pods[1].Status.PodIP, control.Port(plan.DefaultHTTPPort), control.PathResize), append(with("controller"), shrink...)...)
	require.ErrorContains(t, err, "connection refused", "a follower has no such endpoint")
	// Kubernetes' own access to pods does not have the certificate either.
	through := kube.Client().CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").SubResource("proxy").
		Name(fmt.Sprintf("https:%s:%d", lead.Name, control.Port(plan.DefaultHTTPPort))).Suffix(control.PathResize).Body([]byte(`{"size":1}`))
	said, err := through.DoRaw(t.Context())
	require.Error(t, err)
	assert.Regexp(t, refused, string(said))

	for path, code := range map[string]string{"/healthz": "200", "/readyz": "200", "/cause": "200", "/metrics": "200", control.PathResize: "404"} {
		var more []string
		if code == "404" {
			more = append(with("controller"), shrink...)
		}
		answer, err := ask(health+path, more...)
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(answer, code), "%s: %s", path, answer)
	}
	assert.Equal(t, 2, nodesIn(t, kube, lead, "free"), "nothing was drained")

	// The same request succeeds with the right credentials.
	answer, err = ask("https://"+door+control.PathResize, append(with("controller"), shrink...)...)
	require.NoError(t, err)
	assert.Contains(t, answer, `"leaving":"1"`)
	assert.Contains(t, flux(t, kube, lead, "resource", "drain"), control.Reason)
}
