package rights_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/user"
)

// proof describes how the lack of a right is visible.
type proof struct {
	// part fails without the right.
	part string
	// shows waits until the user sees the problem; nil if the condition Progressing shows it.
	shows func(ctx context.Context, s *scene) error
}

// proofs has one entry for each granted right.
var proofs = map[string]proof{
	"list miniclusters.flux-framework.org":              {"resized", unseen},
	"watch miniclusters.flux-framework.org":             {part: "resized"},
	"patch miniclusters.flux-framework.org":             {part: "rejected"},
	"delete miniclusters.flux-framework.org":            {"cleaned up", complete},
	"update miniclusters/status.flux-framework.org":     {"resized", unseen},
	"update miniclusters/finalizers.flux-framework.org": {part: "resized"},

	"get jobs.batch":    {part: "Job held"},
	"list jobs.batch":   {"resized", unseen},
	"watch jobs.batch":  {part: "resized"},
	"create jobs.batch": {part: "resized"},
	"patch jobs.batch":  {part: "resized"},
	"delete jobs.batch": {"namespace deleted", anything},

	"list namespaces":  {"namespace deleted", unseen},
	"watch namespaces": {part: "namespace deleted"},

	"get configmaps":    {part: "ConfigMap held"},
	"list configmaps":   {"resized", unseen},
	"watch configmaps":  {part: "resized"},
	"create configmaps": {part: "resized"},
	"patch configmaps":  {part: "owner restored"},
	"delete configmaps": {part: "owner restored"},

	"get services":    {part: "Service held"},
	"list services":   {"resized", unseen},
	"watch services":  {part: "resized"},
	"create services": {part: "resized"},
	"patch services":  {part: "shared Service"},
	"delete services": {part: "shared Service"},

	"get pods":    {part: "services pod held"},
	"list pods":   {"resized", unseen},
	"watch pods":  {part: "services pod"},
	"create pods": {part: "services pod"},
	"patch pods":  {"rank replaced", anything},
	"delete pods": {"services pod", complete},

	"get secrets":    {part: "Secret held"},
	"create secrets": {part: "resized"},
	"patch secrets":  {part: "Secret adopted"},
	"delete secrets": {part: "Secret adopted"},

	"list networkpolicies.networking.k8s.io": {"kept apart", anything},

	"get horizontalpodautoscalers.autoscaling":    {part: "autoscaled"},
	"list horizontalpodautoscalers.autoscaling":   {part: "autoscaled"},
	"create horizontalpodautoscalers.autoscaling": {part: "autoscaled"},
	"patch horizontalpodautoscalers.autoscaling":  {part: "autoscaled"},
	"delete horizontalpodautoscalers.autoscaling": {part: "autoscaled"},

	"create events.events.k8s.io": {"resized", anything},
	"patch events.events.k8s.io":  {"Secret adopted", anything},

	"get persistentvolumes":         {part: "volume held"},
	"create persistentvolumes":      {part: "volume"},
	"list persistentvolumes":        {"volume", goes},
	"delete persistentvolumes":      {"volume", goes},
	"get persistentvolumeclaims":    {part: "claim held"},
	"create persistentvolumeclaims": {part: "volume"},

	"create leases.coordination.k8s.io": {"resized", unseen},
	"get leases.coordination.k8s.io":    {"resized", unseen},
	"update leases.coordination.k8s.io": {"lease of a deceased", unseen},
}

// unseen: the MiniCluster has no status.
func unseen(ctx context.Context, s *scene) error {
	return s.is(ctx, "work", "unseen", func(mc *v1alpha2.MiniCluster) string {
		if len(mc.Status.Conditions) > 0 {
			return "it has a status"
		}
		return ""
	})
}

// complete: it has ended, but no further step follows.
func complete(ctx context.Context, s *scene) error {
	return s.has(ctx, "work", v1alpha2.ConditionComplete, v1alpha2.ReasonComplete)
}

// goes: it is being deleted, and remains.
func goes(ctx context.Context, s *scene) error {
	return s.is(ctx, "work", "going", func(mc *v1alpha2.MiniCluster) string {
		if mc.DeletionTimestamp == nil {
			return "it is not deleted"
		}
		return ""
	})
}

// anything: only the missing result of the part is visible.
func anything(context.Context, *scene) error { return nil }

// retrying: a condition reports that a request is forbidden.
func retrying(ctx context.Context, s *scene) error {
	return until(ctx, "a MiniCluster that says what is forbidden", func(ctx context.Context) (string, error) {
		list, err := s.miniclusters().List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		var seen []string
		for _, mc := range list.Items {
			for _, c := range mc.Status.Conditions {
				if c.Reason == v1alpha2.ReasonRetrying && strings.Contains(c.Message, "forbidden") {
					return "", nil
				}
				seen = append(seen, c.Type+" "+c.Reason+": "+c.Message)
			}
		}
		return "seen: " + strings.Join(seen, "; "), nil
	})
}

// TestEveryRightIsNeeded removes one right at a time.
func TestEveryRightIsNeeded(t *testing.T) {
	kube := suite.Cluster(t)
	all := granted(t, kube)
	documented := map[string]bool{}
	for _, g := range all {
		documented[g.String()] = true
	}
	for name := range proofs {
		assert.True(t, documented[name], "%s is not granted", name)
	}
	t.Run("one at a time", func(t *testing.T) {
		for _, g := range all {
			proof, ok := proofs[g.String()]
			if !assert.True(t, ok, "nothing shows that %s is needed", g) || parts[proof.part].volumes {
				continue
			}
			t.Run(g.String(), func(t *testing.T) {
				t.Parallel()
				withoutRight(t, kube, all, g, proof)
			})
		}
	})
	// Their controllers work in all namespaces, so they run alone.
	for _, g := range all {
		if proof := proofs[g.String()]; parts[proof.part].volumes {
			t.Run(g.String(), func(t *testing.T) { withoutRight(t, kube, all, g, proof) })
		}
	}
}

