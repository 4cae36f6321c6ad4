package diagnosis

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/validation"
	"minicluster.internal/operator/test/framework/golden"
)

var examined = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// aPod returns a pod of an index that has a node and runs, but is not ready, changed by mods.
func aPod(index int, mods ...func(*corev1.Pod)) corev1.Pod {
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("flux-sample-%d-abcde", index), Namespace: "flux-operator",
			Labels:            map[string]string{v1alpha2.LabelName: "flux-sample"},
			Annotations:       map[string]string{batchv1.JobCompletionIndexAnnotation: strconv.Itoa(index)},
			CreationTimestamp: metav1.NewTime(examined.Add(-time.Minute)),
		},
		Spec: corev1.PodSpec{
			NodeName: "node-1", SchedulerName: "default-scheduler",
			InitContainers: []corev1.Container{
				{Name: resources.AgentContainer, Image: "minicluster:v1"},
				{Name: "web", Image: "nginx", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)},
			},
			Containers: []corev1.Container{{Name: "flux-sample", Image: "flux:1"}, {Name: "side", Image: "side:1"}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning,
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue},
				{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady"},
			},
			InitContainerStatuses: []corev1.ContainerStatus{
				{Name: resources.AgentContainer, State: terminated(0, "Completed")},
				{Name: "web", Ready: true, State: runs()},
			},
			ContainerStatuses: []corev1.ContainerStatus{
				{Name: "flux-sample", State: runs()},
				{Name: "side", Ready: true, State: runs()},
			},
		},
	}
	for _, mod := range mods {
		mod(&pod)
	}
	return pod
}

// mountsImages gives a pod the images of the agent and of the view as volumes.
func mountsImages(pod *corev1.Pod) {
	pod.Spec.InitContainers, pod.Status.InitContainerStatuses = nil, nil
	for name, image := range map[string]string{validation.AgentVolume: "minicluster:v1", validation.ViewImageVolume: "view:1"} {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: image},
		}})
	}
}

func runs() corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
}

func terminated(code int32, reason string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, FinishedAt: metav1.NewTime(examined)}}
}

func waits(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func setCondition(c corev1.PodCondition) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		if old := podCondition(pod, c.Type); old != nil {
			*old = c
			return
		}
		pod.Status.Conditions = append(pod.Status.Conditions, c)
	}
}

func isReady(pod *corev1.Pod) {
	setCondition(corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})(pod)
}

// unplaced makes a pod one without a node.
func unplaced(pod *corev1.Pod) {
	pod.Spec.NodeName = ""
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
}

// addFirst adds a native sidecar, as an admission policy does, before the other init containers.
func addFirst(name string, status corev1.ContainerStatus) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		status.Name = name
		pod.Spec.InitContainers = append([]corev1.Container{{Name: name, Image: "proxy:1", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}}, pod.Spec.InitContainers...)
		pod.Status.InitContainerStatuses = append([]corev1.ContainerStatus{status}, pod.Status.InitContainerStatuses...)
	}
}

// begins makes a pod one that was just assigned to a node.
func begins(pod *corev1.Pod) {
	pod.Status.Phase = corev1.PodPending
	pod.Status.InitContainerStatuses[0].State = waits("PodInitializing", "")
	for i := range pod.Status.ContainerStatuses {
		pod.Status.ContainerStatuses[i].State = waits("PodInitializing", "")
	}
}

func inState(index int, state corev1.ContainerState) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Status.ContainerStatuses[index].State = state }
}

func fails(states ...corev1.ContainerState) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodFailed
		for i, state := range states {
			pod.Status.ContainerStatuses[i].State = state
		}
	}
}

func evicted(pod *corev1.Pod) {
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory. ",
		Conditions: []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "TerminationByKubelet", Message: "The node was low on resource: memory."}},
	}
}

