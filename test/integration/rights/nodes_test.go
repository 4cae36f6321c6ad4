package rights_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

// nodeProofs has one entry for each right that --watch-nodes needs in addition.
var nodeProofs = map[string]proof{
	"list nodes":                         {"node drained", unseen},
	"watch nodes":                        {part: "node drained"},
	"create pods/eviction":               {"node drained", anything},
	"patch pods/status":                  {"node drained", anything},
	"create poddisruptionbudgets.policy": {"node drained", anything},
	"get poddisruptionbudgets.policy":    {"node drained", anything},
	"list events.events.k8s.io":          {"autoscaler quoted", anything},
}

// nodeParts are the parts of a controller with --watch-nodes, in all namespaces because nodes have none.
func nodeParts() map[string]part {
	options := func(o *app.Options) {
		o.WatchNodes, o.PodDiagnosisDelay = true, time.Second
		programs.WithAgents(new(user.Agents))(o)
	}
	return map[string]part{
		"node drained":      {play: nodeDrained, volumes: true, options: options},
		"autoscaler quoted": {play: autoscalerQuoted, volumes: true, options: options},
	}
}

// nodeRights returns the rights of manifests/nodes.
func nodeRights(t *testing.T) []grant {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	content, err := os.ReadFile(filepath.Join(root, "manifests", "nodes", "role.yaml"))
	require.NoError(t, err)
	var role rbacv1.ClusterRole
	require.NoError(t, yaml.Unmarshal(content, &role))
	require.NotEmpty(t, role.Rules)
	return grantsOf("", role.Rules)
}

// TestNodeRightsAreNeeded removes one right of manifests/nodes at a time.
func TestNodeRightsAreNeeded(t *testing.T) {
	kube := suite.Cluster(t)
	nodes := nodeRights(t)
	all := append(granted(t, kube), nodes...)
	assert.Len(t, nodes, len(nodeProofs))
	for _, g := range nodes {
		proof, ok := nodeProofs[g.String()]
		if assert.True(t, ok, "nothing shows that %s is needed", g) {
			t.Run(g.String(), func(t *testing.T) { withoutRight(t, kube, all, g, proof) })
		}
	}
}

// nodeDrained: the rank of a node that will be deleted is drained and its pod evicted; the budget is created once and
// found again.
func nodeDrained(ctx context.Context, s *scene) (err error) {
	mc := user.New("work", 2)
	mc.Spec.Interactive = true
	if err := s.makeReady(ctx, mc); err != nil {
		return err
	}
	for range 2 {
		if err := s.budgeted(ctx); err != nil {
			return err
		}
	}
	list, err := s.kube.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-completion-index=1"})
	if err != nil || len(list.Items) != 1 {
		return fmt.Errorf("%d pods, %w", len(list.Items), err)
	}
	node := list.Items[0].Spec.NodeName
	defer func() {
		err = errors.Join(err, s.taint(context.WithoutCancel(ctx), node, "null"))
	}()
	if err := s.taint(ctx, node, `[{"key":"karpenter.sh/disrupted","effect":"NoSchedule"}]`); err != nil {
		return err
	}
	if err := s.event(ctx, "work", "PodEvicted"); err != nil {
		return err
	}
	return s.ready(ctx, "work", 2)
}

func (s *scene) taint(ctx context.Context, node, taints string) error {
	_, err := s.kube.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, []byte(`{"spec":{"taints":`+taints+`}}`), metav1.PatchOptions{})
	return err
}

// budgeted removes the record of the disruption budget, and waits until there is one again.
func (s *scene) budgeted(ctx context.Context) error {
	jobs := s.kube.BatchV1().Jobs(s.namespace)
	annotated := func(ctx context.Context) (string, error) {
		job, err := jobs.Get(ctx, "work", metav1.GetOptions{})
		if err != nil || job.Annotations[v1alpha2.AnnotationDisruptionBudget] != "" {
			return "", err
		}
		return "the Job names none", nil
	}
	if err := until(ctx, "a disruption budget", annotated); err != nil {
		return err
	}
	_, err := jobs.Patch(ctx, "work", types.MergePatchType, []byte(`{"metadata":{"annotations":{"`+v1alpha2.AnnotationDisruptionBudget+`":null}}}`), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	return until(ctx, "a disruption budget again", annotated)
}

// autoscalerQuoted: a condition quotes what a node autoscaler says about a pod that fits no node.
func autoscalerQuoted(ctx context.Context, s *scene) error {
	mc := user.New("work", 1)
	mc.Spec.Pod = &v1alpha2.PodSpec{NodeSelector: map[string]string{"example.com/kind": "none"}}
	if _, err := s.make(ctx, mc); err != nil {
		return err
	}
	var pod corev1.Pod
	err := until(ctx, "a pod", func(ctx context.Context) (string, error) {
		list, err := s.kube.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: user.Selector("work")})
		if err != nil || len(list.Items) != 1 {
			return fmt.Sprintf("there are %d", len(list.Items)), err
		}
		pod = list.Items[0]
		return "", nil
	})
	if err != nil {
		return err
	}
	now := metav1.Now()
	_, err = s.kube.CoreV1().Events(s.namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: pod.Name + "."},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Reason:         "NotTriggerScaleUp", Message: "no node group fits", Type: corev1.EventTypeNormal,
		Source: corev1.EventSource{Component: "cluster-autoscaler"}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return s.has(ctx, "work", v1alpha2.ConditionProgressing, v1alpha2.ReasonUnschedulable, "no node group fits")
}
