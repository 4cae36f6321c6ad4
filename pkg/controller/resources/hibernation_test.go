package resources

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
	"minicluster.internal/operator/test/framework/sample"
)

func withScaleToZero(mc *v1alpha2.MiniCluster) {
	mc.Spec.Hibernation = &v1alpha2.Hibernation{ScaleToZero: true}
}

func withSuspend(mc *v1alpha2.MiniCluster) { mc.Spec.Suspend = true }

func TestStopCause(t *testing.T) {
	idle := &HibernationRecord{Cause: v1alpha2.CauseIdle, Size: 3}
	for _, tc := range []struct {
		name   string
		mods   []func(*v1alpha2.MiniCluster)
		record *HibernationRecord
		want   v1alpha2.HibernationCause
	}{
		{"runs", nil, nil, ""},
		{"suspended", []func(*v1alpha2.MiniCluster){withSuspend}, nil, v1alpha2.CauseSuspend},
		{"size 0", []func(*v1alpha2.MiniCluster){sample.WithSize(0), withScaleToZero}, nil, v1alpha2.CauseScaledToZero},
		{"size 0 that is rejected", []func(*v1alpha2.MiniCluster){sample.WithSize(0)}, nil, ""},
		{"suspended at size 0", []func(*v1alpha2.MiniCluster){sample.WithSize(0), withScaleToZero, withSuspend}, nil, v1alpha2.CauseSuspend},
		{"suspended before", nil, &HibernationRecord{Cause: v1alpha2.CauseSuspend, Size: 4}, ""},
		{"restarts for changes", nil, &HibernationRecord{Cause: v1alpha2.CauseChanges, Size: 4}, ""},
		{"idle at this size", []func(*v1alpha2.MiniCluster){sample.WithSize(3)}, idle, v1alpha2.CauseIdle},
		{"idle at a larger size", []func(*v1alpha2.MiniCluster){sample.WithSize(2)}, idle, v1alpha2.CauseIdle},
		{"idle at a smaller size", []func(*v1alpha2.MiniCluster){sample.WithSize(4)}, idle, ""},
		{"woken", []func(*v1alpha2.MiniCluster){sample.WithSize(3)}, &HibernationRecord{Cause: v1alpha2.CauseIdle, Size: 3, Woken: true}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, StopCause(sample.MiniCluster(tc.mods...), tc.record)) })
	}
}

func recorded(t *testing.T, r HibernationRecord) *corev1.ConfigMap {
	t.Helper()
	text, err := r.Annotation()
	require.NoError(t, err)
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		v1alpha2.AnnotationHibernation: text, v1alpha2.AnnotationMaximumSize: "4", v1alpha2.AnnotationLayout: "system",
	}}}
}

func TestPendingHibernation(t *testing.T) {
	record := HibernationRecord{Job: "first", Kept: true, Pending: 3}
	woken := record
	woken.Woken = true
	reported := func(job, reason string, status metav1.ConditionStatus) *v1alpha2.MiniCluster {
		mc := sample.MiniCluster()
		mc.Status.JobID, mc.Status.Hibernation = job, &v1alpha2.HibernationStatus{Jobs: &v1alpha2.HibernatedJobs{Pending: 3}}
		meta.SetStatusCondition(&mc.Status.Conditions, metav1.Condition{Type: v1alpha2.ConditionHibernated, Status: status, Reason: reason})
		return mc
	}
	job := &batchv1.Job{}
	for _, tc := range []struct {
		name   string
		mc     *v1alpha2.MiniCluster
		job    *batchv1.Job
		config *corev1.ConfigMap
		want   *HibernationRecord
	}{
		{"never", sample.MiniCluster(), nil, nil, nil},
		{"recorded", reported("first", "Hibernating", metav1.ConditionFalse), nil, recorded(t, record), &record},
		{"the Job still exists", reported("first", "Hibernating", metav1.ConditionFalse), job, recorded(t, record), nil},
		{"the next Job was not created", reported("first", "Waking", metav1.ConditionFalse), nil, recorded(t, woken), &woken},
		{"the next Job was created, and deleted", reported("second", "Awake", metav1.ConditionFalse), nil, recorded(t, woken), nil},
		{"the ConfigMap was deleted", reported("first", "Hibernated", metav1.ConditionTrue), nil, nil, &record},
		{"the ConfigMap was deleted before the state was saved", reported("first", "Hibernating", metav1.ConditionFalse), nil, nil, nil},
		{"the ConfigMap was deleted, and the cluster runs", reported("first", "Awake", metav1.ConditionFalse), nil, nil, nil},
		{"a record that is damaged", sample.MiniCluster(), nil, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{v1alpha2.AnnotationHibernation: "{"},
		}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, PendingHibernation(tc.mc, tc.job, tc.config)) })
	}
}

