package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/spf13/pflag"
)

// Names below the state directory; they are what a starter of this program looks for.
const (
	pkiDir                          = "pki"
	etcdDir                         = "etcd"
	kubeconfigFile                  = "kubeconfig"
	controllerManagerKubeconfigFile = "controller-manager.kubeconfig"
	schedulerKubeconfigFile         = "scheduler.kubeconfig"
	auditLogFile                    = "audit.log"
	auditPolicyFile                 = "audit-policy.yaml"
	readyFile                       = "ready"
)

// options is what the command line says.
type options struct {
	dir                   string
	port                  int
	listenerFD            int
	nodeAddress           string
	audit                 bool
	apiServerArgs         []string
	controllerManagerArgs []string
	schedulerArgs         []string
}

func parseOptions(args []string) (options, error) {
	var o options
	fs := pflag.NewFlagSet("localkube", pflag.ContinueOnError)
	fs.StringVar(&o.dir, "dir", "", "directory of the cluster's state: certificates, kubeconfig, data; started again on the same directory, the cluster continues")
	fs.IntVar(&o.port, "port", 0, "port of the API server on 127.0.0.1; 0 takes a free one")
	fs.StringVar(&o.nodeAddress, "node-address", "", "IPv4 address of this machine that real nodes and their pods find the API server at, beside 127.0.0.1")
	fs.IntVar(&o.listenerFD, "listener-fd", 0, "file descriptor of a listening socket to serve too, perhaps of another network namespace; its port is then the port")
	fs.BoolVar(&o.audit, "audit", false, "write every request as one JSON line to DIR/audit.log before it is answered")
	fs.StringArrayVar(&o.apiServerArgs, "apiserver-arg", nil, "another flag for kube-apiserver, overriding ours (repeatable)")
	fs.StringArrayVar(&o.controllerManagerArgs, "controller-manager-arg", nil, "another flag for kube-controller-manager, overriding ours (repeatable)")
	fs.StringArrayVar(&o.schedulerArgs, "scheduler-arg", nil, "another flag for kube-scheduler, overriding ours (repeatable)")
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected arguments %q", fs.Args())
	}
	if o.dir == "" {
		return options{}, errors.New("--dir is missing")
	}
	if o.port < 0 || o.port > 65535 {
		return options{}, fmt.Errorf("--port %d is no port", o.port)
	}
	if o.nodeAddress != "" && o.nodeIP() == nil {
		return options{}, fmt.Errorf("--node-address %q is no IPv4 address", o.nodeAddress)
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return options{}, fmt.Errorf("finding the state directory: %w", err)
	}
	o.dir = dir
	return o, nil
}

func (o options) path(names ...string) string {
	return filepath.Join(append([]string{o.dir}, names...)...)
}

// nodeIP is nil without real nodes.
func (o options) nodeIP() net.IP { return net.ParseIP(o.nodeAddress).To4() }

func (o options) pki(name string) string { return o.path(pkiDir, name) }
