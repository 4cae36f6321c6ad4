package resources

// testEnvironment is a cluster of the newest Kubernetes.
var testEnvironment = Environment{ClusterDomain: "cluster.local", Agent: AgentImage{Image: "minicluster:test"}}