// TestFixedOfWaking checks that a cluster that hibernates takes the values of its spec, and a running one those that
// are recorded.
func TestFixedOfWaking(t *testing.T) {
	mc := sample.MiniCluster(sample.WithMaxSize(8))
	mc.Status.MaximumSize, mc.Status.JobID = 4, "first"
	record := HibernationRecord{Job: "first", Kept: true, Location: "/old/archive.tar", Checksum: "c0ffee"}
	config := recorded(t, record)

	waking := ResolveFixed(mc, nil, config)
	assert.EqualValues(t, 8, waking.Maximum)
	assert.Equal(t, fluxconfig.LayoutView, waking.Layout)
	assert.Equal(t, "first", waking.Incarnation)
	assert.Equal(t, "/old/archive.tar", waking.RestoreFrom, "the archive has another path now")
	mc.Spec.Archive = &v1alpha2.FluxArchive{Path: "/old/archive.tar"}
	assert.Empty(t, ResolveFixed(mc, nil, config).RestoreFrom)

	job, err := BuildJob(mc, waking, Environment{}, 8)
	require.NoError(t, err)
	mc.Spec.MaxSize = 16
	again := ResolveFixed(mc, job, config)
	assert.EqualValues(t, 8, again.Maximum)
	assert.Equal(t, waking.Incarnation, again.Incarnation)
	assert.Equal(t, waking.RestoreFrom, again.RestoreFrom)
}

func TestNewHibernationRecord(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	mc := sample.MiniCluster()
	job, err := BuildJob(mc, NewFixed(mc), Environment{}, 4)
	require.NoError(t, err)
	job.UID, job.Status.StartTime = "first", new(metav1.NewTime(now.Add(-100*time.Second)))
	begun := v1alpha2.HibernationStatus{Since: metav1.NewTime(now), Cause: v1alpha2.CauseSuspend}
	state := &control.HibernateState{
		Pending: 5, Held: -1, Demand: 1 << 40, Bytes: -1, Location: "/a\n" + strings.Repeat("b", 5000), Canceled: make([]string, 100),
	}
	r := NewHibernationRecord(NewFixed(mc), job, begun, state, &HibernationRecord{ActiveSeconds: 7}, now)
	assert.EqualValues(t, 107, r.ActiveSeconds)
	assert.True(t, r.Kept)
	assert.EqualValues(t, 5, r.Pending)
	assert.Zero(t, r.Held)
	assert.EqualValues(t, 1<<31-1, r.Demand)
	assert.Zero(t, r.Bytes)
	assert.Less(t, len(r.Location), 1100)
	assert.NotContains(t, r.Location, "\n")
	assert.Len(t, r.Canceled, control.MaxHibernatedJobs)
	text, err := r.Annotation()
	require.NoError(t, err)
	assert.Less(t, len(text), 4096)

	spec := &batchv1.JobSpec{ActiveDeadlineSeconds: new(int64(3600))}
	PauseDeadline(spec, r)
	assert.EqualValues(t, 3493, *spec.ActiveDeadlineSeconds)
	spec.ActiveDeadlineSeconds = new(int64(60))
	PauseDeadline(spec, r)
	assert.EqualValues(t, 1, *spec.ActiveDeadlineSeconds)
	PauseDeadline(&batchv1.JobSpec{}, r)

	assert.True(t, NewHibernationRecord(NewFixed(mc), job, begun, nil, nil, now).Unknown)

	job.Spec.Parallelism = new(int32(2))
	assert.EqualValues(t, 4, NewHibernationRecord(NewFixed(mc), job, begun, state, nil, now).Size, "a queue admitted a part of the Job")
}

// TestHibernatedBeforeItStarted: a cluster whose broker did not run starts from the archive that it was to start from.
func TestHibernatedBeforeItStarted(t *testing.T) {
	mc := sample.MiniCluster()
	mc.Spec.Archive = &v1alpha2.FluxArchive{Path: "/state/new.tar"}
	before := &HibernationRecord{Job: "first", Location: "/state/old.tar", Checksum: "c0ffee", Bytes: 7}
	for _, tc := range []struct {
		name   string
		from   string
		before *HibernationRecord
	}{
		{"the archive of another MiniCluster", "/state/small.tar", nil},
		{"the former path of its archive", "/state/old.tar", before},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := NewFixed(mc)
			f.RestoreFrom = tc.from
			job, err := BuildJob(mc, f, Environment{}, 4)
			require.NoError(t, err)
			job.UID = "second"
			record := NewHibernationRecord(f, job, v1alpha2.HibernationStatus{}, nil, tc.before, time.Now())
			assert.Equal(t, tc.from, ResolveFixed(mc, nil, recorded(t, *record)).RestoreFrom)
		})
	}
	f := NewFixed(mc)
	job, err := BuildJob(mc, f, Environment{}, 4)
	require.NoError(t, err)
	job.UID = "second"
	record := NewHibernationRecord(f, job, v1alpha2.HibernationStatus{}, nil, before, time.Now())
	assert.Equal(t, "/state/old.tar", ResolveFixed(mc, nil, recorded(t, *record)).RestoreFrom, "the path changes after two hibernations")
}

