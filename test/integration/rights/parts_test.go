package rights_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/user"
)

// part is an action of the controller that a user sees.
type part struct {
	// prepare runs before a controller starts.
	prepare func(ctx context.Context, s *scene) error
	// play returns when the user has seen the result, or when the context ends. It can be repeated.
	play func(ctx context.Context, s *scene) error
	// volumes: the part needs a controller for all namespaces.
	volumes bool
	// alone: the part needs a controller that runs no other parts.
	alone bool
	// options changes the options of the controller.
	options func(*app.Options)
}

// parts are all actions of the controller that need rights.
var parts = map[string]part{
	"resized":             {play: resized},
	"rejected":            {play: rejected},
	"cleaned up":          {play: cleanedUp},
	"recreated":           {play: madeAgain},
	"shared Service":      {play: sharedService},
	"owner restored":      {play: ownerRestored},
	"Secret adopted":      {play: secretAdopted},
	"services pod":        {play: servicesPod},
	"kept apart":          {play: keptApart},
	"autoscaled":          {play: autoscaled},
	"volume":              {play: volume, volumes: true},
	"Job held":            {prepare: holdJob, play: held("Job")},
	"ConfigMap held":      {prepare: holdConfigMap, play: held("ConfigMap")},
	"Service held":        {prepare: holdService, play: held("Service")},
	"Secret held":         {prepare: holdSecret, play: held("Secret")},
	"services pod held":   {prepare: holdPod, play: podHeld},
	"claim held":          {prepare: holdClaim, play: held("PersistentVolumeClaim"), volumes: true},
	"volume held":         {prepare: holdVolume, play: held("PersistentVolume"), volumes: true},
	"lease of a deceased": {prepare: leaveLease, play: resized, alone: true},
	"namespace deleted":   {play: namespaceDeleted, volumes: true},
	"rank replaced":       {play: rankReplaced},
}

// resized: a cluster starts, grows, and reports it.
func resized(ctx context.Context, s *scene) error {
	if _, err := s.make(ctx, user.New("work", 2, user.MaxSize(4))); err != nil {
		return err
	}
	for _, size := range []int{2, 3} {
		if err := s.resize(ctx, "work", size); err != nil {
			return err
		}
		if err := s.ready(ctx, "work", int32(size)); err != nil {
			return err
		}
	}
	return s.event(ctx, "work", "Resized")
}

func (s *scene) event(ctx context.Context, about, reason string) error {
	return until(ctx, "event "+reason, func(ctx context.Context) (string, error) {
		list, err := s.kube.EventsV1().Events(s.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool { return e.Regarding.Name == about && e.Reason == reason }) {
			return "", nil
		}
		return fmt.Sprintf("there are %d others", len(list.Items)), nil
	})
}

// rejected: sizes that are too large are reset, and an event reports it.
func rejected(ctx context.Context, s *scene) error {
	if _, err := s.make(ctx, user.New("work", 2)); err != nil {
		return err
	}
	if err := s.ready(ctx, "work", 2); err != nil {
		return err
	}
	for _, size := range []int{7, 8} {
		if err := s.resize(ctx, "work", size); err != nil {
			return err
		}
		if err := s.has(ctx, "work", v1alpha2.ConditionScalingLimited, v1alpha2.ReasonAboveMaximum, fmt.Sprintf("size %d ", size)); err != nil {
			return err
		}
		if err := s.ready(ctx, "work", 2); err != nil {
			return err
		}
	}
	return s.event(ctx, "work", "ScaleRejected")
}

// cleanedUp: a finished MiniCluster is deleted if its spec says so.
func cleanedUp(ctx context.Context, s *scene) error {
	tidy := user.New("work", 1)
	tidy.Spec.Cleanup = true
	mc, err := s.make(ctx, tidy)
	if err != nil {
		return err
	}
	if len(mc.Status.Conditions) == 0 {
		if err := s.ready(ctx, "work", 1); err != nil {
			return err
		}
		if err := s.finish(ctx, "work"); err != nil {
			return err
		}
	}
	return s.miniClusterGone(ctx, "work")
}

