package control

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// Keys of the certificates in the Secret of a cluster. The pods get the first three only.
const (
	KeyCA         = "control-ca.crt"
	KeyServerCert = "control-server.crt"
	KeyServerKey  = "control-server.key"
	KeyClientCert = "control-client.crt"
	KeyClientKey  = "control-client.key"
)

const (
	// lifetime of the certificates. The Secret that contains them is immutable, so it exceeds the lifetime of any
	// cluster.
	lifetime = 20 * 365 * 24 * time.Hour
	// skew is the maximal difference between the clocks of machines.
	skew = 24 * time.Hour
)

// NewCredentials creates the certificates of a cluster, by their keys in its Secret. host is the host name of the
// lead, as in NAME-0.
func NewCredentials(host string, now time.Time) (map[string][]byte, error) {
	template := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: now.Add(-skew), NotAfter: now.Add(lifetime),
			KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		}
	}
	authority := template(1, "minicluster")
	authority.IsCA, authority.KeyUsage, authority.MaxPathLenZero = true, x509.KeyUsageCertSign, true
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("create certificates of the control endpoint: %w", err)
	}
	server := template(2, host)
	server.DNSNames, server.ExtKeyUsage = []string{host}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	client := template(3, "minicluster-controller")
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}

	data := map[string][]byte{}
	for _, c := range []struct {
		template          *x509.Certificate
		certName, keyName string
		key               *ecdsa.PrivateKey
	}{
		{authority, KeyCA, "", authorityKey},
		{server, KeyServerCert, KeyServerKey, nil},
		{client, KeyClientCert, KeyClientKey, nil},
	} {
		cert, key, err := sign(c.template, c.key, authority, authorityKey)
		if err != nil {
			return nil, fmt.Errorf("create certificates of the control endpoint: %w", err)
		}
		data[c.certName] = cert
		if c.keyName != "" {
			data[c.keyName] = key
		}
	}
	return data, nil
}

// ReadServerCredentials reads the credentials of the agent from the directory where the Secret is mounted. The error
// is [ErrNoCredentials] if they do not exist.
func ReadServerCredentials(dir string) (map[string][]byte, error) {
	data := map[string][]byte{}
	for _, name := range []string{KeyCA, KeyServerCert, KeyServerKey} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s is missing", ErrNoCredentials, name)
		}
		if err != nil {
			return nil, fmt.Errorf("read the certificates of the control endpoint: %w", err)
		}
		data[name] = text
	}
	return data, nil
}

// sign creates a certificate for key, or for a new key, and returns both as PEM.
func sign(template *x509.Certificate, key *ecdsa.PrivateKey, parent *x509.Certificate, by *ecdsa.PrivateKey) (cert, private []byte, err error) {
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, nil, err
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, nil, err
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}), nil
}
