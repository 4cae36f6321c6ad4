package control

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ErrNoCredentials reports that there are no certificates, because the cluster is older than they are.
var ErrNoCredentials = errors.New("there are no certificates for the control endpoint")

// ServerTLS returns the configuration of the agent, with the certificates of the cluster's Secret: only the
// certificate of the controller is accepted.
func ServerTLS(data map[string][]byte) (*tls.Config, error) {
	pool, cert, err := load(data, KeyServerCert, KeyServerKey)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}, nil
}

// clientTLS returns the configuration of the controller.
func clientTLS(data map[string][]byte, host string) (*tls.Config, error) {
	pool, cert, err := load(data, KeyClientCert, KeyClientKey)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		RootCAs: pool, ServerName: host,
	}, nil
}

// load parses the credentials of one side. Errors name keys of the Secret, never values.
func load(data map[string][]byte, certName, keyName string) (*x509.CertPool, tls.Certificate, error) {
	for _, name := range []string{KeyCA, certName, keyName} {
		if len(data[name]) == 0 {
			return nil, tls.Certificate{}, fmt.Errorf("%w: %s is missing", ErrNoCredentials, name)
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data[KeyCA]) {
		return nil, tls.Certificate{}, fmt.Errorf("%s contains no certificate", KeyCA)
	}
	cert, err := tls.X509KeyPair(data[certName], data[keyName])
	if err != nil {
		return nil, tls.Certificate{}, fmt.Errorf("%s and %s: %w", certName, keyName, err)
	}
	return pool, cert, nil
}