// madeAgain: a deleted Job is created again, once its pods are gone.
func madeAgain(ctx context.Context, s *scene) error {
	if err := s.makeReady(ctx, user.New("work", 2)); err != nil {
		return err
	}
	jobs := s.kube.BatchV1().Jobs(s.namespace)
	before, err := jobs.Get(ctx, "work", metav1.GetOptions{})
	if err != nil {
		return err
	}
	err = jobs.Delete(ctx, "work", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	err = until(ctx, "another Job", func(ctx context.Context) (string, error) {
		job, err := jobs.Get(ctx, "work", metav1.GetOptions{})
		if err == nil && job.UID == before.UID {
			return "it is the old one", nil
		}
		return "", err
	})
	if err != nil {
		return err
	}
	return s.ready(ctx, "work", 2)
}

func inService(name string) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.Network = &v1alpha2.Network{HeadlessName: name} }
}

// sharedService: two MiniClusters own one headless Service.
func sharedService(ctx context.Context, s *scene) error {
	for _, name := range []string{"one", "two"} {
		if err := s.makeReady(ctx, user.New(name, 1, inService("shared"))); err != nil {
			return err
		}
	}
	service, err := s.kube.CoreV1().Services(s.namespace).Get(ctx, "shared", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if len(service.OwnerReferences) != 2 {
		return fmt.Errorf("the Service has the owners %v", service.OwnerReferences)
	}
	return nil
}

// ownerRestored: a ConfigMap that has lost its reference to the Secret gets it again.
func ownerRestored(ctx context.Context, s *scene) error {
	if err := s.makeReady(ctx, user.New("work", 1)); err != nil {
		return err
	}
	if err := s.removeSecretOwner(ctx); err != nil {
		return err
	}
	configs := s.kube.CoreV1().ConfigMaps(s.namespace)
	return until(ctx, "the reference to the Secret", func(ctx context.Context) (string, error) {
		config, err := configs.Get(ctx, "work-config", metav1.GetOptions{})
		if err == nil && len(config.OwnerReferences) != 2 {
			return fmt.Sprint(config.OwnerReferences), nil
		}
		return "", err
	})
}

// removeSecretOwner takes the Secret away from the owners of the ConfigMap.
func (s *scene) removeSecretOwner(ctx context.Context) error {
	configs := s.kube.CoreV1().ConfigMaps(s.namespace)
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		config, err := configs.Get(ctx, "work-config", metav1.GetOptions{})
		if err != nil {
			return err
		}
		config.OwnerReferences = slices.DeleteFunc(config.OwnerReferences, func(r metav1.OwnerReference) bool { return r.Kind == "Secret" })
		_, err = configs.Update(ctx, config, metav1.UpdateOptions{})
		return err
	})
}

