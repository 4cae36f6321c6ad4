package cmdutil

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ClientOptions say where the API server is and how much it may be asked.
type ClientOptions struct {
	// Kubeconfig is the path of a kubeconfig; in-cluster where empty.
	Kubeconfig string
	// KubeAPIQPS and KubeAPIBurst bound the requests to the API server; a QPS
	// that is not positive sets no bound.
	KubeAPIQPS   float32
	KubeAPIBurst int
}

// NewClientOptions returns the defaults: no bound, since the work that is under way at
// a time is bounded, and the API server shares itself fairly among its clients.
func NewClientOptions() ClientOptions {
	return ClientOptions{KubeAPIQPS: -1, KubeAPIBurst: 100}
}

// AddClientFlags binds them to flags.
func (o *ClientOptions) AddClientFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Path of a kubeconfig. Unset: the in-cluster configuration.")
	fs.Float32Var(&o.KubeAPIQPS, "kube-api-qps", o.KubeAPIQPS, "Requests a second to the API server, on average; 0 or less sets no bound.")
	fs.IntVar(&o.KubeAPIBurst, "kube-api-burst", o.KubeAPIBurst, "Requests to the API server that may exceed the average for a moment.")
}

// ValidateClient adds what is wrong with them.
func (o *ClientOptions) ValidateClient(errs *FlagErrors) {
	if o.KubeAPIQPS > 0 && o.KubeAPIBurst < 1 {
		errs.Add("kube-api-burst", "%d: must be at least 1", o.KubeAPIBurst)
	}
}

// ClientConfig reads the kubeconfig, or, where none is named, what a pod is given. The
// name is that of the program, for the API server's log.
func (o *ClientOptions) ClientConfig(name string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the client configuration (--kubeconfig=%q): %w", o.Kubeconfig, err)
	}
	config.QPS, config.Burst = o.KubeAPIQPS, o.KubeAPIBurst
	if config.QPS <= 0 {
		config.QPS = -1 // client-go takes 0 for a small default
	}
	return rest.AddUserAgent(config, name), nil
}

// UseProtobuf makes a client of Kubernetes' own types speak protobuf, which is cheaper
// than JSON at both ends; MiniClusters exist in JSON only.
func UseProtobuf(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return config
}
