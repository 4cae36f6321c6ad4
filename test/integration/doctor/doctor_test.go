// Package doctor_test tests, on a real control plane with simulated nodes, that kubectl minicluster doctor names the
// cause of each failure that test/integration/failures has: while the controller runs, after it has stopped, and for a
// user who may only view the namespace. The agent of a pod is not simulated: test/e2e has the causes that it reports.
package doctor_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/pkg/plugin"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

var suite = clustertest.New(cluster.Options{}, user.Manifests)

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }

// viewer is a user who may only view the namespaces of the tests.
const viewer = "viewer"

// failure is a MiniCluster that does not work.
type failure struct {
	name string
	// prepare makes what lets the MiniCluster fail.
	prepare func(f *user.Fixture)
	// spec changes the MiniCluster.
	spec func(mc *v1alpha2.MiniCluster)
	// breakPods changes the pods.
	breakPods func(f *user.Fixture, pods []corev1.Pod)
	// reported is what the controller reports.
	reported user.Check
	// want is the line of doctor that names the cause, and viewed that for the viewer, if that is another.
	want, viewed string
}

func annotate(key, value string) func(mc *v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod = &v1alpha2.PodSpec{Annotations: map[string]string{key: value}}
	}
}

func progressing(reason string) user.Check {
	return user.HasReason(v1alpha2.ConditionProgressing, reason)
}

func failures() []failure {
	return []failure{
		{
			name: "image", spec: annotate(cluster.AnnotationStartAfter, "1h"), breakPods: failImages, reported: progressing(v1alpha2.ReasonImagePullFailed),
			want: `PROBLEM  pods         ImagePullFailed: `,
		},
		{
			name: "policy", spec: annotate(cluster.AnnotationUnready, "true"), prepare: denyAll, reported: progressing(v1alpha2.ReasonNetworkPolicy),
			want: `PROBLEM  network      NetworkPolicy: `,
		},
		{
			name: "quota", prepare: allowNoPods, reported: progressing(v1alpha2.ReasonQuotaExceeded),
			want: `PROBLEM  admission    QuotaExceeded: `,
		},
		{
			name: "restricted", prepare: restrict, reported: progressing(v1alpha2.ReasonPodsRejected),
			want: `PROBLEM  admission    PodsRejected: `,
		},
		{
			name: "certificate", reported: progressing(v1alpha2.ReasonCertificateInvalid),
			spec: func(mc *v1alpha2.MiniCluster) {
				annotate(cluster.AnnotationUnready, "true")(mc)
				mc.Spec.Flux = &v1alpha2.FluxSpec{CurveCertSecret: "missing"}
			},
			want:   `PROBLEM  certificate  Secret "missing"`,
			viewed: `unknown  certificate  not checked: secrets "missing" is forbidden`,
		},
		{
			name: "unschedulable", reported: progressing(v1alpha2.ReasonUnschedulable),
			spec: func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Containers[0].Resources = &corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000")},
				}
			},
			want: `PROBLEM  pods         Unschedulable: `,
		},
		{
			name: "autoscaler", prepare: scaleOnCPU, reported: user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady),
			want: `PROBLEM  autoscaler   autoscaler reads metrics.k8s.io, which no server serves: install metrics-server`,
		},
	}
}