// secretAdopted: a Secret that has lost its owner, as after a restore, gets it back,
// repeatedly. A later event counts up the first one.
func secretAdopted(ctx context.Context, s *scene) error {
	if err := s.makeReady(ctx, user.New("work", 1)); err != nil {
		return err
	}
	mc, err := s.miniclusters().Get(ctx, "work", metav1.GetOptions{})
	if err != nil {
		return err
	}
	// An event about a MiniCluster whose status has changed since is another one.
	return until(ctx, "an event that repeats", func(ctx context.Context) (string, error) {
		if err := s.orphanSecret(ctx, "work-curve-"+string(mc.UID[:8])); err != nil {
			return "", err
		}
		list, err := s.kube.EventsV1().Events(s.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		var seen []string
		for _, e := range list.Items {
			if e.Reason == "Adopted" && e.Series != nil && e.Series.Count > 1 {
				return "", nil
			}
			seen = append(seen, fmt.Sprintf("%s %v", e.Reason, e.Series))
		}
		return "seen: " + strings.Join(seen, "; "), nil
	})
}

// orphanSecret takes the owner of a Secret away, and waits until it has one again.
func (s *scene) orphanSecret(ctx context.Context, name string) error {
	// A sync that has read the Secret before, and writes the ConfigMap afterwards, would hide the change below.
	if err := s.adopted(ctx, name); err != nil {
		return err
	}
	none := []byte(`{"metadata":{"ownerReferences":null}}`)
	if _, err := s.kube.CoreV1().Secrets(s.namespace).Patch(ctx, name, types.MergePatchType, none, metav1.PatchOptions{}); err != nil {
		return err
	}
	// The controller does not watch Secrets: the ConfigMap makes it read this one. A sync that has read the Secret before
	// may restore the ConfigMap alone, so the ConfigMap changes until the Secret has an owner.
	return until(ctx, "the Secret to have an owner", func(ctx context.Context) (string, error) {
		lack, err := s.notAdopted(ctx, name)
		if err == nil && lack == noOwner {
			err = s.removeSecretOwner(ctx)
		}
		return lack, err
	})
}

// noOwner is what a Secret lacks that lost its owner.
const noOwner = "it has no owner"

// adopted waits until a Secret has an owner, and the ConfigMap refers to the Secret.
func (s *scene) adopted(ctx context.Context, name string) error {
	return until(ctx, "the Secret to be adopted", func(ctx context.Context) (string, error) { return s.notAdopted(ctx, name) })
}

// notAdopted returns what is missing until a Secret has an owner, and the ConfigMap refers to the Secret.
func (s *scene) notAdopted(ctx context.Context, name string) (string, error) {
	secret, err := s.kube.CoreV1().Secrets(s.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if len(secret.OwnerReferences) == 0 {
		return noOwner, nil
	}
	config, err := s.kube.CoreV1().ConfigMaps(s.namespace).Get(ctx, "work-config", metav1.GetOptions{})
	if err == nil && !slices.ContainsFunc(config.OwnerReferences, func(r metav1.OwnerReference) bool { return r.UID == secret.UID }) {
		return "the ConfigMap does not refer to it", nil
	}
	return "", err
}

func withRegistry(mc *v1alpha2.MiniCluster) {
	mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "registry", Image: "registry:test", Ports: []int32{5000}}}
}

// servicesPod: the pod of spec.services is created with the cluster, and ends with it.
func servicesPod(ctx context.Context, s *scene) error {
	mc, err := s.make(ctx, user.New("work", 1, withRegistry))
	if err != nil {
		return err
	}
	pods := s.kube.CoreV1().Pods(s.namespace)
	if meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionComplete) == nil {
		err := until(ctx, "the services pod", func(ctx context.Context) (string, error) {
			_, err := pods.Get(ctx, "work-services", metav1.GetOptions{})
			return "", err
		})
		if err != nil {
			return err
		}
		if err := s.readyOrComplete(ctx, "work", 1); err != nil {
			return err
		}
		if err := s.finish(ctx, "work"); err != nil {
			return err
		}
	}
	return gone(ctx, "the services pod", func(ctx context.Context) error {
		_, err := pods.Get(ctx, "work-services", metav1.GetOptions{})
		return err
	})
}

// keptApart: pods that run and cannot connect because of a policy report that.
func keptApart(ctx context.Context, s *scene) error {
	_, err := s.kube.NetworkingV1().NetworkPolicies(s.namespace).Create(ctx, &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "deny-all"},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	mc := user.New("work", 2)
	mc.Spec.Pod = &v1alpha2.PodSpec{Annotations: map[string]string{cluster.AnnotationUnready: "true"}}
	if _, err := s.make(ctx, mc); err != nil {
		return err
	}
	return s.is(ctx, "work", "a report of the policy", func(mc *v1alpha2.MiniCluster) string {
		c := meta.FindStatusCondition(mc.Status.Conditions, v1alpha2.ConditionProgressing)
		if c == nil || !strings.Contains(c.Message, "deny-all") {
			return fmt.Sprint(c)
		}
		return ""
	})
}

