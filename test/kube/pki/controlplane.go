package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Names of the files in a control plane's certificate directory. The key of the certificate authority is included on
// purpose: the tests sign client certificates with it for any user.
const (
	CACertificate         = "ca.crt"
	CAKey                 = "ca.key"
	APIServerCertificate  = "apiserver.crt"
	APIServerKey          = "apiserver.key"
	FrontProxyCA          = "front-proxy-ca.crt"
	FrontProxyCertificate = "front-proxy-client.crt"
	FrontProxyKey         = "front-proxy-client.key"
	ServiceAccountKey     = "sa.key"
	ServiceAccountPublic  = "sa.pub"
)

const (
	// FrontProxyUser is the user of the aggregation layer at extension API servers.
	FrontProxyUser = "front-proxy-client"
	// adminGroup is the group to which RBAC grants all rights.
	adminGroup = "system:masters"
)

// Client is one of the users that come with a control plane. All have all rights; they have different names so that
// requests can be distinguished by user.
type Client string

// The clients of a new control plane.
const (
	Admin             Client = "kubernetes-admin"
	ControllerManager Client = "system:kube-controller-manager"
	Scheduler         Client = "system:kube-scheduler"
	// KubeletClient is the user of the API server at kubelets.
	KubeletClient Client = "kube-apiserver-kubelet-client"
)

func clients() []Client { return []Client{Admin, ControllerManager, Scheduler, KubeletClient} }

// CertificateFile is where the client's certificate is in the certificate directory.
func (c Client) CertificateFile() string { return c.baseName() + ".crt" }

// KeyFile is where the client's key is in the certificate directory.
func (c Client) KeyFile() string { return c.baseName() + ".key" }

func (c Client) baseName() string { return strings.TrimPrefix(string(c), "system:") }

// Ensure creates everything that a control plane on the given addresses needs, unless the directory already exists: a
// control plane that is restarted must keep the identities that its clients know.
func Ensure(dir string, addresses ...net.IP) error {
	switch _, err := os.Stat(dir); {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("finding the certificates: %w", err)
	}
	files, err := controlPlane(addresses)
	if err != nil {
		return err
	}
	return writeAll(dir, files)
}

func controlPlane(addresses []net.IP) (map[string][]byte, error) {
	ca, err := NewAuthority("kubernetes-ca")
	if err != nil {
		return nil, err
	}
	// Requests signed by this second authority may name any user in their headers, so it must differ from the one that
	// signs ordinary client certificates.
	proxyCA, err := NewAuthority("front-proxy-ca")
	if err != nil {
		return nil, err
	}
	server, err := ca.Issue(Subject{
		Name:      "kube-apiserver",
		DNSNames:  []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		Addresses: addresses,
	})
	if err != nil {
		return nil, err
	}
	proxy, err := proxyCA.Issue(Subject{Name: FrontProxyUser})
	if err != nil {
		return nil, err
	}
	saKey, saPublic, err := newSigningKey()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		CACertificate:         ca.PEM().Certificate,
		CAKey:                 ca.PEM().Key,
		APIServerCertificate:  server.Certificate,
		APIServerKey:          server.Key,
		FrontProxyCA:          proxyCA.PEM().Certificate,
		FrontProxyCertificate: proxy.Certificate,
		FrontProxyKey:         proxy.Key,
		ServiceAccountKey:     saKey,
		ServiceAccountPublic:  saPublic,
	}
	for _, client := range clients() {
		pair, err := ca.Issue(Subject{Name: string(client), Groups: []string{adminGroup}})
		if err != nil {
			return nil, err
		}
		files[client.CertificateFile()], files[client.KeyFile()] = pair.Certificate, pair.Key
	}
	return files, nil
}

// writeAll writes a temporary directory and renames it, so that an interrupted start does not leave a directory that
// the next one would consider complete.
func writeAll(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("creating the parent of the certificate directory: %w", err)
	}
	temporary, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-")
	if err != nil {
		return fmt.Errorf("creating a directory for the certificates: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(temporary, name), content, 0o600); err != nil {
			return errors.Join(fmt.Errorf("writing %s: %w", name, err), os.RemoveAll(temporary))
		}
	}
	if err := os.Rename(temporary, dir); err != nil {
		return errors.Join(fmt.Errorf("putting the certificates in place: %w", err), os.RemoveAll(temporary))
	}
	return nil
}
