package karpenter

import (
	"context"
	"fmt"
	"strings"
	"time"

	"minicluster.internal/operator/test/framework/cluster"
)

// Delays of Karpenter that cannot be configured, from its sources: how long it waits for further pods before it buys
// nodes, how often it looks for nodes that are not needed, how long such a node must stay so before it is removed, and
// the shortest time for which a node is drained.
const (
	BatchDelay      = time.Second
	DisruptionDelay = 10 * time.Second
	ValidationDelay = 15 * time.Second
	DrainDelay      = 5 * time.Second
)

// PoolLabel is the label of the nodes of a pool. Its value is the name of the pool.
const PoolLabel = "example.com/pool"

// Pool is a NodePool with a class of nodes of its own.
type Pool struct {
	Name string
	// ConsolidateAfter is how long a node must not have changed before Karpenter may remove it.
	ConsolidateAfter time.Duration
	// TerminationGracePeriod limits how long a node waits for its pods; 0 means no limit.
	TerminationGracePeriod time.Duration
	// RegistrationDelay is how long the simulated cloud takes to provide a node.
	RegistrationDelay time.Duration
}

// Create creates the pool.
func (p Pool) Create(ctx context.Context, kube *cluster.Cluster) error {
	if _, err := kube.KubectlInput(ctx, strings.NewReader(p.documents()), "apply", "--filename=-"); err != nil {
		return fmt.Errorf("creating the NodePool: %w", err)
	}
	return nil
}

func (p Pool) documents() string {
	grace := ""
	if p.TerminationGracePeriod > 0 {
		grace = fmt.Sprintf("\n      terminationGracePeriod: %s", p.TerminationGracePeriod)
	}
	return fmt.Sprintf(`apiVersion: karpenter.kwok.sh/v1alpha1
kind: KWOKNodeClass
metadata: {name: %[1]s}
spec: {nodeRegistrationDelay: %[2]ds}
---
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: %[1]s}
spec:
  template:
    metadata: {labels: {%[3]s: %[1]s}}
    spec:
      requirements:
        - {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}
      nodeClassRef: {group: karpenter.kwok.sh, kind: KWOKNodeClass, name: %[1]s}
      expireAfter: Never%[4]s
  disruption:
    consolidationPolicy: WhenEmptyOrUnderutilized
    consolidateAfter: %[5]ds
    budgets: [{nodes: 100%%}]
`, p.Name, int(p.RegistrationDelay.Seconds()), PoolLabel, grace, int(p.ConsolidateAfter.Seconds()))
}

// Delete deletes the pool and its nodes, without waiting for their end.
func (p Pool) Delete(ctx context.Context, kube *cluster.Cluster) error {
	_, err := kube.Kubectl(ctx, "delete", "--wait=false", "nodepool/"+p.Name, "kwoknodeclass/"+p.Name)
	if err != nil {
		return fmt.Errorf("deleting the NodePool: %w", err)
	}
	return nil
}
