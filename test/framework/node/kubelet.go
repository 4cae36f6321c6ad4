package node

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"

	"minicluster.internal/operator/test/framework/cluster"
)

const nodesGroup = "system:nodes"

// startKubelet starts the kubelet with the user of a node.
func (n *Node) startKubelet(context.Context) error {
	user := "system:node:" + Name
	kubeconfig, err := n.KubeconfigFor(user, nodesGroup)
	if err != nil {
		return err
	}
	certificate, key, err := n.Issue(cluster.Subject{
		Name:      user,
		Groups:    []string{nodesGroup},
		DNSNames:  []string{Name},
		Addresses: []net.IP{net.ParseIP(Address)},
	})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"kubelet.crt": certificate, "kubelet.key": key} {
		if err := os.WriteFile(n.path(name), content, 0o600); err != nil {
			return fmt.Errorf("writing the kubelet's certificate: %w", err)
		}
	}
	config := n.path("kubelet.json")
	if err := writeJSON(config, n.kubeletConfig()); err != nil {
		return fmt.Errorf("writing the kubelet's configuration: %w", err)
	}
	_, err = n.launch("kubelet", n.binaries.Kubelet, false,
		"--config="+config,
		"--kubeconfig="+kubeconfig,
		"--hostname-override="+Name,
		"--node-ip="+Address,
		"--root-dir="+n.path("kubelet"),
		"--cert-dir="+n.path("kubelet", "pki"),
	)
	return err
}

func (n *Node) kubeletConfig() object {
	return object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"address":    Address,
		"authentication": object{
			"anonymous": object{"enabled": false},
			"webhook":   object{"enabled": true},
			"x509":      object{"clientCAFile": n.path("pki", "ca.crt")},
		},
		"authorization":            object{"mode": "Webhook"},
		"tlsCertFile":              n.path("kubelet.crt"),
		"tlsPrivateKeyFile":        n.path("kubelet.key"),
		"containerRuntimeEndpoint": "unix://" + n.socket(),
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               "/" + cgroupName(n.sandbox.pid()),
		"cgroupsPerQOS":            true,
		"enforceNodeAllocatable":   []string{},
		// By default, version 1 of cgroups is rejected.
		"failCgroupV1":    false,
		"failSwapOn":      false,
		"clusterDomain":   clusterDomain,
		"clusterDNS":      []string{Address},
		"resolvConf":      "",
		"podLogsDir":      n.path("pods"),
		"volumePluginDir": n.path("volume-plugins"),
		"maxPods":         110,
		// The usage of this machine's disks should not affect a test.
		"evictionHard": object{
			"memory.available":  "100Mi",
			"nodefs.available":  "1%",
			"imagefs.available": "1%",
			"nodefs.inodesFree": "1%",
		},
		"imageGCHighThresholdPercent": 100,
		"healthzPort":                 0,
		"readOnlyPort":                0,
	}
}

func writeJSON(path string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}
