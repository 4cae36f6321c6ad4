package page

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"minicluster.internal/operator/pkg/metrics/capacity"
)

// mostAsked is how many namespaces are asked about, one by one, for somebody who may not
// see all; atOnce is how many at the same time.
const (
	mostAsked = 100
	atOnce    = 10
)

// access says who may see what: of MiniClusters and of the cluster's capacity, each sees
// what the metrics API would tell.
type access struct {
	authorizer authorizer.UnconditionalAuthorizer
}

// Resources of the metrics API that the page shows metrics of.
const (
	metricsGroup   = "custom.metrics.k8s.io"
	metricsVersion = "v1beta2"
	ofMiniClusters = "miniclusters.flux-framework.org"
	ofServices     = "services"
)

// everySeen stands for all namespaces.
const everySeen = "/"

// scope is what somebody may see of a namespace, or of all if that is "". It is nil if that
// is nothing.
func (a access) scope(ctx context.Context, who user.Info, namespace string, present []string) (*scope, error) {
	all, err := a.may(ctx, who, "", ofMiniClusters, "")
	if err != nil {
		return nil, err
	}
	s := &scope{namespace: namespace, upward: namespace != "" && all}
	seen := map[string]bool{}
	switch {
	case all:
		s.may, s.seen = func(of string) bool { return namespace == "" || namespace == of }, everySeen
	case namespace != "":
		present = []string{namespace}
		fallthrough
	default:
		s.unasked = max(0, len(present)-mostAsked)
		present = present[:min(len(present), mostAsked)]
		answers := make([]bool, len(present))
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(atOnce)
		for i, of := range present {
			group.Go(func() (err error) {
				answers[i], err = a.may(ctx, who, of, ofMiniClusters, "")
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err //nolint:wrapcheck // it is ours
		}
		for i, of := range present {
			if answers[i] {
				seen[of] = true
				s.seen += of + everySeen // which no namespace's name has in it
			}
		}
		s.may = func(of string) bool { return seen[of] }
	}
	if s.capacity, err = a.may(ctx, who, namespace, ofServices, capacity.DefaultService); err != nil {
		return nil, err
	}
	// Where there is no MiniCluster, there is no namespace to ask about, and nothing to hide.
	if !all && len(seen) == 0 && !s.capacity && len(present) > 0 {
		return nil, nil
	}
	return s, nil
}

// may asks whether somebody may get all metrics of a resource's objects, or of the one with
// a name.
func (a access) may(ctx context.Context, who user.Info, namespace, resource, name string) (bool, error) {
	decision, _, err := a.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: who, Verb: "get", Namespace: namespace, APIGroup: metricsGroup, APIVersion: metricsVersion,
		Resource: resource, Subresource: "*", Name: name, ResourceRequest: true,
	})
	if err != nil {
		return false, fmt.Errorf("asking whether %s may get the metrics of %s: %w", who.GetName(), resource, err)
	}
	return decision == authorizer.DecisionAllow, nil
}
