package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/spf13/pflag"
)

// Names below the state directory; programs that start this one use them.
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

// options are the options of the command line.
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
	fs.StringVar(&o.dir, "dir", "", "directory of the cluster's state: certificates, kubeconfig, data; a restart with the same directory continues the cluster")
	fs.IntVar(&o.port, "port", 0, "port of the API server on 127.0.0.1; 0 selects a free one")
	fs.StringVar(&o.nodeAddress, "node-address", "", "IPv4 address of this machine at which real nodes and their pods connect to the API server, in addition to 127.0.0.1")
	fs.IntVar(&o.listenerFD, "listener-fd", 0, "file descriptor of another listening socket, possibly of another network namespace; its port is then the port")
	fs.BoolVar(&o.audit, "audit", false, "write every request as one JSON line to DIR/audit.log before it is answered")
	fs.StringArrayVar(&o.apiServerArgs, "apiserver-arg", nil, "additional flag for kube-apiserver, which overrides the default (repeatable)")
	fs.StringArrayVar(&o.controllerManagerArgs, "controller-manager-arg", nil, "additional flag for kube-controller-manager, which overrides the default (repeatable)")
	fs.StringArrayVar(&o.schedulerArgs, "scheduler-arg", nil, "additional flag for kube-scheduler, which overrides the default (repeatable)")
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
		return options{}, fmt.Errorf("--port %d is not a port", o.port)
	}
	if o.nodeAddress != "" && o.nodeIP() == nil {
		return options{}, fmt.Errorf("--node-address %q is not an IPv4 address", o.nodeAddress)
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