// TestProblems compares the messages about pods with testdata/problems.txt.
func TestProblems(t *testing.T) {
	stopped := func(ago time.Duration) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { pod.DeletionTimestamp = new(metav1.NewTime(examined.Add(-ago))) }
	}
	second := func(pod *corev1.Pod) { pod.Name += "-second" }
	var text strings.Builder
	for _, tc := range []struct {
		name   string
		pods   []corev1.Pod
		reason string
	}{
		{"no pods at all", nil, ""},
		{"all are ready", []corev1.Pod{aPod(0, isReady), aPod(1, isReady)}, ""},
		{"no node has room", []corev1.Pod{aPod(0, isReady), aPod(2, unplaced, setCondition(corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/4 nodes are available: 4 Insufficient cpu.",
		}))}, "Unschedulable"},
		{"scheduling gates", []corev1.Pod{aPod(0, unplaced, func(pod *corev1.Pod) {
			pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "kueue.x-k8s.io/admission"}}
		})}, "Unschedulable"},
		{"no scheduler", []corev1.Pod{aPod(0, unplaced)}, "Unschedulable"},
		{"a kubelet that is only slow", []corev1.Pod{aPod(0, func(pod *corev1.Pod) {
			pod.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(examined.Add(-20 * time.Second))},
			}}
		})}, "NotReady"},
		{"no kubelet", []corev1.Pod{aPod(0, func(pod *corev1.Pod) { pod.Status = corev1.PodStatus{Phase: corev1.PodPending} })}, "NodeLost"},
		{"a Secret is missing", []corev1.Pod{aPod(0, begins, setCondition(corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse}))}, "NotMounted"},
		{"the agent's image is pulled", []corev1.Pod{aPod(0, begins)}, "Pulling"},
		{"a view is copied", []corev1.Pod{aPod(0, begins, func(pod *corev1.Pod) { pod.Status.InitContainerStatuses[0].State = runs() })}, "Pulling"},
		{"a native sidecar that was added has not started", []corev1.Pod{aPod(0, begins, addFirst("istio-proxy", corev1.ContainerStatus{State: runs(), Started: new(false)}))}, "NotReady"},
		{"an init container that was added runs", []corev1.Pod{aPod(0, begins, func(pod *corev1.Pod) {
			addFirst("vault-agent-init", corev1.ContainerStatus{State: runs()})(pod)
			pod.Spec.InitContainers[0].RestartPolicy = nil
		})}, "Pulling"},
		{"a native sidecar that was added restarts", []corev1.Pod{aPod(0, begins, addFirst("istio-proxy", corev1.ContainerStatus{
			State: waits("CrashLoopBackOff", ""), LastTerminationState: terminated(1, "Error"),
		}))}, "PodsFailing"},
		{"a native sidecar that was added is not ready", []corev1.Pod{aPod(1, addFirst("istio-proxy", corev1.ContainerStatus{State: runs(), Started: new(true)}), func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses[0].Ready = true
		})}, "NotReady"},
		{"the broker and a native sidecar are not ready", []corev1.Pod{aPod(1, addFirst("istio-proxy", corev1.ContainerStatus{State: runs(), Started: new(true)}))}, "BrokerOffline"},
		{"the image is pulled", []corev1.Pod{aPod(0, inState(0, waits("PodInitializing", "")))}, "Pulling"},
		{"no such image", []corev1.Pod{
			aPod(0, inState(0, waits("ErrImagePull", `failed to pull and unpack image "flux:1": not found`))),
			aPod(1, inState(0, waits("ImagePullBackOff", `Back-off pulling image "flux:1": ErrImagePull: failed to pull and unpack image "flux:1": not found`))),
			aPod(2, inState(0, waits("ImagePullBackOff", "Back-off pulling image"))),
			aPod(3),
		}, "ImagePullFailed"},
		{"the agent's image does not exist", []corev1.Pod{aPod(1, begins, func(pod *corev1.Pod) { pod.Status.InitContainerStatuses[0].State = waits("ErrImageNeverPull", "") })}, "ImagePullFailed"},
		{"the runtime has no image volumes", []corev1.Pod{aPod(1, mountsImages, inState(0, waits("CreateContainerError",
			`failed to generate container "c1" spec: failed to generate spec: failed to mkdir "": mkdir : no such file or directory`)))}, "ContainerNotStarted"},
		{"a mounted image does not exist", []corev1.Pod{aPod(1, mountsImages, inState(0, waits("ErrImagePull",
			`failed to pull and unpack image "minicluster:v1": not found`)))}, "ImagePullFailed"},
		{"a key is missing", []corev1.Pod{aPod(1, inState(0, waits("CreateContainerConfigError", `couldn't find key password in Secret flux-operator/db`)))}, "ContainerNotStarted"},
		{"containers are restarted", []corev1.Pod{aPod(1, inState(0, waits("CrashLoopBackOff", "back-off 40s restarting failed container")), func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses[0].LastTerminationState = terminated(212, "Error")
			pod.Status.ContainerStatuses[0].LastTerminationState.Terminated.Message = "the hook workerPre failed\n"
		})}, "PodsFailing"},
		{"a sidecar has ended", []corev1.Pod{aPod(1, inState(1, terminated(3, "Error")))}, "PodsFailing"},
		{"a sidecar is not ready", []corev1.Pod{aPod(1, func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses[0].Ready, pod.Status.ContainerStatuses[1].Ready = true, false
		})}, "NotReady"},
		{"the broker is not online", []corev1.Pod{aPod(0, isReady), aPod(1), aPod(2)}, "BrokerOffline"},
		{"the node does not answer", []corev1.Pod{aPod(1, setCondition(corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse}), func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses[0].Ready = true
		})}, "NodeLost"},
		{"it is being stopped", []corev1.Pod{aPod(3, stopped(0))}, ""},
		{"it does not stop", []corev1.Pod{aPod(3, stopped(time.Minute))}, "NodeLost"},
		{"it was evicted", []corev1.Pod{aPod(0, evicted), aPod(1)}, "PodsFailing"},
		{"it was evicted and is recreated", []corev1.Pod{aPod(0, evicted), aPod(0, second, inState(0, waits("PodInitializing", "")))}, "Pulling"},
		{"it was evicted and is back", []corev1.Pod{aPod(0, evicted), aPod(0, second, isReady)}, ""},
		{"it was evicted and finds no room", []corev1.Pod{aPod(0, evicted), aPod(0, second, unplaced)}, "Unschedulable"},
		{"out of memory, repeatedly", []corev1.Pod{
			aPod(2, fails(terminated(137, "OOMKilled"))), aPod(2, second, fails(terminated(137, "OOMKilled"))), aPod(2, inState(0, waits("PodInitializing", ""))),
		}, "PodsFailing"},
		{"a permanently missing pod", []corev1.Pod{aPod(0, isReady), aPod(4, fails(terminated(143, "Error")))}, ""},
		{"no pod of an index", []corev1.Pod{aPod(0, func(pod *corev1.Pod) { delete(pod.Annotations, batchv1.JobCompletionIndexAnnotation) })}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			examiner := NewPods("flux-sample", 4, examined)
			for i := range tc.pods {
				examiner.Add(&tc.pods[i])
			}
			p := examiner.Worst()
			require.Equal(t, tc.reason, reasonOf(p))
			fmt.Fprintf(&text, "# %s\n", tc.name)
			if p != nil {
				fmt.Fprintf(&text, "%s: %s\n", p.Reason, p.Message())
			}
		})
	}
	golden.Check(t, "problems.txt", []byte(text.String()))
}

