// Package nodetest gives tests a Kubernetes with a real node:
//
//	var suite = nodetest.New(node.Options{})
//
//	func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }
//
//	func TestSomething(t *testing.T) {
//		kube := suite.Node(t)
//		...
//	}
package nodetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/node"
)

// Variable is the environment variable that makes tests start real nodes. With the value Required, a test fails if it
// cannot start one; with any other value it is skipped.
const (
	Variable = "MINICLUSTER_E2E"
	Required = "required"
)

// Setup prepares a new node for the tests.
type Setup func(ctx context.Context, kube *node.Node) error

// Suite is the one node that the tests of a package share, see clustertest.Suite.
type Suite struct {
	inner *clustertest.Suite

	mu   sync.Mutex
	node *node.Node
}

// New returns a Suite whose tests need this kind of node.
func New(options node.Options, setup ...Setup) *Suite {
	if options.Cluster.Log == nil {
		options.Cluster.Log = os.Stderr
	}
	s := &Suite{}
	s.inner = clustertest.NewWith(func(ctx context.Context) (*cluster.Cluster, func() error, error) {
		started, err := node.Start(ctx, options)
		if err != nil {
			return nil, nil, err
		}
		for _, prepare := range setup {
			if err := prepare(ctx, started); err != nil {
				return nil, nil, errors.Join(fmt.Errorf("preparing the node: %w", err), started.Stop())
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.node = started
		return started.Cluster, started.Stop, nil
	})
	return s
}

// Run runs the tests of a package and then stops the node. It returns the exit code for TestMain.
func (s *Suite) Run(m *testing.M) int { return s.inner.Run(m) }

// Node returns the running node. Tests that call it are skipped, with the reason, if no node can be started.
func (s *Suite) Node(t testing.TB) *node.Node {
	t.Helper()
	Need(t)
	s.inner.Cluster(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node
}

// Need ends a test if no real node can be started or the environment does not permit it: see Variable.
func Need(t testing.TB) {
	t.Helper()
	wanted := os.Getenv(Variable)
	if wanted == "" {
		t.Skipf("needs a real node, which is started only if %s is set: see make e2e", Variable)
	}
	missing := errors.Join(node.Missing()...)
	switch {
	case missing == nil:
	case wanted == Required:
		t.Fatal(missing)
	default:
		t.Skip(missing)
	}
}
