package metricsapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics/app"
	"minicluster.internal/operator/pkg/metrics/serving"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

type fixture struct{ *user.Fixture }

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return &fixture{user.NewFixture(t, suite.Cluster(t))}
}

func (f *fixture) agent(name string) *user.Exposition { return agents.Of(f.Namespace + "/" + name) }

// raw sends a request through the API server of Kubernetes, like kubectl get --raw.
func raw(ctx context.Context, client kubernetes.Interface, path string) (string, error) {
	result := client.Discovery().RESTClient().Get().RequestURI(path).Do(ctx)
	if err := result.Error(); err != nil {
		return "", err
	}
	out, err := result.Raw()
	return string(out), err
}

func (f *fixture) custom(version, path string) string {
	return "/apis/custom.metrics.k8s.io/" + version + "/namespaces/" + f.Namespace + "/" + path
}

// rejected waits until requests are rejected with an error that is as expected. Others may come first: a busy server is
// unavailable for a moment. A request that succeeds fails the test.
func (f *fixture) rejected(what string, ask func() error, expected ...func(error) bool) {
	f.Helper()
	var err error
	f.Eventually(what, func(context.Context) (string, error) {
		err = ask()
		if err == nil || slices.ContainsFunc(expected, func(is func(error) bool) bool { return is(err) }) {
			return "", nil
		}
		return "", err
	})
	require.Error(f, err, what)
}

// complaint returns the text of an error, "" for none.
func complaint(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// value waits until a metric has a value, as written in the response.
func (f *fixture) value(path, want string) string {
	f.Helper()
	var answer string
	f.Eventually(path, func(ctx context.Context) (string, error) {
		var err error
		answer, err = raw(ctx, f.Kube, path)
		if strings.Contains(answer, want) {
			return "", nil
		}
		return answer + complaint(err), nil
	})
	return answer
}

func TestServed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Create("one", 1, user.MaxSize(4))
	f.Create("two", 1, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.MaxSize = 4
		mc.Labels = map[string]string{"team": "blue"}
		mc.Spec.Network = &v1alpha2.Network{HeadlessName: "two-service"}
	})
	f.agent("one").Say("flux_nodes_up 1", "flux_nodes_demanded 9", `flux_jobs{state="run"} 2`)
	f.agent("two").Say("flux_nodes_up 3")

	answer := f.value(f.custom("v1beta2", "miniclusters.flux-framework.org/one/size_demanded"), `"value":"4"`)
	var list struct {
		Kind  string
		Items []struct {
			DescribedObject corev1.ObjectReference
			Metric          struct{ Name string }
			Timestamp       metav1.Time
		}
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &list))
	assert.Equal(t, "MetricValueList", list.Kind)
	require.Len(t, list.Items, 1)
	assert.Equal(t, corev1.ObjectReference{APIVersion: "flux-framework.org/v1alpha2", Kind: "MiniCluster", Namespace: f.Namespace, Name: "one"}, list.Items[0].DescribedObject)
	assert.WithinDuration(t, time.Now(), list.Items[0].Timestamp.Time, time.Minute)

	for path, want := range map[string]string{
		"miniclusters.flux-framework.org/one/job_queue_state_run_count":              `"value":"2"`,
		"miniclusters.flux-framework.org/*/node_up_count":                            `"name":"two"`,
		"miniclusters.flux-framework.org/*/node_up_count?labelSelector=team%3Dblue":  `"value":"3"`,
		"miniclusters.flux-framework.org/*/node_up_count?labelSelector=team%3Dgreen": `"items":[]`,
		"services/one/node_up_count":                                                 `"kind":"Service"`,
		"services/two-service/node_up_count":                                         `"value":"3"`,
		"services/*/node_up_count":                                                   `"name":"two-service"`,
	} {
		for _, version := range []string{"v1beta1", "v1beta2"} {
			f.value(f.custom(version, path), want)
		}
	}
	external := "/apis/external.metrics.k8s.io/v1beta1/namespaces/" + f.Namespace + "/node_up_count"
	f.value(external+"?labelSelector=minicluster%3Dtwo", `"value":"3"`)

	for path, want := range map[string]string{
		"miniclusters.flux-framework.org/three/node_up_count": "could not find the metric node_up_count for miniclusters.flux-framework.org three",
		"miniclusters.flux-framework.org/one/nonsense":        "could not find the metric nonsense",
		"services/custom-metrics-apiserver/node_up_count":     "is shared by several MiniClusters (one, two)",
	} {
		f.rejected(want, func() error {
			_, err := raw(t.Context(), f.Kube, f.custom("v1beta2", path))
			return err
		}, func(err error) bool { return strings.Contains(err.Error(), want) })
	}

	resources, err := f.Kube.Discovery().ServerResourcesForGroupVersion("custom.metrics.k8s.io/v1beta2")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, r := range resources.APIResources {
		names[r.Name] = true
	}
	assert.True(t, names["miniclusters.flux-framework.org/size_demanded"] && names["services/node_up_count"], "%v", names)

	f.agent("one").Fail()
	f.Eventually("an error", func(ctx context.Context) (string, error) {
		_, err := raw(ctx, f.Kube, f.custom("v1beta2", "miniclusters.flux-framework.org/one/node_up_count"))
		if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), "its lead broker does not respond") {
			return fmt.Sprint(err), nil
		}
		return "", nil
	})
	assert.NotContains(t, f.value(f.custom("v1beta2", "miniclusters.flux-framework.org/*/node_up_count"), `"name":"two"`), `"name":"one"`)
}