// TestFailureCause compares the messages about failed Jobs with testdata/failures.txt.
func TestFailureCause(t *testing.T) {
	var text strings.Builder
	at := func(d time.Duration, state corev1.ContainerState) corev1.ContainerState {
		state.Terminated.FinishedAt = metav1.NewTime(examined.Add(d))
		return state
	}
	byPolicy := `Container flux-sample for pod flux-operator/flux-sample-0-abcde failed with exit code 3 matching FailJob rule at index 2`
	for _, tc := range []struct {
		name string
		end  batchv1.JobCondition
		pods []corev1.Pod
		want string
	}{
		{"the program failed", batchv1.JobCondition{Reason: "PodFailurePolicy", Message: byPolicy}, []corev1.Pod{
			aPod(0, fails(terminated(3, "Error"), terminated(0, "Completed"))), aPod(1, fails(at(time.Second, terminated(143, "Error")))),
		}, "exit code 3"},
		{"the pod does not exist any more", batchv1.JobCondition{Reason: "PodFailurePolicy", Message: byPolicy}, []corev1.Pod{aPod(1)}, ""},
		{"too many failures", batchv1.JobCondition{Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit", LastTransitionTime: metav1.NewTime(examined)}, []corev1.Pod{
			aPod(1, fails(at(-2*time.Second, terminated(1, "Error")))),
			aPod(2, fails(at(-time.Second, terminated(137, "OOMKilled")))),
			aPod(3, fails(at(time.Second, terminated(143, "Error"))), func(pod *corev1.Pod) { pod.DeletionTimestamp = new(metav1.NewTime(examined.Add(time.Second))) }),
		}, "OOM-killed"},
		{"a sidecar failed", batchv1.JobCondition{Reason: "BackoffLimitExceeded"}, []corev1.Pod{aPod(1, fails(terminated(0, "Completed"), terminated(5, "Error")))}, "container side ended with exit code 5"},
		{"it was evicted", batchv1.JobCondition{Reason: "BackoffLimitExceeded"}, []corev1.Pod{aPod(1, evicted)}, "low on resource"},
		{"it was evicted while it ran", batchv1.JobCondition{Reason: "BackoffLimitExceeded"}, []corev1.Pod{aPod(1, fails(terminated(143, "Error")), setCondition(corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting",
		}))}, "EvictionByEvictionAPI"},
		{"a reason of Kubernetes' own", batchv1.JobCondition{Reason: "BackoffLimitExceeded"}, []corev1.Pod{aPod(1, func(pod *corev1.Pod) {
			pod.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "UnexpectedAdmissionError", Message: "Allocate failed"}
		})}, "Allocate failed"},
		{"the agent gave up", batchv1.JobCondition{Reason: "BackoffLimitExceeded"}, []corev1.Pod{aPod(0, fails(terminated(211, "Error")), func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses[0].State.Terminated.Message = "the broker ended 5 times in a row, the last time with exit code 1\n"
		})}, "5 times"},
		{"it took too long", batchv1.JobCondition{Reason: "DeadlineExceeded"}, []corev1.Pod{aPod(0)}, "deadlineSeconds"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			failure := NewFailure(&tc.end)
			for i := range tc.pods {
				failure.Add(&tc.pods[i])
			}
			got := failure.Cause("flux-sample")
			if tc.want == "" {
				assert.Empty(t, got)
			}
			assert.Contains(t, got, tc.want)
			fmt.Fprintf(&text, "# %s\n%s\n", tc.name, got)
		})
	}
	golden.Check(t, "failures.txt", []byte(text.String()))
}
