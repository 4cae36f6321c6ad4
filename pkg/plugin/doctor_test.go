package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// controllerObjects are a Deployment of the controller with available replicas, and its lease.
func controllerObjects(available int32) []runtime.Object {
	now := metav1.NowMicro()
	meta := metav1.ObjectMeta{Namespace: "minicluster-system", Name: "minicluster-controller", Labels: map[string]string{"app.kubernetes.io/name": "minicluster-controller"}}
	d := &appsv1.Deployment{ObjectMeta: meta, Status: appsv1.DeploymentStatus{AvailableReplicas: available}}
	d.Spec.Replicas = &available
	d.Spec.Template.Spec.Containers = []corev1.Container{{Image: "minicluster:v1"}}
	return []runtime.Object{d, &coordinationv1.Lease{ObjectMeta: meta, Spec: coordinationv1.LeaseSpec{RenewTime: &now}}}
}

func waiting(reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodPending
		pod.Status.Conditions = nil
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "sample", Image: "flux", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}
	}
}

func unschedulable(pod *corev1.Pod) {
	pod.Status.Phase, pod.Spec.NodeName = corev1.PodPending, ""
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes are available",
	}}
}

// offline is a pod whose container runs and whose broker is not online.
func offline(pod *corev1.Pod) {
	started := true
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(time.Now().Add(-5 * time.Minute)),
	}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "sample", Started: &started, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(time.Now().Add(-5 * time.Minute))}},
	}}
}

func forbid(verb, resource, message string) func(*fixture) {
	return func(f *fixture) {
		f.kube.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonForbidden, Code: 403, Message: message}}
		})
	}
}

// unresolved lets the agents of pods report that they do not find the lead.
func unresolved(f *fixture) {
	f.kube.PrependProxyReactor("pods", func(clienttesting.Action) (bool, rest.ResponseWrapper, error) {
		text, err := json.Marshal(plan.Cause{Kind: plan.CauseName, Message: "sample-0.sample does not resolve"})
		return true, response(text), err
	})
}

// response is the answer of a pod to a request through the API server.
type response []byte

func (r response) DoRaw(context.Context) ([]byte, error) { return r, nil }

func (r response) Stream(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(r)), nil
}

// Each cause is named, whether the controller runs or not.
func TestDoctor(t *testing.T) {
	denyAll := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "deny-all"},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}},
	}
	withoutMetrics := autoscaler("on-cpu")
	withoutMetrics.Spec.Metrics = []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType}}
	withoutMetrics.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{
		Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "FailedGetResourceMetric", Message: "no metrics",
	}}
	quota := forbid("create", "pods", `pods "sample-" is forbidden: exceeded quota: compute`)
	for name, test := range map[string]struct {
		mod     func(*v1alpha2.MiniCluster)
		pods    int
		pod     func(*corev1.Pod)
		objects []runtime.Object
		server  func(*fixture)
		want    string
	}{
		"image":          {pods: 4, pod: waiting("ImagePullBackOff", "no such image"), want: "pods         ImagePullFailed: "},
		"unschedulable":  {pods: 4, pod: unschedulable, want: "0/3 nodes are available"},
		"quota":          {server: quota, want: "admission    QuotaExceeded: "},
		"network policy": {pods: 4, pod: offline, objects: []runtime.Object{denyAll}, want: "network      NetworkPolicy: "},
		"certificate":    {pods: 4, mod: func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &v1alpha2.FluxSpec{CurveCertSecret: "mine"} }, want: "certificate  Secret \"mine\""},
		"DNS":            {pods: 4, pod: offline, server: unresolved, want: "pods         NameNotResolved: "},
		"HPA":            {pods: 4, objects: []runtime.Object{withoutMetrics}, want: "autoscaler   on-cpu reads metrics.k8s.io, which no server serves: install metrics-server"},
		"two HPAs":       {pods: 4, objects: []runtime.Object{autoscaler("a"), autoscaler("b")}, want: "2 autoscalers change the size"},
		"invalid":        {pods: 4, mod: func(mc *v1alpha2.MiniCluster) { mc.Spec.MinSize = 9 }, want: "document     spec.minSize"},
		"quota, from the events": {
			server: func(f *fixture) {
				forbid("create", "pods", `pods is forbidden: User "me" cannot create resource "pods"`)(f)
			},
			objects: []runtime.Object{&corev1.Event{
				ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "e"}, Message: `Error creating: pods "x" is forbidden: exceeded quota: compute`,
			}},
			want: "admission    QuotaExceeded: ",
		},
	} {
		for _, running := range []int32{1, 0} {
			t.Run(name, func(t *testing.T) {
				mod := test.mod
				if mod == nil {
					mod = func(*v1alpha2.MiniCluster) {}
				}
				mc := sample(mod)
				job := jobOf(t, sample(), int32(test.pods), 0)
				pods := podsOf(job, test.pods)
				if test.pod != nil {
					pods = podsOf(job, test.pods, test.pod)
				} else if test.pods > 0 {
					*job.Status.Ready = 4
				}
				objects := append(append(pods, mc, job), test.objects...)
				f := newFixture(t, append(objects, controllerObjects(running)...)...)
				if test.server != nil {
					test.server(f)
				}
				out, err := f.run("doctor", "sample")
				require.ErrorIs(t, err, errProblems, out)
				assert.Contains(t, out, test.want)
				if running == 0 {
					assert.Contains(t, out, "PROBLEM  controller   Deployment minicluster-system/minicluster-controller has no available replica (it is scaled to 0)")
				}
			})
		}
	}
}

