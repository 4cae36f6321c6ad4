package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestIssue(t *testing.T) {
	authority, err := NewAuthority("an authority")
	require.NoError(t, err)
	other, err := NewAuthority("another authority")
	require.NoError(t, err)

	tests := []struct {
		name    string
		subject Subject
		usage   x509.ExtKeyUsage
	}{
		{
			name:    "client",
			subject: Subject{Name: "jane", Groups: []string{"researchers", "users"}},
			usage:   x509.ExtKeyUsageClientAuth,
		},
		{
			name:    "server",
			subject: Subject{Name: "api", DNSNames: []string{"localhost"}, Addresses: []net.IP{net.ParseIP("127.0.0.1")}},
			usage:   x509.ExtKeyUsageServerAuth,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pair, err := authority.Issue(tt.subject)
			require.NoError(t, err)
			_, err = tls.X509KeyPair(pair.Certificate, pair.Key)
			require.NoError(t, err, "key and certificate belong together")

			certificate := parse(t, pair.Certificate)
			assert.Equal(t, tt.subject.Name, certificate.Subject.CommonName)
			assert.ElementsMatch(t, tt.subject.Groups, certificate.Subject.Organization)
			assert.Equal(t, []x509.ExtKeyUsage{tt.usage}, certificate.ExtKeyUsage)
			assert.False(t, certificate.IsCA)
			assert.True(t, certificate.NotBefore.Before(time.Now()))
			assert.True(t, certificate.NotAfter.After(time.Now().AddDate(5, 0, 0)))
			for _, name := range tt.subject.DNSNames {
				assert.NoError(t, certificate.VerifyHostname(name))
			}
			for _, address := range tt.subject.Addresses {
				assert.NoError(t, certificate.VerifyHostname(address.String()))
			}

			assert.NoError(t, verify(certificate, authority, tt.usage))
			assert.Error(t, verify(certificate, other, tt.usage))
		})
	}
}

func TestSerialNumbersDiffer(t *testing.T) {
	authority, err := NewAuthority("an authority")
	require.NoError(t, err)
	first, err := authority.Issue(Subject{Name: "jane"})
	require.NoError(t, err)
	second, err := authority.Issue(Subject{Name: "jane"})
	require.NoError(t, err)
	assert.NotEqual(t, parse(t, first.Certificate).SerialNumber, parse(t, second.Certificate).SerialNumber)
}

func parse(t *testing.T, content []byte) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode(content)
	require.NotNil(t, block)
	require.Empty(t, rest)
	certificate, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return certificate
}

func verify(certificate *x509.Certificate, authority *Authority, usage x509.ExtKeyUsage) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM().Certificate)
	_, err := certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}
