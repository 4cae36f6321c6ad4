package controller

import (
	"minicluster.internal/operator/pkg/controller/resources"
)

// testEnvironment is a cluster of the newest Kubernetes.
var testEnvironment = resources.Environment{ClusterDomain: "cluster.local", Agent: resources.AgentImage{Image: "minicluster:test"}}
