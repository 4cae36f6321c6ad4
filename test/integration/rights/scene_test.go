package rights_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	client "minicluster.internal/operator/pkg/generated/clientset/versioned/typed/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

// scene is the namespace of a part, and the actions of its user.
type scene struct {
	cluster   *cluster.Cluster
	kube      kubernetes.Interface
	user      user.Clients
	namespace string
}

func newScene(t *testing.T, kube *cluster.Cluster) *scene {
	t.Helper()
	u := user.In(t, kube, clustertest.Namespace(t, kube))
	return &scene{cluster: kube, kube: u.Kube, user: u, namespace: u.Namespace}
}

func (s *scene) miniclusters() client.MiniClusterInterface { return s.user.MiniClusters() }

// make creates a MiniCluster unless it exists.
func (s *scene) make(ctx context.Context, mc *v1alpha2.MiniCluster) (*v1alpha2.MiniCluster, error) {
	made, err := s.miniclusters().Create(ctx, mc, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return s.miniclusters().Get(ctx, mc.Name, metav1.GetOptions{})
	}
	return made, err
}

func (s *scene) makeReady(ctx context.Context, mc *v1alpha2.MiniCluster) error {
	made, err := s.make(ctx, mc)
	if err != nil {
		return err
	}
	return s.ready(ctx, mc.Name, made.RequestedSize())
}

func (s *scene) resize(ctx context.Context, name string, size int) error {
	_, err := s.miniclusters().Patch(ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"size":%d}}`, size), metav1.PatchOptions{})
	return err
}

// until waits until a check returns "". It returns the last text when the context ends.
func until(ctx context.Context, what string, check func(context.Context) (string, error)) error {
	return user.Until(ctx, 50*time.Millisecond, what, check)
}

// is waits until a MiniCluster passes a check.
func (s *scene) is(ctx context.Context, name, what string, check user.Check) error {
	return until(ctx, name+" to be "+what, func(ctx context.Context) (string, error) {
		mc, err := s.miniclusters().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return check(mc), nil
	})
}

func (s *scene) ready(ctx context.Context, name string, size int32) error {
	return until(ctx, fmt.Sprintf("%s to be ready with %d pods", name, size), func(ctx context.Context) (string, error) {
		lack, err := s.user.Settled(ctx, name, size)
		if err != nil || lack != "" {
			return lack, err
		}
		mc, err := s.miniclusters().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return whyNotReady(mc, size), nil
	})
}

// readyOrComplete is for a part that is repeated: its program may have ended when the controller that saw it was
// stopped, and the next one reports it.
func (s *scene) readyOrComplete(ctx context.Context, name string, size int32) error {
	return s.is(ctx, name, fmt.Sprintf("ready with %d pods, or complete", size), func(mc *v1alpha2.MiniCluster) string {
		if meta.IsStatusConditionTrue(mc.Status.Conditions, v1alpha2.ConditionComplete) {
			return ""
		}
		return whyNotReady(mc, size)
	})
}

func whyNotReady(mc *v1alpha2.MiniCluster, size int32) string {
	if mc.RequestedSize() == size && mc.Status.Size == size && mc.Status.ReadySize == size &&
		mc.Status.ObservedGeneration == mc.Generation && meta.IsStatusConditionTrue(mc.Status.Conditions, v1alpha2.ConditionReady) {
		return ""
	}
	return fmt.Sprintf("%+v", mc.Status)
}

// has waits until a MiniCluster has a condition with a reason, and with words in its message.
func (s *scene) has(ctx context.Context, name, condition, reason string, words ...string) error {
	return s.is(ctx, name, condition+" "+reason, user.HasReason(condition, reason, words...))
}

// gone waits until an object does not exist.
func gone(ctx context.Context, what string, get func(context.Context) error) error {
	return until(ctx, what+" to go", func(ctx context.Context) (string, error) {
		err := get(ctx)
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "it is there", err
	})
}

func (s *scene) miniClusterGone(ctx context.Context, name string) error {
	return gone(ctx, "MiniCluster "+name, func(ctx context.Context) error {
		_, err := s.miniclusters().Get(ctx, name, metav1.GetOptions{})
		return err
	})
}

// finish makes the program of a MiniCluster succeed, unless it has.
func (s *scene) finish(ctx context.Context, name string) error {
	pods, err := s.kube.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{
		LabelSelector: fmt.Sprintf("hpa-selector=%s,%s=0", name, batchv1.JobCompletionIndexAnnotation),
	})
	if err != nil {
		return err
	}
	for i := range pods.Items {
		if err := s.cluster.SucceedPod(ctx, s.namespace, pods.Items[i].Name); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}