func withVolume(mc *v1alpha2.MiniCluster) {
	mc.Spec.Volumes = map[string]v1alpha2.MiniClusterVolume{"data": {
		Path: "/unused", StorageClass: "buckets", Driver: "bucket.csi.example", Secret: "keys", VolumeHandle: "b-1", Capacity: "2Gi",
	}}
	mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{"data": {Path: "/data"}}
}

// volume: a volume is created and deleted with the cluster.
func volume(ctx context.Context, s *scene) error {
	mc, err := s.make(ctx, user.New("work", 1, withVolume))
	if err != nil {
		return err
	}
	if mc.DeletionTimestamp == nil {
		if err := s.ready(ctx, "work", 1); err != nil {
			return err
		}
		if err := s.miniclusters().Delete(ctx, "work", metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	if err := s.miniClusterGone(ctx, "work"); err != nil {
		return err
	}
	return gone(ctx, "the volume", func(ctx context.Context) error {
		_, err := s.kube.CoreV1().PersistentVolumes().Get(ctx, volumeName(mc), metav1.GetOptions{})
		return err
	})
}

func volumeName(mc *v1alpha2.MiniCluster) string {
	return fmt.Sprintf("%s.%s.data.%s", mc.Namespace, mc.Name, mc.UID[:8])
}

// held: the controller waits for a name that another object has, and the MiniCluster names its owner.
func held(kind string) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		mod := func(*v1alpha2.MiniCluster) {}
		if kind == "PersistentVolumeClaim" {
			mod = withVolume
		}
		if _, err := s.make(ctx, user.New("work", 1, mod)); err != nil {
			return err
		}
		return s.has(ctx, "work", v1alpha2.ConditionReady, v1alpha2.ReasonNameConflict, kind+` "`)
	}
}

func podHeld(ctx context.Context, s *scene) error {
	if _, err := s.make(ctx, user.New("work", 1, withRegistry)); err != nil {
		return err
	}
	return s.has(ctx, "work", v1alpha2.ConditionProgressing, v1alpha2.ReasonNameConflict, `Pod "work-services"`)
}

func holdJob(ctx context.Context, s *scene) error {
	_, err := s.kube.BatchV1().Jobs(s.namespace).Create(ctx, &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "work"},
		Spec: batchv1.JobSpec{Suspend: new(true), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "a", Image: "b"}},
		}}},
	}, metav1.CreateOptions{})
	return err
}

func holdConfigMap(ctx context.Context, s *scene) error {
	_, err := s.kube.CoreV1().ConfigMaps(s.namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "work-config"},
	}, metav1.CreateOptions{})
	return err
}

func holdService(ctx context.Context, s *scene) error {
	_, err := s.kube.CoreV1().Services(s.namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "work"}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone},
	}, metav1.CreateOptions{})
	return err
}

func holdSecret(ctx context.Context, s *scene) error {
	mc, err := s.make(ctx, user.New("work", 1))
	if err != nil {
		return err
	}
	_, err = s.kube.CoreV1().Secrets(s.namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "work-curve-" + string(mc.UID[:8])},
	}, metav1.CreateOptions{})
	return err
}

func holdPod(ctx context.Context, s *scene) error {
	_, err := s.kube.CoreV1().Pods(s.namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "work-services"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "b"}}},
	}, metav1.CreateOptions{})
	return err
}

func holdClaim(ctx context.Context, s *scene) error {
	_, err := s.kube.CoreV1().PersistentVolumeClaims(s.namespace).Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "work.data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: new("mine"),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	return err
}

func holdVolume(ctx context.Context, s *scene) error {
	mc, err := s.make(ctx, user.New("work", 1, withVolume))
	if err != nil {
		return err
	}
	_, err = s.kube.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: volumeName(mc)},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: "mine",
			Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: "bucket.csi.example", VolumeHandle: "mine"},
			},
		},
	}, metav1.CreateOptions{})
	return err
}

