package rights_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/user"
)

// right is one verb on one resource.
type right struct {
	verb, resource, group string
}

func (r right) String() string { return r.verb + " " + strings.TrimSuffix(r.resource+"."+r.group, ".") }

// grant is a right with its scope.
type grant struct {
	right
	// names are the only objects that it applies to; all if empty.
	names []string
	// namespace is where it applies; everywhere if empty.
	namespace string
}

func (g grant) rule() rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{g.group}, Resources: []string{g.resource}, Verbs: []string{g.verb}, ResourceNames: g.names}
}

// granted returns the rights of the controller's service account.
func granted(t *testing.T, kube *cluster.Cluster) []grant {
	t.Helper()
	rbac := kube.Client().RbacV1()
	var grants []grant
	everywhere, err := rbac.ClusterRoleBindings().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, binding := range everywhere.Items {
		if bindsController(binding.Subjects) {
			role, err := rbac.ClusterRoles().Get(t.Context(), binding.RoleRef.Name, metav1.GetOptions{})
			require.NoError(t, err)
			grants = append(grants, grantsOf("", role.Rules)...)
		}
	}
	somewhere, err := rbac.RoleBindings("").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, binding := range somewhere.Items {
		if bindsController(binding.Subjects) {
			role, err := rbac.Roles(binding.Namespace).Get(t.Context(), binding.RoleRef.Name, metav1.GetOptions{})
			require.NoError(t, err)
			grants = append(grants, grantsOf(binding.Namespace, role.Rules)...)
		}
	}
	return grants
}

func bindsController(subjects []rbacv1.Subject) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		return s.Kind == rbacv1.ServiceAccountKind && cluster.ServiceAccountUser(s.Namespace, s.Name) == user.Controller
	})
}

func grantsOf(namespace string, rules []rbacv1.PolicyRule) []grant {
	var grants []grant
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					grants = append(grants, grant{right{verb, resource, group}, rule.ResourceNames, namespace})
				}
			}
		}
	}
	return grants
}

// asked returns the right that a request needs.
func asked(r cluster.Request) right {
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	return right{r.Verb, resource, r.Group}
}

// isForbidden reports whether a request was rejected because a right is missing.
func isForbidden(r cluster.Request) bool { return r.Code == http.StatusForbidden }

// allow grants rights to a user in a namespace, or everywhere if it is empty. It waits until the API server knows them.
func allow(ctx context.Context, kube *cluster.Cluster, name, namespace string, rules []rbacv1.PolicyRule) error {
	if err := bind(ctx, kube, name, namespace, rules); err != nil || len(rules) == 0 {
		return err
	}
	last := rules[len(rules)-1]
	resource, subresource, _ := strings.Cut(last.Resources[0], "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: name, ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: last.Verbs[0], Group: last.APIGroups[0], Resource: resource, Subresource: subresource,
		},
	}}
	if len(last.ResourceNames) > 0 {
		review.Spec.ResourceAttributes.Name = last.ResourceNames[0]
	}
	return until(ctx, "the rights of "+name, func(ctx context.Context) (string, error) {
		answer, err := kube.Client().AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil || answer.Status.Allowed {
			return "", err
		}
		return "not known yet: " + answer.Status.Reason, nil
	})
}

// bind creates a role with rights and binds it to a user.
func bind(ctx context.Context, kube *cluster.Cluster, name, namespace string, rules []rbacv1.PolicyRule) error {
	rbac := kube.Client().RbacV1()
	meta := metav1.ObjectMeta{GenerateName: name + "-"}
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}}
	if namespace == "" {
		role, err := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		_, err = rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		}, metav1.CreateOptions{})
		return err
	}
	role, err := rbac.Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = rbac.RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
	}, metav1.CreateOptions{})
	return err
}
