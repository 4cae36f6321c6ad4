package plugin

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

var answers = map[string]string{
	"resource list":     "all 4 8\nup 4 8\nallocated 1 2\ndown 0 \n",
	"jobs -A --stats-o": "1 running, 12 completed, 0 failed, 3 pending, 0 inactive purged\n",
}

func autoscaler(name string) *autoscalingv2.HorizontalPodAutoscaler {
	two := int32(2)
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "MiniCluster", Name: "sample"}, MinReplicas: &two, MaxReplicas: 8,
		},
		Status: autoscalingv2.HorizontalPodAutoscalerStatus{DesiredReplicas: 5},
	}
}

func TestStatus(t *testing.T) {
	mc := sample()
	f := newFixture(t, append(podsOf(jobOf(t, mc, 4, 4), 4), mc, autoscaler("on-queue"))...)
	f.executor.answers = answers
	assert.Equal(t, `MiniCluster team/sample  Ready, age 10h
  Size        4 requested, 4 exist, 4 ready; bounds 1-8, quorum 1
  Scaled by   hpa/on-queue between 2 and 8, which asks for 5
  Lead        sample-0-abcde on node node-1
  Ranks       1 busy, 3 idle or drained, 0 offline of 4
  Cores       2 of 8 in use
  Jobs        1 running, 12 completed, 3 pending
  Conditions
    Accepted=True Valid: the spec is valid
    Ready=True Ready: 4 of 4 pods are ready
  Next
    kubectl minicluster run sample hostname
    kubectl minicluster connect sample
`, f.must("status", "sample"))
}

// Without active jobs, flux jobs --stats-only fails.
func TestStatusWithoutActiveJobs(t *testing.T) {
	mc := sample()
	f := newFixture(t, append(podsOf(jobOf(t, mc, 4, 4), 4), mc)...)
	f.executor.answers = map[string]string{
		"resource list": answers["resource list"], "jobs -A --stats-o": "0 running, 12 completed, 0 failed, 0 pending, 0 inactive purged\n",
	}
	f.executor.codes = map[string]int{"jobs -A --stats-o": 1}
	assert.Contains(t, f.must("status", "sample"), "  Jobs        12 completed\n")
}

// What can't be read is part of the report, and problems come first.
func TestStatusOfProblems(t *testing.T) {
	mc := sample(
		condition(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonImagePullFailed, "image flux can't be pulled"),
		func(mc *v1alpha2.MiniCluster) { mc.Generation = 3; mc.Status.ReadySize = 0 },
	)
	f := newFixture(t, append(podsOf(jobOf(t, mc, 4, 0), 4), mc)...)
	f.executor.err = errors.New("pods \"sample-0-abcde\" is forbidden")
	out := f.must("status", "sample")
	assert.Contains(t, out, "Flux        unknown: pods \"sample-0-abcde\" is forbidden\n")
	assert.Contains(t, out, "  Conditions\n  ! Ready=False ImagePullFailed: image flux can't be pulled\n")
	assert.Contains(t, out, "! the controller has not seen the last change yet")
	assert.Contains(t, out, "Next\n    kubectl minicluster doctor sample\n")
}

func TestGet(t *testing.T) {
	f := newFixture(t, sample(), sample(func(mc *v1alpha2.MiniCluster) { mc.Name = "other"; mc.Status = v1alpha2.MiniClusterStatus{} }), autoscaler("on-queue"))
	assert.Equal(t, `NAME     SIZE   READY   BOUNDS   STATUS    SCALED BY      AGE
other    0      0       1-?      Unknown   <none>         10h
sample   4      4       1-8      Ready     hpa/on-queue   10h
`, f.must("get"))
	assert.Equal(t, "minicluster.flux-framework.org/sample\n", f.must("get", "sample", "-o", "name"))
	assert.Contains(t, f.must("get", "sample", "-o", "yaml"), "kind: MiniCluster\n")
	_, err := f.run("get", "none")
	require.ErrorContains(t, err, `"none" not found`)
}

// Without a terminal, top prints a line for each update.
func TestTop(t *testing.T) {
	mc := sample()
	f := newFixture(t, append(podsOf(jobOf(t, mc, 4, 4), 4), mc)...)
	f.executor.answers = answers
	out := f.must("top", "sample", "--count=2", "--interval=100ms")
	assert.Regexp(t, `^(\S+Z size=4 ready=4 bounds=1-8 status=Ready busy=1 online=4 cores=2/8 jobs="1 running, 12 completed, 3 pending"\n){2}$`, out)
	_, err := f.run("top", "sample", "--interval=1ms")
	require.ErrorContains(t, err, "--interval")
}

func TestJobStatistics(t *testing.T) {
	for line, want := range map[string]string{
		"":          "none",
		"0 running": "none",
		"2 running, 0 completed, 0 failed, 10 pending": "2 running, 10 pending",
	} {
		assert.Equal(t, want, jobStatistics(line), line)
	}
}

// Conditions are sorted by trouble, and keep their order otherwise.
func TestSortConditions(t *testing.T) {
	mc := sample(condition(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonAboveMaximum, ""))
	var kinds []string
	for _, c := range sortConditions(mc.Status.Conditions) {
		kinds = append(kinds, c.Type)
	}
	assert.Equal(t, []string{v1alpha2.ConditionScalingLimited, v1alpha2.ConditionAccepted, v1alpha2.ConditionReady}, kinds)
	assert.Equal(t, "10h", age(time.Now().Add(-sampleAge)))
}