func TestDoctorOfHealthy(t *testing.T) {
	mc := sample()
	job := jobOf(t, mc, 4, 4)
	f := newFixture(t, append(append(podsOf(job, 4), mc, job, autoscaler("on-queue")), controllerObjects(1)...)...)
	assert.Equal(t, `ok       server       Kubernetes v1.37.2
ok       API          flux-framework.org/v1alpha2 is served
ok       controller   Deployment minicluster-system/minicluster-controller is available and has a leader
ok       document     the spec is valid
ok       certificate  the controller makes it
ok       pods         4 of 4 are ready
ok       autoscaler   on-queue scales
`, f.must("doctor", "sample"))
}

// A controller outside the cluster has no Deployment, but holds the lease.
func TestDoctorOfControllerOutside(t *testing.T) {
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "minicluster-system", Name: "minicluster-controller"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: new("laptop"), RenewTime: &metav1.MicroTime{Time: time.Now()}},
	}
	assert.Contains(t, newFixture(t, lease).must("doctor"), "ok       controller   laptop holds the lease in namespace minicluster-system, without a Deployment\n")

	released, old := lease.DeepCopy(), lease.DeepCopy()
	released.Spec.HolderIdentity = new("")
	old.Spec.RenewTime.Time = time.Now().Add(-time.Hour)
	for _, lease := range []*coordinationv1.Lease{released, old} {
		out, err := newFixture(t, lease).run("doctor")
		require.ErrorIs(t, err, errProblems)
		assert.Contains(t, out, "PROBLEM  controller   no Deployment has the label")
	}

	f := newFixture(t, lease)
	forbid("list", "leases", "leases is forbidden")(f)
	assert.Contains(t, f.must("doctor"), "unknown  controller   not checked: no Deployment has the label app.kubernetes.io/name=minicluster-controller; "+
		"looking for a controller without one: leases is forbidden\n")
}

func TestDoctorOfUnseen(t *testing.T) {
	for observed, want := range map[int64]string{
		-1: "the controller has not seen the MiniCluster: it does not run",
		2:  "the controller has not seen generation 3 of the MiniCluster (the last was 2): it does not run",
	} {
		mc := sample(func(mc *v1alpha2.MiniCluster) { mc.Generation, mc.Status.ObservedGeneration = 3, observed })
		out, err := newFixture(t, mc).run("doctor", "sample")
		require.ErrorIs(t, err, errProblems)
		assert.Contains(t, out, want)
	}
}

// A user who may only view a namespace learns what was not checked, and why.
func TestDoctorWithoutRights(t *testing.T) {
	mc := sample()
	job := jobOf(t, mc, 4, 4)
	f := newFixture(t, append(podsOf(job, 4), mc, job)...)
	forbid("list", "deployments", "deployments is forbidden")(f)
	forbid("list", "horizontalpodautoscalers", "hpas is forbidden")(f)
	out := f.must("doctor", "sample")
	assert.Contains(t, out, "unknown  controller   not checked: deployments is forbidden\n")
	assert.Contains(t, out, "unknown  autoscaler   not checked: hpas is forbidden\n")
	assert.Contains(t, out, "ok       pods         4 of 4 are ready\n")
}

func TestDoctorOfInstallation(t *testing.T) {
	f := newFixture(t)
	f.kube.Resources = nil
	out, err := f.run("doctor")
	require.ErrorIs(t, err, errProblems)
	assert.Contains(t, out, "PROBLEM  controller   no Deployment has the label app.kubernetes.io/name=minicluster-controller")
	_, err = f.run("doctor", "none")
	require.True(t, apierrors.IsNotFound(err))
}
