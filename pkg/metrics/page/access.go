package page

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"minicluster.internal/operator/pkg/metrics"
	"minicluster.internal/operator/pkg/metrics/capacity"
)

// maxNamespaces is the number of namespaces that are checked one by one for a user who may not see all
// of them; concurrentChecks is the number of checks at the same time.
const (
	maxNamespaces    = 100
	concurrentChecks = 10
)

// access decides what a user may see: the MiniClusters and the capacity whose metrics the user may get
// from the metrics API.
type access struct {
	authorizer authorizer.UnconditionalAuthorizer
}

// Resources of the metrics API whose metrics the page shows.
const (
	metricsGroup   = "custom.metrics.k8s.io"
	metricsVersion = "v1beta2"
	ofMiniClusters = "miniclusters.flux-framework.org"
	ofServices     = "services"
)

// allNamespaces represents all namespaces in scope.seen.
const allNamespaces = "/"

// scope returns what a user may see of a namespace, or of all namespaces if it is "". It returns nil if
// the user may see nothing.
func (a access) scope(ctx context.Context, who user.Info, namespace string, present []string) (*scope, error) {
	all, err := a.may(ctx, who, "", ofMiniClusters, "")
	if err != nil {
		return nil, err
	}
	s := &scope{namespace: namespace, upward: namespace != "" && all}
	seen := map[string]bool{}
	switch {
	case all:
		s.may, s.seen = func(of string) bool { return namespace == "" || namespace == of }, allNamespaces
	case namespace != "":
		present = []string{namespace}
		fallthrough
	default:
		s.unchecked = max(0, len(present)-maxNamespaces)
		present = present[:min(len(present), maxNamespaces)]
		answers := make([]bool, len(present))
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(concurrentChecks)
		for i, of := range present {
			group.Go(func() (err error) {
				answers[i], err = a.may(ctx, who, of, ofMiniClusters, "")
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err //nolint:wrapcheck // already wrapped
		}
		for i, of := range present {
			if answers[i] {
				seen[of] = true
				s.seen += of + allNamespaces // not a part of any name
			}
		}
		s.may = func(of string) bool { return seen[of] }
	}
	if s.capacity, err = a.may(ctx, who, namespace, ofServices, capacity.DefaultService); err != nil {
		return nil, err
	}
	if s.capacity {
		if s.nodes, err = metrics.MayListNodes(ctx, a.authorizer, who); err != nil {
			return nil, err //nolint:wrapcheck // already wrapped
		}
	}
	// If there is no MiniCluster, there is no namespace to check and nothing to hide.
	if !all && len(seen) == 0 && !s.capacity && len(present) > 0 {
		return nil, nil
	}
	return s, nil
}

// may reports whether a user may get all metrics of the objects of a resource, or of one object.
func (a access) may(ctx context.Context, who user.Info, namespace, resource, name string) (bool, error) {
	decision, _, err := a.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: who, Verb: "get", Namespace: namespace, APIGroup: metricsGroup, APIVersion: metricsVersion,
		Resource: resource, Subresource: "*", Name: name, ResourceRequest: true,
	})
	if err != nil {
		return false, fmt.Errorf("checking whether %s may get the metrics of %s: %w", who.GetName(), resource, err)
	}
	return decision == authorizer.DecisionAllow, nil
}