func withoutRight(t *testing.T, kube *cluster.Cluster, all []grant, missing grant, proof proof) {
	t.Helper()
	part, ok := parts[proof.part]
	if !ok {
		part = nodeParts()[proof.part]
	}
	require.NotNil(t, part.play, proof.part)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s := newScene(t, kube)
	if part.prepare != nil {
		require.NoError(t, part.prepare(ctx, s))
	}
	name := "controller-of-" + s.namespace
	var left []rbacv1.PolicyRule
	for _, g := range all {
		if g.right != missing.right {
			left = append(left, g.rule())
		}
	}
	where, namespaces := s.namespace, []string{s.namespace}
	if part.volumes {
		where, namespaces = "", nil
	}
	require.NoError(t, allow(ctx, kube, name, where, left))
	change := func(*app.Options) {}
	if part.options != nil {
		change = part.options
	}
	log, err := kube.Audit()
	require.NoError(t, err)
	controller := startControllerWith(t, kube, change, s.namespace, name, nil, namespaces...)

	playing, stop := context.WithCancel(ctx)
	played := make(chan error, 1)
	go func() { played <- part.play(playing, s) }()
	require.NoError(t, until(ctx, missing.String()+" to be missed", func(context.Context) (string, error) { return missed(log, name, missing) }))
	// Without a watch, the controller lists repeatedly, at growing intervals: see missed.
	if missing.verb != "watch" {
		shows := proof.shows
		if shows == nil {
			shows = retrying
		}
		require.NoError(t, shows(ctx, s))
		select {
		case err := <-played:
			t.Fatalf("the part %q ended without the right to %s: %v", proof.part, missing, err)
		default:
		}
	}
	stop()
	controller.halt()

	ctx, cancel = context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, allow(ctx, kube, name, where, []rbacv1.PolicyRule{missing.rule()}))
	log, err = kube.Audit()
	require.NoError(t, err)
	startControllerWith(t, kube, change, s.namespace, name, nil, namespaces...)
	require.NoError(t, part.play(ctx, s), "with the right to %s", missing)
	requests, err := log.Requests(name)
	require.NoError(t, err)
	lists := 0
	for _, r := range requests {
		assert.False(t, isForbidden(r) && asked(r) == missing.right, "%+v", r)
		// A busy server may refuse a list.
		if missing.verb == "watch" && asked(r) == (right{"list", missing.resource, missing.group}) && r.Name == "" && r.Code < http.StatusBadRequest {
			lists++
		}
	}
	if missing.verb == "watch" && missing.resource != "pods" && missing.resource != "miniclusters" {
		assert.LessOrEqual(t, lists, 1, "with a watch, there is one list")
	}
}

// missed returns the expected evidence of a missing right that has not been seen yet: a rejected request and, without
// a watch, repeated lists. For rights that a plugin checks, it is the request that the plugin rejected.
func missed(log *cluster.AuditLog, name string, missing grant) (string, error) {
	requests, err := log.Requests(name)
	if err != nil {
		return "", err
	}
	refused, lists := 0, 0
	for _, r := range requests {
		if isForbidden(r) && (asked(r) == missing.right || slices.Contains(askedByPlugin, missing.String())) {
			refused++
		}
		if asked(r) == (right{"list", missing.resource, missing.group}) {
			lists++
		}
	}
	if refused == 0 || (missing.verb == "watch" && lists < 3) {
		return fmt.Sprintf("%d refused, %d lists", refused, lists), nil
	}
	return "", nil
}

// askedByPlugin are rights that no request needs: the plugin OwnerReferencesPermissionEnforcement checks them.
var askedByPlugin = []string{
	"update miniclusters/finalizers.flux-framework.org",
	"delete configmaps",
	"delete services",
	"delete secrets",
}

// TestUsedRights checks that the controller uses exactly the rights that it has. No request is rejected, and no right
// is unused.
func TestUsedRights(t *testing.T) {
	kube := suite.Cluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	scenes := map[string]*scene{}
	for name, part := range parts {
		if part.alone {
			continue
		}
		scenes[name] = newScene(t, kube)
		if part.prepare != nil {
			require.NoError(t, part.prepare(ctx, scenes[name]))
		}
	}
	log, err := kube.Audit()
	require.NoError(t, err)
	controller := startController(t, kube, user.SystemNamespace, user.Controller, user.SystemGroups)
	ended := make(chan error)
	for name, s := range scenes {
		go func() {
			err := parts[name].play(ctx, s)
			if err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
			ended <- err
		}()
	}
	var errs []error
	for range scenes {
		errs = append(errs, <-ended)
	}
	require.NoError(t, errors.Join(errs...))
	controller.halt()

	requests, err := log.Requests(user.Controller)
	require.NoError(t, err)
	used := map[string]bool{}
	ours := []string{"", user.SystemNamespace}
	for name, s := range scenes {
		if name != "namespace deleted" {
			ours = append(ours, s.namespace)
		}
	}
	for _, r := range requests {
		// No object can be created in a namespace that is being deleted, as those of other tests are.
		assert.False(t, isForbidden(r) && slices.Contains(ours, r.Namespace), "%+v", r)
		if r.Resource != "" {
			used[asked(r).String()] = true
		}
	}
	for _, g := range granted(t, kube) {
		if !slices.Contains(askedByPlugin, g.String()) {
			assert.True(t, used[g.String()], "%s is granted and was never used", g)
		}
		delete(used, g.String())
	}
	assert.Empty(t, used, "other rights that were needed")
}