// leaveLease creates an expired lease.
func leaveLease(ctx context.Context, s *scene) error {
	long := metav1.NewMicroTime(time.Now().Add(-time.Hour))
	_, err := s.kube.CoordinationV1().Leases(s.namespace).Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: "minicluster-controller"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: new("deceased"), LeaseDurationSeconds: new(int32(1)), AcquireTime: &long, RenewTime: &long,
		},
	}, metav1.CreateOptions{})
	return err
}

// namespaceDeleted: a namespace with a running cluster can be deleted.
func namespaceDeleted(ctx context.Context, s *scene) error {
	namespaces := s.kube.CoreV1().Namespaces()
	namespace, err := namespaces.Get(ctx, s.namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if namespace.DeletionTimestamp == nil {
		if err := s.makeReady(ctx, user.New("work", 2)); err != nil {
			return err
		}
		if err := namespaces.Delete(ctx, s.namespace, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	return gone(ctx, "the namespace", func(ctx context.Context) error {
		_, err := namespaces.Get(ctx, s.namespace, metav1.GetOptions{})
		return err
	})
}

// rankReplaced: a pod is deleted, and the failure count of its successor is reset.
func rankReplaced(ctx context.Context, s *scene) error {
	if err := s.makeReady(ctx, user.New("work", 2)); err != nil {
		return err
	}
	pods := s.kube.CoreV1().Pods(s.namespace)
	second := metav1.ListOptions{LabelSelector: batchv1.JobCompletionIndexAnnotation + "=1"}
	list, err := pods.List(ctx, second)
	if err != nil {
		return err
	}
	for _, pod := range list.Items {
		if err := pods.Delete(ctx, pod.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return until(ctx, "a pod whose failure count was reset", func(ctx context.Context) (string, error) {
		list, err := pods.List(ctx, second)
		if err != nil {
			return "", err
		}
		for _, pod := range list.Items {
			wrote := slices.ContainsFunc(pod.ManagedFields, func(m metav1.ManagedFieldsEntry) bool { return m.Manager == v1alpha2.ManagedBy })
			if pod.DeletionTimestamp == nil && wrote && pod.Annotations[batchv1.JobIndexFailureCountAnnotation] == "0" {
				return "", nil
			}
		}
		return fmt.Sprintf("there are %d others", len(list.Items)), nil
	})
}

// autoscaled: an autoscaler is created, follows an edit, and is deleted.
func autoscaled(ctx context.Context, s *scene) error {
	mc := user.New("work", 1)
	mc.Spec.MaxSize, mc.Spec.Autoscaling = 4, &v1alpha2.Autoscaling{Metric: v1alpha2.AutoscalingDemand}
	if err := s.makeReady(ctx, mc); err != nil {
		return err
	}
	scaled := func(what string, autoscaling any, bound int32) error {
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"autoscaling": autoscaling}})
		if err != nil {
			return err
		}
		if _, err := s.miniclusters().Patch(ctx, "work", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
		return until(ctx, what, func(ctx context.Context) (string, error) {
			hpa, err := s.kube.AutoscalingV2().HorizontalPodAutoscalers(s.namespace).Get(ctx, "work", metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err) && bound == 0:
				return "", nil
			case err != nil && !apierrors.IsNotFound(err):
				return "", err
			case err != nil || bound == 0 || hpa.Spec.MaxReplicas != bound:
				return fmt.Sprintf("maximum %d", hpa.Spec.MaxReplicas), nil //nolint:nilerr // another size, or none yet
			}
			return "", nil
		})
	}
	return errors.Join(
		scaled("an autoscaler", map[string]any{"maxSize": 4}, 4),
		scaled("an edit of the autoscaler", map[string]any{"maxSize": 3}, 3),
		scaled("no autoscaler", nil, 0),
	)
}