// TestDoctor lets MiniClusters fail, and compares what doctor finds with their causes.
func TestDoctor(t *testing.T) {
	kube := suite.Cluster(t)
	controller, err := programs.StartController(t.Context(), kube, func(o *app.Options) { o.PodDiagnosisDelay = 1 })
	require.NoError(t, err)
	defer func() { _ = controller.Stop() }()
	viewers, err := kube.KubeconfigFor(viewer)
	require.NoError(t, err)

	cases := failures()
	fixtures := make([]*user.Fixture, len(cases))
	for i, c := range cases {
		fixtures[i] = c.create(t, kube)
	}
	for i, c := range cases {
		f := fixtures[i]
		if c.breakPods != nil {
			pods := f.WaitForPods(user.Selector(c.name), func(pods []corev1.Pod) bool { return len(pods) == 2 })
			c.breakPods(f, pods)
		}
		f.WaitFor(c.name, c.reported)
	}
	examine := func(state string) {
		for i, c := range cases {
			t.Run(c.name+", "+state, func(t *testing.T) {
				assert.Contains(t, doctor(t, kube.Kubeconfig(), fixtures[i].Namespace, c.name), c.want)
				viewed := c.viewed
				if viewed == "" {
					viewed = c.want
				}
				out := doctor(t, viewers, fixtures[i].Namespace, c.name)
				assert.Contains(t, out, viewed)
				assert.Contains(t, out, "unknown  controller   not checked: deployments.apps is forbidden")
			})
		}
	}
	examine("with a controller")
	require.NoError(t, controller.Stop())
	for i, c := range cases {
		// The conditions must not help.
		f := fixtures[i]
		f.Eventually("no conditions", func(ctx context.Context) (string, error) {
			mc, err := f.MiniClusters().Get(ctx, c.name, metav1.GetOptions{})
			if err != nil {
				return "", err
			}
			mc.Status.Conditions = nil
			_, err = f.MiniClusters().UpdateStatus(ctx, mc, metav1.UpdateOptions{})
			return "", err
		})
	}
	examine("without a controller")
}

// create creates the MiniCluster and what lets it fail, in a separate namespace that the viewer may view.
func (c *failure) create(t *testing.T, kube *cluster.Cluster) *user.Fixture {
	t.Helper()
	f := user.NewFixture(t, kube)
	_, err := f.Kube.RbacV1().RoleBindings(f.Namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: viewer},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: viewer}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	if c.prepare != nil {
		c.prepare(f)
	}
	spec := c.spec
	if spec == nil {
		spec = func(*v1alpha2.MiniCluster) {}
	}
	f.Create(c.name, 2, spec)
	return f
}

// doctor returns what the plugin finds, which are problems.
func doctor(t *testing.T, kubeconfig, namespace, name string) string {
	t.Helper()
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	cmd := plugin.NewCommand(streams)
	cmd.SetArgs([]string{"--kubeconfig=" + kubeconfig, "--namespace=" + namespace, "doctor", name})
	err := cmd.ExecuteContext(t.Context())
	if err != nil {
		require.EqualError(t, err, "problems were found", errOut.String())
	}
	assert.Contains(t, out.String(), "ok       API          flux-framework.org/v1alpha2 is served with all fields of this version")
	assert.Equal(t, err != nil, strings.Contains(out.String(), "PROBLEM"))
	return out.String()
}

func failImages(f *user.Fixture, pods []corev1.Pod) {
	for i := range pods {
		_, err := f.Kube.CoreV1().Pods(f.Namespace).Patch(f.Context(), pods[i].Name, types.StrategicMergePatchType, []byte(`{"status": {
			"containerStatuses": [{"name": "image", "image": "flux:test", "imageID": "", "ready": false, "restartCount": 0,
				"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}}`), metav1.PatchOptions{}, "status")
		require.NoError(f, err)
	}
}

func denyAll(f *user.Fixture) {
	_, err := f.Kube.NetworkingV1().NetworkPolicies(f.Namespace).Create(f.Context(), &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "deny-all"},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}},
	}, metav1.CreateOptions{})
	require.NoError(f, err)
}

func allowNoPods(f *user.Fixture) {
	_, err := f.Kube.CoreV1().ResourceQuotas(f.Namespace).Create(f.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "none"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": resource.MustParse("0")}},
	}, metav1.CreateOptions{})
	require.NoError(f, err)
	f.AwaitRefusal(f.T, "exceeded quota: none")
}

func restrict(f *user.Fixture) { f.Restrict(f.T) }

func scaleOnCPU(f *user.Fixture) {
	f.Apply(`
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: autoscaler}
spec:
  scaleTargetRef: {apiVersion: flux-framework.org/v1alpha2, kind: MiniCluster, name: autoscaler}
  maxReplicas: 4
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
`)
}
