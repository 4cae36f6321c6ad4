// Package clustertest gives tests a Kubernetes cluster:
//
//	var suite = clustertest.New(cluster.Options{}, clustertest.Apply("manifests/crd"))
//
//	func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }
//
//	func TestSomething(t *testing.T) {
//		kube := suite.Cluster(t)
//		namespace := clustertest.Namespace(t, kube)
//		...
//	}
//
// All tests of a package share a cluster; a test that stops its control plane gets a separate one, see [Own]. The
// package knows nothing of MiniClusters; package user does.
package clustertest

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

// Setup prepares a new cluster for the tests.
type Setup func(ctx context.Context, kube *cluster.Cluster) error

// Apply returns a Setup that applies manifests, given by paths from the root of the repository.
func Apply(paths ...string) Setup {
	return func(ctx context.Context, kube *cluster.Cluster) error {
		root, err := kubebin.Root(".")
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := kube.Apply(ctx, filepath.Join(root, filepath.FromSlash(path))); err != nil {
				return err
			}
		}
		return nil
	}
}

// Starter starts a cluster and returns a function that stops it.
type Starter func(ctx context.Context) (kube *cluster.Cluster, stop func() error, err error)

// Suite is the one cluster that the tests of a package share. The first test that needs it starts it, so tests that
// do not need a cluster do not cost anything.
type Suite struct {
	starter Starter
	setup   []Setup

	mu   sync.Mutex
	kube *cluster.Cluster
	end  func() error
	err  error
}

// New returns a Suite whose tests need this kind of cluster.
func New(options cluster.Options, setup ...Setup) *Suite {
	if options.Log == nil {
		options.Log = os.Stderr
	}
	return NewWith(func(ctx context.Context) (*cluster.Cluster, func() error, error) {
		kube, err := cluster.Start(ctx, options)
		if err != nil {
			return nil, nil, err
		}
		return kube, kube.Stop, nil
	}, setup...)
}

// NewWith is New for clusters of other kinds.
func NewWith(starter Starter, setup ...Setup) *Suite {
	return &Suite{starter: starter, setup: setup}
}

// Run runs the tests of a package and then stops the cluster. It returns the exit code for TestMain.
func (s *Suite) Run(m *testing.M) int { return Run(m, s) }

// Run runs the tests of a package that has several suites, and then stops their clusters.
func Run(m *testing.M, suites ...*Suite) int {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	code := make(chan int, 1)
	go func() { code <- m.Run() }()
	result := 1
	select {
	case result = <-code:
	case <-interrupted:
	}
	for _, s := range suites {
		if err := s.stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			result = 1
		}
	}
	return result
}

// Cluster returns the running cluster. Tests that call it are skipped with -short.
func (s *Suite) Cluster(t testing.TB) *cluster.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Kubernetes cluster, which -short excludes")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kube == nil && s.err == nil {
		// Not the context of the test, since the cluster outlives the test.
		s.kube, s.end, s.err = s.start(context.Background())
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.kube
}

// Own starts a cluster for one test alone, which may stop its control plane.
func Own(t testing.TB, options cluster.Options, setup ...Setup) *cluster.Cluster {
	t.Helper()
	s := New(options, setup...)
	kube := s.Cluster(t)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return kube
}

func (s *Suite) start(ctx context.Context) (*cluster.Cluster, func() error, error) {
	kube, stop, err := s.starter(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, setup := range s.setup {
		if err := setup(ctx, kube); err != nil {
			_ = stop() // keep the first error
			return nil, nil, fmt.Errorf("preparing the cluster: %w", err)
		}
	}
	return kube, stop, nil
}

func (s *Suite) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kube == nil {
		return nil
	}
	return s.end()
}