// TestRefused checks real tokens, through the API server and directly, for each kind of metric.
func TestRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Create("mine", 1)
	f.agent("mine").Say("flux_nodes_up 1")
	paths := []string{
		f.custom("v1beta2", "miniclusters.flux-framework.org/mine/node_up_count"),
		f.custom("v1beta1", "miniclusters.flux-framework.org/*/node_up_count"),
		f.custom("v1beta2", "services/cluster-metrics/nodes"),
		"/apis/external.metrics.k8s.io/v1beta1/namespaces/" + f.Namespace + "/node_up_count",
	}
	for _, path := range paths {
		f.value(path, `"value":"`)
	}
	accounts := f.Kube.CoreV1().ServiceAccounts(f.Namespace)
	token := func(name string, audiences ...string) string {
		made, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
		require.NoError(t, err)
		return made.Status.Token
	}
	for _, name := range []string{"stranger", "viewer", "former"} {
		_, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	_, err := f.Kube.RbacV1().RoleBindings(f.Namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "viewers"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{
			{Kind: "ServiceAccount", Name: "viewer", Namespace: f.Namespace},
			{Kind: "ServiceAccount", Name: "former", Namespace: f.Namespace},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	viewer, former := token("viewer"), token("former")
	require.NoError(t, accounts.Delete(t.Context(), "former", metav1.DeleteOptions{}))
	f.Eventually("the API server to reject the token of the deleted account", func(ctx context.Context) (string, error) {
		review, err := f.Kube.AuthenticationV1().TokenReviews().Create(ctx,
			&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: former}}, metav1.CreateOptions{})
		if err == nil && review.Status.Authenticated {
			return "it accepts the token", nil
		}
		return "", err
	})

	ways := map[string]*rest.Config{
		"through the API server": rest.AnonymousClientConfig(f.Cluster.Config()),
		"past it":                {Host: "https://" + running.Listener.Addr().String(), TLSClientConfig: rest.TLSClientConfig{Insecure: true}},
	}
	for way, config := range ways {
		ask := func(token, path string) error {
			config := rest.CopyConfig(config)
			config.BearerToken = token
			client, err := kubernetes.NewForConfig(config)
			require.NoError(t, err)
			_, err = raw(t.Context(), client, path)
			return err
		}
		for _, path := range paths {
			f.Eventually(way+": a viewer may: "+path, func(context.Context) (string, error) {
				return complaint(ask(viewer, path)), nil
			})
			elsewhere := strings.Replace(path, f.Namespace, "kube-system", 1)
			for who, tc := range map[string]struct {
				token, path string
				known       bool // the identity
			}{
				"a made up token":                   {"nonsense", path, false},
				"a token for another audience":      {token("viewer", "another-audience"), path, false},
				"an account that was deleted":       {former, path, false},
				"an account without rights":         {token("stranger"), path, true},
				"a viewer of one namespace":         {viewer, elsewhere, true},
				"a viewer who asks for all":         {viewer, strings.Replace(path, f.Namespace, "*", 1), true},
				"a viewer with a path that goes up": {viewer, strings.Replace(path, f.Namespace, f.Namespace+"/../kube-system", 1), true},
			} {
				expected := apierrors.IsUnauthorized
				if tc.known {
					expected = apierrors.IsForbidden
				}
				f.rejected(way+": "+who+": "+tc.path, func() error { return ask(tc.token, tc.path) }, expected)
			}
			f.rejected(way+": no token: "+path, func() error { return ask("", path) }, apierrors.IsForbidden, apierrors.IsUnauthorized)
		}
	}
}

