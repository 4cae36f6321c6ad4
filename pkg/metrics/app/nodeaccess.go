package app

import (
	"context"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"

	"minicluster.internal/operator/pkg/metrics"
)

// nodeAccess checks the right to list nodes. The authorizer is set before the server runs.
type nodeAccess struct {
	authorizer authorizer.UnconditionalAuthorizer
}

// check reports whether the user of a request may list nodes. A request without a user may not.
func (a *nodeAccess) check(ctx context.Context) (bool, error) {
	who, known := request.UserFrom(ctx)
	if !known || a.authorizer == nil {
		return false, nil
	}
	return metrics.MayListNodes(ctx, a.authorizer, who) //nolint:wrapcheck // already wrapped
}
