package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	// adminGroup is the group to which RBAC grants all rights.
	adminGroup = "system:masters"

	clientLifetime = 10 * 365 * 24 * time.Hour
	clockSkew      = time.Hour
)

// ServiceAccountUser returns the user name of a service account for ConfigFor: a client with a certificate of that
// name has the rights of the service account.
func ServiceAccountUser(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

// ConfigFor returns a client configuration for any user and groups, without a limit on requests. The cluster does not
// have to know the user, because its own authority signs the certificate.
func (c *Cluster) ConfigFor(user string, groups ...string) (*rest.Config, error) {
	certificate, key, err := c.Issue(Subject{Name: user, Groups: groups})
	if err != nil {
		return nil, err
	}
	config := rest.AnonymousClientConfig(c.config)
	config.QPS = c.config.QPS
	config.CertData, config.KeyData = certificate, key
	return config, nil
}

// KubeconfigFor is ConfigFor for programs: it writes a kubeconfig into the cluster's directory and returns its path.
func (c *Cluster) KubeconfigFor(user string, groups ...string) (string, error) {
	access, err := c.ConfigFor(user, groups...)
	if err != nil {
		return "", err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["localkube"] = &clientcmdapi.Cluster{Server: access.Host, CertificateAuthorityData: access.CAData}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: access.CertData, ClientKeyData: access.KeyData}
	config.Contexts["localkube"] = &clientcmdapi.Context{Cluster: "localkube", AuthInfo: user}
	config.CurrentContext = "localkube"
	path := c.path(url.PathEscape(user) + ".kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("writing a kubeconfig for user %s: %w", user, err)
	}
	return path, nil
}

// Subject is the subject of a certificate.
type Subject struct {
	// Name and Groups are the user and its groups, as Kubernetes reads client certificates.
	Name   string
	Groups []string
	// DNSNames and Addresses are the names of a server. A certificate with any of them is also valid for servers.
	DNSNames  []string
	Addresses []net.IP
}

func (s Subject) usage() []x509.ExtKeyUsage {
	if len(s.DNSNames) > 0 || len(s.Addresses) > 0 {
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	}
	return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// Issue generates a key, and a certificate that the cluster's authority signs. Both are PEM encoded.
func (c *Cluster) Issue(subject Subject) (certificate, key []byte, err error) {
	certificate, key, err = c.issue(subject)
	if err != nil {
		return nil, nil, fmt.Errorf("creating a certificate for %s: %w", subject.Name, err)
	}
	return certificate, key, nil
}

func (c *Cluster) issue(subject Subject) (certificate, key []byte, err error) {
	authority, err := tls.LoadX509KeyPair(c.path(pkiDir, "ca.crt"), c.path(pkiDir, "ca.key"))
	if err != nil {
		return nil, nil, fmt.Errorf("loading the cluster's authority: %w", err)
	}
	signer, ok := authority.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, errors.New("the key of the cluster's authority cannot sign")
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, fmt.Errorf("generating a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: subject.Name, Organization: subject.Groups},
		NotBefore:    time.Now().Add(-clockSkew),
		NotAfter:     time.Now().Add(clientLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  subject.usage(),
		DNSNames:     subject.DNSNames,
		IPAddresses:  subject.Addresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, private.Public(), signer)
	if err != nil {
		return nil, nil, fmt.Errorf("signing: %w", err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), nil
}