// TestArchivesOfPreemptedJobs: a cluster whose pods had ended before it hibernated, with archives at several paths,
// wakes from the newest one: the next lead knows all of them as long as the record exists.
func TestArchivesOfPreemptedJobs(t *testing.T) {
	mc := sample.MiniCluster()
	before := &HibernationRecord{Job: "first", Location: "/state/x.tar", Checksum: "c0ffee"}
	record := before
	for _, path := range []string{"/state/x.tar", "/state/y.tar", "/state/y.tar"} {
		mc.Spec.Archive = &v1alpha2.FluxArchive{Path: path}
		f := NewFixed(mc)
		config, err := BuildConfigMap(mc, f, Environment{}, 4, nil)
		require.NoError(t, err)
		job, err := BuildJob(mc, f, Environment{}, 4)
		require.NoError(t, err)
		job.UID = "second"
		record = NewHibernationRecord(f, job, v1alpha2.HibernationStatus{}, nil, record, time.Now())
		record.AddArchive(PlannedArchive(config))
	}
	assert.Equal(t, []string{"/state/x.tar", "/state/y.tar"}, record.Archives)
	mc.Spec.Archive.Path = "/state/z.tar"
	config := recorded(t, *record)
	waking := ResolveFixed(mc, nil, config)
	assert.Equal(t, "/state/x.tar", waking.RestoreFrom)
	assert.Equal(t, []string{"/state/y.tar"}, waking.Earlier)
	job, err := BuildJob(mc, waking, Environment{}, 4)
	require.NoError(t, err)
	assert.Equal(t, waking.Earlier, ResolveFixed(mc, job, config).Earlier)
	mc.Spec.Archive.Path = "/state/y.tar"
	assert.Empty(t, ResolveFixed(mc, nil, config).Earlier, "its own")

	discarded := *record
	discarded.DiscardState()
	discarding := ResolveFixed(mc, nil, recorded(t, discarded))
	assert.Equal(t, []any{true, "", 0}, []any{discarding.Discard, discarding.RestoreFrom, len(discarding.Earlier)})
	// The Job of that lead is preempted, too, and the state is to be kept by then.
	next := NewHibernationRecord(discarding, job, v1alpha2.HibernationStatus{}, nil, &discarded, time.Now())
	next.AddArchive("/state/z.tar")
	mc.Spec.Archive.Path = "/state/z.tar"
	kept := ResolveFixed(mc, nil, recorded(t, *next))
	assert.Equal(t, []any{false, "", 0}, []any{kept.Discard, kept.RestoreFrom, len(kept.Earlier)}, "discarded states stay so")
	for range 2 * maxArchives {
		record.AddArchive(time.Now().String() + string(record.Job))
	}
	assert.Len(t, record.Archives, maxArchives)
	oldest := record.Archives[0]
	record.AddArchive(oldest)
	assert.Len(t, record.Archives, maxArchives, "it is known")
	record.AddArchive("/state/another.tar")
	assert.Equal(t, []string{oldest, "/state/another.tar"}, record.Archives[maxArchives-2:], "it was written again")
	assert.Empty(t, PlannedArchive(nil))
}

// TestIncarnationOfDeletedJob: the lead of a new Job ignores the marker of a hibernation during which the Job was
// deleted by something else.
func TestIncarnationOfDeletedJob(t *testing.T) {
	mc := sample.MiniCluster()
	mc.Status.MaximumSize, mc.Status.JobID = 4, "first"
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha2.AnnotationMaximumSize: "4"}}}
	assert.Empty(t, ResolveFixed(mc, nil, config).Incarnation)
	mc.Status.Hibernation = &v1alpha2.HibernationStatus{Cause: v1alpha2.CauseSuspend}
	assert.Equal(t, "first", ResolveFixed(mc, nil, config).Incarnation)
	assert.Empty(t, ResolveFixed(mc, &batchv1.Job{}, config).Incarnation, "the Job exists")
}

func TestCheckSizeToZero(t *testing.T) {
	assert.Nil(t, CheckSize(sample.MiniCluster(sample.WithSize(0), withScaleToZero), 4, 2))
	assert.NotNil(t, CheckSize(sample.MiniCluster(sample.WithSize(0)), 4, 2))
	assert.NotNil(t, CheckSize(sample.MiniCluster(sample.WithSize(5), withScaleToZero), 4, 2))
}
