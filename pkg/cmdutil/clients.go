package cmdutil

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ClientOptions configure the connection to the API server and the rate of requests to it.
type ClientOptions struct {
	// Kubeconfig is the path of a kubeconfig file. If empty, the in-cluster configuration is used.
	Kubeconfig string
	// KubeAPIQPS and KubeAPIBurst limit the requests to the API server. There is no limit if
	// KubeAPIQPS is 0 or less.
	KubeAPIQPS   float32
	KubeAPIBurst int
}

// NewClientOptions returns the defaults: no rate limit, because the number of workers limits the
// requests, and the API server applies priority and fairness to its clients.
func NewClientOptions() ClientOptions {
	return ClientOptions{KubeAPIQPS: -1, KubeAPIBurst: 100}
}

// AddClientFlags adds a flag for each option.
func (o *ClientOptions) AddClientFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Path of a kubeconfig file. If unset, the in-cluster configuration is used.")
	fs.Float32Var(&o.KubeAPIQPS, "kube-api-qps", o.KubeAPIQPS, "Requests per second to the API server, on average. 0 or less disables the limit.")
	fs.IntVar(&o.KubeAPIBurst, "kube-api-burst", o.KubeAPIBurst, "Burst of requests to the API server that may exceed the average.")
}

// ValidateClient adds an error for each invalid option.
func (o *ClientOptions) ValidateClient(errs *FlagErrors) {
	if o.KubeAPIQPS > 0 && o.KubeAPIBurst < 1 {
		errs.Add("kube-api-burst", "%d: must be at least 1", o.KubeAPIBurst)
	}
}

// ClientConfig reads the kubeconfig or, if none is set, the in-cluster configuration. The name of
// the program becomes a part of the user agent.
func (o *ClientOptions) ClientConfig(name string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the client configuration (--kubeconfig=%q): %w", o.Kubeconfig, err)
	}
	config.QPS, config.Burst = o.KubeAPIQPS, o.KubeAPIBurst
	if config.QPS <= 0 {
		config.QPS = -1 // client-go reads 0 as a default of 5
	}
	// From Kubernetes 1.37 on, the API server compresses each event of a watch that begins with a list. That delays the
	// events, and takes a tenth of the controller's CPU time. Programs in the cluster have the bandwidth.
	config.DisableCompression = true
	return rest.AddUserAgent(config, name), nil
}

// UseProtobuf returns a copy of a config whose clients use protobuf, which takes less CPU than JSON
// in the client and in the server. It works with built-in types only: custom resources have no
// protobuf encoding.
func UseProtobuf(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return config
}
