package process

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ClientConfig reads a kubeconfig, or, where path is "", what a pod is given. A qps
// that is not positive sets no bound on requests. The name is that of the program, for
// the API server's log.
func ClientConfig(path string, qps float32, burst int, name string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("reading the client configuration (--kubeconfig=%q): %w", path, err)
	}
	config.QPS, config.Burst = qps, burst
	if config.QPS <= 0 {
		config.QPS = -1 // client-go takes 0 for a small default
	}
	return rest.AddUserAgent(config, name), nil
}

// Compact makes a client of Kubernetes' own types speak protobuf, which is cheaper
// than JSON at both ends; MiniClusters exist in JSON only.
func Compact(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return config
}
