package metrics

import (
	"context"
	"fmt"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// MayListNodes reports whether a user may list nodes, and therefore see metrics of single nodes.
func MayListNodes(ctx context.Context, a authorizer.UnconditionalAuthorizer, who user.Info) (bool, error) {
	decision, _, err := a.Authorize(ctx, authorizer.AttributesRecord{
		User: who, Verb: "list", APIVersion: "v1", Resource: "nodes", ResourceRequest: true,
	})
	if err != nil {
		return false, fmt.Errorf("checking whether %s may list nodes: %w", who.GetName(), err)
	}
	return decision == authorizer.DecisionAllow, nil
}
