// minicluster-controller runs the controller of MiniClusters: elastic Flux clusters in Kubernetes.
package main

import (
	"os"

	"k8s.io/component-base/cli"

	"minicluster.internal/operator/pkg/controller/app"
)

func main() {
	os.Exit(cli.Run(app.NewCommand()))
}