// TestSelectedNodes checks that only users who may list nodes get metrics of nodes that a selector selects, and that
// the HorizontalPodAutoscaler controller gets them.
func TestSelectedNodes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	sum := f.custom("v1beta2", "services/cluster-metrics/nodes")
	f.value(sum, `"value":"`)
	for name, role := range map[string]string{"viewer": "view", "lister": "minicluster-metrics-nodes"} {
		roles := []string{"view", role}
		for i, role := range roles {
			_, err := f.Kube.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%s-%d", f.Namespace, name, i)},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
				Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: f.Namespace}},
			}, metav1.CreateOptions{})
			require.NoError(t, err)
		}
	}
	as := func(user string) kubernetes.Interface {
		config := rest.CopyConfig(f.Cluster.Config())
		config.Impersonate.UserName = user
		client, err := kubernetes.NewForConfig(config)
		require.NoError(t, err)
		return client
	}
	some := "?metricLabelSelector=kubernetes.io%2Fhostname"
	for user, allowed := range map[string]bool{
		"system:serviceaccount:" + f.Namespace + ":viewer":            false,
		"system:serviceaccount:" + f.Namespace + ":lister":            true,
		"system:serviceaccount:kube-system:horizontal-pod-autoscaler": true,
	} {
		client := as(user)
		f.Eventually(user+" may see the sum", func(ctx context.Context) (string, error) {
			_, err := raw(ctx, client, sum)
			return complaint(err), nil
		})
		for _, path := range []string{sum + some, f.custom("v1beta1", "services/*/nodes") + some} {
			if allowed {
				f.Eventually(user+" may see "+path, func(ctx context.Context) (string, error) {
					_, err := raw(ctx, client, path)
					return complaint(err), nil
				})
				continue
			}
			f.rejected(user+" may not see "+path, func() error {
				_, err := raw(t.Context(), client, path)
				return err
			}, func(err error) bool {
				return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "requires the right to list nodes")
			})
		}
	}
}

// TestOwnMetrics checks that the secure port serves /metrics only to users with the role minicluster-metrics-reader.
func TestOwnMetrics(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	accounts := f.Kube.CoreV1().ServiceAccounts(f.Namespace)
	scrape := func(name string) (string, error) {
		config := &rest.Config{Host: "https://" + running.Listener.Addr().String(), TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
		if name != "" {
			made, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
			require.NoError(t, err)
			config.BearerToken = made.Status.Token
		}
		client, err := kubernetes.NewForConfig(config)
		require.NoError(t, err)
		return raw(t.Context(), client, "/metrics")
	}
	for _, name := range []string{"prometheus", "stranger"} {
		_, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	_, err := f.Kube.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: f.Namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "minicluster-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "prometheus", Namespace: f.Namespace}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	f.Eventually("Prometheus may scrape", func(context.Context) (string, error) {
		text, err := scrape("prometheus")
		if err == nil && !strings.Contains(text, `minicluster_metrics_api_registered{api="custom.metrics.k8s.io/v1beta2"} 1`) {
			return "the API is not registered", nil
		}
		return complaint(err), nil
	})
	for name, expected := range map[string][]func(error) bool{
		"stranger": {apierrors.IsForbidden},
		"":         {apierrors.IsForbidden, apierrors.IsUnauthorized},
	} {
		f.rejected("a scrape by "+name, func() error {
			_, err := scrape(name)
			return err
		}, expected...)
	}
}

