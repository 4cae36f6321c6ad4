package promsource

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestConnect checks a server with a token, a private certificate authority and a path, and that the token is sent to
// no other server.
func TestConnect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request to another server, with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "Bearer s3cret", r.Header.Get("Authorization"))
		assert.Equal(t, "/base/api/v1/query", r.URL.Path)
		assert.Equal(t, "20s", r.PostFormValue("timeout"))
		if r.PostFormValue("query") == "elsewhere" {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return
		}
		vector("pod=a,namespace=ns 1")(w, r)
	}))
	defer server.Close()
	dir := t.TempDir()
	token, ca := filepath.Join(dir, "token"), filepath.Join(dir, "ca.crt")
	require.NoError(t, os.WriteFile(token, []byte("s3cret\n"), 0o600))
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))

	prometheus, err := Connect(Connection{URL: server.URL + "/base/", BearerTokenFile: token, CAFile: ca})
	require.NoError(t, err)
	d := definition{Query: "up", Object: pods, NamespaceLabel: "namespace", NameLabel: "pod"}
	answer, err := ask(t.Context(), prometheus, &d, 20*time.Second)
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, answer.names("ns"))
	d.Query = "elsewhere"
	_, err = ask(t.Context(), prometheus, &d, 20*time.Second)
	require.ErrorContains(t, err, "307")

	stranger, err := Connect(Connection{URL: server.URL})
	require.NoError(t, err)
	_, err = ask(t.Context(), stranger, &d, 20*time.Second)
	require.ErrorContains(t, err, "certificate")
	require.NotContains(t, err.Error(), "s3cret")
	_, err = Connect(Connection{URL: server.URL, CAFile: filepath.Join(dir, "none")})
	require.ErrorContains(t, err, "setting up the connection to Prometheus")
}
