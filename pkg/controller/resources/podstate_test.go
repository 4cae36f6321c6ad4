package resources

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLeadStarted(t *testing.T) {
	requested := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	ended := func(started time.Time) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: metav1.NewTime(started)}}
	}
	for name, tc := range map[string]struct {
		index, container string
		state            corev1.ContainerState
		kept             bool // not deleted
		want             bool
	}{
		"it runs":                       {"0", "flux", corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, false, true},
		"it waits":                      {"0", "flux", corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}, false, false},
		"it ended":                      {"0", "flux", ended(requested.Add(-time.Minute)), false, true},
		"it ended in a pod that stays":  {"0", "flux", ended(requested.Add(time.Minute)), true, true},
		"it ended and was not started":  {"0", "flux", ended(time.Time{}), false, false},
		"reported after the deletion":   {"0", "flux", ended(requested.Add(time.Second)), false, false},
		"a follower":                    {"1", "flux", ended(requested.Add(-time.Minute)), false, false},
		"another container of the lead": {"0", "nginx", ended(requested.Add(-time.Minute)), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{batchv1.JobCompletionIndexAnnotation: tc.index}}}
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: tc.container, State: tc.state}}
			if !tc.kept {
				pod.DeletionTimestamp = new(metav1.NewTime(requested.Add(30 * time.Second)))
				pod.DeletionGracePeriodSeconds = new(int64(30))
			}
			assert.Equal(t, tc.want, LeadStarted(&pod, "job", "flux"))
		})
	}
}