// TestConflict checks that another instance, behind another Service, does not change APIServices of the first one.
func TestConflict(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Eventually("the APIService is available", func(ctx context.Context) (string, error) {
		_, err := raw(ctx, f.Kube, "/apis/custom.metrics.k8s.io/v1beta2")
		return complaint(err), nil
	})
	o, err := programs.MetricsOptions(t.Context(), f.Cluster, asksAgents)
	require.NoError(t, err)
	o.ServiceName = "other"
	err = app.Run(t.Context(), o)
	conflict := new(serving.ConflictError)
	require.ErrorAs(t, err, &conflict)
	assert.Equal(t, "Service minicluster-system/minicluster-metrics", conflict.Owner)
}

func example(t *testing.T, name string) string {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	return filepath.Join(root, "examples/elasticity/horizontal-autoscaler/v2-custom-metrics", name)
}

func (f *fixture) apply(name string) {
	f.Helper()
	_, err := f.Cluster.Kubectl(f.Context(), "apply", "--namespace", f.Namespace, "-f", example(f.T, name))
	require.NoError(f, err)
}

func (f *fixture) size(name string, want int32) {
	f.Helper()
	f.Eventually(fmt.Sprintf("size %d", want), func(ctx context.Context) (string, error) {
		mc, err := f.MiniClusters().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		if mc.RequestedSize() == want && mc.Status.Size == want && mc.Status.ObservedGeneration == mc.Generation {
			return "", nil
		}
		hpas, err := f.Kube.AutoscalingV2().HorizontalPodAutoscalers(f.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		var conditions []autoscalingv2.HorizontalPodAutoscalerCondition
		for _, h := range hpas.Items {
			conditions = append(conditions, h.Status.Conditions...)
		}
		return fmt.Sprintf("%d wanted, %d there; %v", mc.RequestedSize(), mc.Status.Size, conditions), nil
	})
}

// TestAutoscaler runs the example: the size follows the demand exactly.
func TestAutoscaler(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.apply("minicluster.yaml")
	a := f.agent("flux-sample")
	a.Say("flux_nodes_demanded 0")
	f.apply("hpa-flux.yaml")
	a.Say("flux_nodes_demanded 20")
	f.size("flux-sample", 20)
	a.Say("flux_nodes_demanded 21") // within the 10% that it would tolerate
	f.size("flux-sample", 21)
	a.Say("flux_nodes_demanded 400")
	f.size("flux-sample", 30)
	require.NoError(t, f.quicker())
	a.Say("flux_nodes_demanded 29")
	f.size("flux-sample", 29)
	a.Say("flux_nodes_demanded 0")
	f.size("flux-sample", 1)
	events, err := f.Kube.CoreV1().Events(f.Namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=ScaleRejected"})
	require.NoError(t, err)
	assert.Empty(t, events.Items, "no request exceeded the maximum")
}

// quicker makes the autoscaler of the example shrink at once.
func (f *fixture) quicker() error {
	_, err := f.Cluster.Kubectl(f.Context(), "patch", "hpa", "flux-sample", "--namespace", f.Namespace, "--type=merge",
		"--patch", `{"spec":{"behavior":{"scaleDown":{"stabilizationWindowSeconds":0}}}}`)
	return err
}

// TestTutorial checks that the autoscaler of the tutorial finds its metric, and does not resize.
func TestTutorial(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.apply("minicluster.yaml")
	f.SetSize("flux-sample", 2)
	f.size("flux-sample", 2)
	f.agent("flux-sample").Say("flux_nodes_up 2")
	f.apply("hpa-tutorial.yaml")
	f.Eventually("the metric is found", func(ctx context.Context) (string, error) {
		hpa, err := f.Kube.AutoscalingV2().HorizontalPodAutoscalers(f.Namespace).Get(ctx, "flux-sample-hpa", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		if m := hpa.Status.CurrentMetrics; len(m) == 1 && m[0].Object != nil && m[0].Object.Current.Value != nil && m[0].Object.Current.Value.Value() == 2 && hpa.Status.DesiredReplicas == 2 {
			return "", nil
		}
		return fmt.Sprintf("%+v", hpa.Status), nil
	})
	f.size("flux-sample", 2)
}
