package resources

// testEnvironment is a cluster with the newest version of Kubernetes.
var testEnvironment = Environment{ClusterDomain: "cluster.local", Agent: AgentImage{Image: "minicluster:test"}, SecretGroup: 65532}
