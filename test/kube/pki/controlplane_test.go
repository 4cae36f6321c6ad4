package pki

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEnsure(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "state", "pki")
	address := net.ParseIP("127.0.0.1")
	require.NoError(t, Ensure(dir, address))

	files := read(t, dir)
	authority := parse(t, files[CACertificate])
	server := parse(t, files[APIServerCertificate])
	assert.NoError(t, server.CheckSignatureFrom(authority))
	assert.NoError(t, server.VerifyHostname(address.String()))
	for _, client := range clients() {
		_, err := tls.X509KeyPair(files[client.CertificateFile()], files[client.KeyFile()])
		require.NoError(t, err)
		certificate := parse(t, files[client.CertificateFile()])
		assert.NoError(t, certificate.CheckSignatureFrom(authority))
		assert.Equal(t, string(client), certificate.Subject.CommonName)
		assert.Equal(t, []string{adminGroup}, certificate.Subject.Organization)
	}

	proxy := parse(t, files[FrontProxyCertificate])
	assert.NoError(t, proxy.CheckSignatureFrom(parse(t, files[FrontProxyCA])))
	assert.Error(t, proxy.CheckSignatureFrom(authority), "an ordinary client must not be accepted as the front proxy, and vice versa")

	for name := range files {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "only the owner can read %s", name)
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no other files remain")
}

func TestEnsureKeepsWhatExists(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	require.NoError(t, Ensure(dir))
	before := read(t, dir)
	require.NoError(t, Ensure(dir))
	assert.Equal(t, before, read(t, dir))
}

func TestEnsureReportsAnUnusableParent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	assert.Error(t, Ensure(filepath.Join(file, "pki")))
}

func TestClientFileNames(t *testing.T) {
	assert.Equal(t, "kube-scheduler.crt", Scheduler.CertificateFile())
	assert.Equal(t, "kubernetes-admin.key", Admin.KeyFile())
}

func read(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	files := map[string][]byte{}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		require.NoError(t, err)
		files[entry.Name()] = content
	}
	return files
}
