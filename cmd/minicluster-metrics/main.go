// minicluster-metrics serves metrics of MiniClusters to autoscalers.
package main

import (
	"os"

	"k8s.io/component-base/cli"

	"minicluster.internal/operator/pkg/metrics/app"
)

func main() {
	os.Exit(cli.Run(app.NewCommand()))
}
