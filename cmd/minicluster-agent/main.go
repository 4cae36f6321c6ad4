// minicluster-agent is the process in the pods of a MiniCluster.
package main

import (
	"os"

	"minicluster.internal/operator/pkg/agent"
)

func main() {
	os.Exit(agent.Run(os.Args))
}
