package promsource

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/process"
	"minicluster.internal/operator/test/framework/promserver"
)

func writeFile(t *testing.T, path string, content []byte) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// TestHeaders checks that headers and basic authentication come from files, and that an invalid or missing file is an
// error.
func TestHeaders(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		vector(" 1")(w, r)
	}))
	defer server.Close()
	dir := t.TempDir()
	c := Connection{
		URL:          server.URL,
		HeadersFile:  writeFile(t, filepath.Join(dir, "headers"), []byte("# the tenant\nX-Scope-OrgID: team a\n\nx-other:1\n")),
		UsernameFile: writeFile(t, filepath.Join(dir, "username"), []byte("metrics\n")),
		PasswordFile: writeFile(t, filepath.Join(dir, "password"), []byte("s3:cret \n")),
	}
	d := definition{Query: "up", Object: external}
	prometheus, err := Connect(c)
	require.NoError(t, err)
	_, err = ask(t.Context(), prometheus, &d, time.Minute)
	require.NoError(t, err)
	assert.Equal(t, "team a", got.Get("X-Scope-OrgID"))
	assert.Equal(t, "1", got.Get("X-Other"))
	username, password, ok := (&http.Request{Header: got}).BasicAuth()
	assert.True(t, ok)
	assert.Equal(t, "metrics s3:cret ", username+" "+password)

	writeFile(t, c.HeadersFile, []byte("no header"))
	_, err = ask(t.Context(), prometheus, &d, time.Minute)
	require.NoError(t, err, "the content is used for a minute")
	prometheus, err = Connect(c)
	require.NoError(t, err)
	_, err = ask(t.Context(), prometheus, &d, time.Minute)
	require.ErrorContains(t, err, "parsing the headers in "+c.HeadersFile)
	c.HeadersFile = filepath.Join(dir, "missing")
	prometheus, err = Connect(c)
	require.NoError(t, err)
	_, err = ask(t.Context(), prometheus, &d, time.Minute)
	require.ErrorContains(t, err, "reading the credentials for Prometheus")
}

// authority signs certificates for a test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{certificate, key}
}

// sign writes NAME.crt and NAME.key.
func (a *authority) sign(t *testing.T, dir, name string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a.certificate, private.Public(), a.key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certificate = writeFile(t, filepath.Join(dir, name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return certificate, writeFile(t, filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// TestRealPrometheus queries a Prometheus that requires TLS, a client certificate and a password.
func TestRealPrometheus(t *testing.T) {
	path := promserver.Need(t)
	dir := t.TempDir()
	signer := newAuthority(t)
	ca := writeFile(t, filepath.Join(dir, "ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signer.certificate.Raw}))
	serverCertificate, serverKey := signer.sign(t, dir, "server")
	clientCertificate, clientKey := signer.sign(t, dir, "client")
	// The hash is that of "s3cret".
	web := writeFile(t, filepath.Join(dir, "web.yml"), fmt.Appendf(nil, `
tls_server_config: {cert_file: %q, key_file: %q, client_auth_type: RequireAndVerifyClientCert, client_ca_file: %q}
basic_auth_users: {metrics: "$2y$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG"}
`, serverCertificate, serverKey, ca))
	log := filepath.Join(dir, "log")
	server, err := process.Start(process.Command{
		Name: "prometheus", Path: path, Log: log, Args: []string{
			"--config.file=" + writeFile(t, filepath.Join(dir, "prometheus.yml"), []byte("global: {scrape_interval: 1m}\n")),
			"--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0", "--web.config.file=" + web,
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	var address string
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(log)
		if match := regexp.MustCompile(`Listening on.* address=(127\.0\.0\.1:\d+)\s`).FindSubmatch(text); match != nil {
			address = string(match[1])
		}
		return address != ""
	}, patience, 10*time.Millisecond)

	good := Connection{
		URL: "https://" + address, CAFile: ca, CertFile: clientCertificate, KeyFile: clientKey,
		UsernameFile: writeFile(t, filepath.Join(dir, "username"), []byte("metrics\n")),
		PasswordFile: writeFile(t, filepath.Join(dir, "password"), []byte("s3cret\n")),
	}
	query := func(c Connection) error {
		prometheus, err := Connect(c)
		if err != nil {
			return err
		}
		_, err = ask(t.Context(), prometheus, &definition{Query: "vector(3)", Object: external}, patience)
		return err
	}
	require.Eventually(t, func() bool { return query(good) == nil }, patience, 50*time.Millisecond, "it starts")
	anonymous := good
	anonymous.CertFile, anonymous.KeyFile = "", ""
	// The error of the client depends on the progress of the handshake: the certificate, or the connection.
	require.ErrorContains(t, query(anonymous), "failed to query Prometheus")
	wrong := good
	wrong.PasswordFile = writeFile(t, filepath.Join(dir, "wrong"), []byte("secret"))
	err = query(wrong)
	require.ErrorContains(t, err, "401")
	assert.NotContains(t, err.Error(), "secret")
}
