// minicluster-agent is the process in the pods of a MiniCluster.
package main

import (
	"os"

	"minicluster.internal/operator/pkg/agent"
	"minicluster.internal/operator/pkg/agent/shutdown"
)

func main() {
	shutdown.Exit(agent.Run(os.Args))
}
