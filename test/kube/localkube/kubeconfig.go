package main

import (
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"minicluster.internal/operator/test/kube/pki"
)

const clusterName = "localkube"

// writeKubeconfigs writes the administrator's file for the users of the cluster and one for each component.
func writeKubeconfigs(o options, server string) error {
	for file, client := range map[string]pki.Client{
		kubeconfigFile:                  pki.Admin,
		controllerManagerKubeconfigFile: pki.ControllerManager,
		schedulerKubeconfigFile:         pki.Scheduler,
	} {
		if err := writeKubeconfig(o, file, server, client); err != nil {
			return err
		}
	}
	return nil
}

// writeKubeconfig embeds the certificates in the file, so that it can be copied and used anywhere.
func writeKubeconfig(o options, file, server string, client pki.Client) error {
	ca, err := os.ReadFile(o.pki(pki.CACertificate))
	if err != nil {
		return fmt.Errorf("reading the authority for %s: %w", file, err)
	}
	certificate, err := os.ReadFile(o.pki(client.CertificateFile()))
	if err != nil {
		return fmt.Errorf("reading the certificate for %s: %w", file, err)
	}
	key, err := os.ReadFile(o.pki(client.KeyFile()))
	if err != nil {
		return fmt.Errorf("reading the key for %s: %w", file, err)
	}
	user := string(client)
	config := clientcmdapi.NewConfig()
	config.Clusters[clusterName] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts[clusterName] = &clientcmdapi.Context{Cluster: clusterName, AuthInfo: user}
	config.CurrentContext = clusterName
	if err := clientcmd.WriteToFile(*config, o.path(file)); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
