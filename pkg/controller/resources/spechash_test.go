package resources

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

func TestEditedFields(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(*v1alpha2.MiniCluster)
		want []string
	}{
		{"nothing", func(*v1alpha2.MiniCluster) {}, nil},
		{"mutable fields", func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Size, mc.Spec.MinSize, mc.Spec.Cleanup = new(int32(2)), 1, true
			mc.Spec.ScaleDown = &v1alpha2.ScaleDown{}
		}, nil},
		{"the image", func(mc *v1alpha2.MiniCluster) { mc.Spec.Containers[0].Image = "other" }, []string{"spec.containers"}},
		{"maxSize and a field of pod", func(mc *v1alpha2.MiniCluster) {
			mc.Spec.MaxSize = 9
			mc.Spec.Pod = &v1alpha2.PodSpec{SchedulerName: "fluence"}
		}, []string{"spec.maxSize", "spec.pod.schedulerName"}},
		{"the default of v1alpha1, written by a patch through that version", func(mc *v1alpha2.MiniCluster) {
			sample.WithInstallRoot(mc)
			v1alpha2.SetDefaults(mc)
		}, nil},
		{"a real edit of flux in addition", func(mc *v1alpha2.MiniCluster) {
			sample.WithInstallRoot(mc)
			mc.Spec.Flux.LogLevel = new(int32(7))
		}, []string{"spec.flux.logLevel"}},
		{"an empty parent", func(mc *v1alpha2.MiniCluster) { mc.Spec.Logging = &v1alpha2.LoggingSpec{} }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			record, err := specHash(sample.MiniCluster())
			require.NoError(t, err)
			mc := sample.MiniCluster()
			tc.edit(mc)
			got, err := EditedFields(mc, record)
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
}

// TestRecordsOfEarlierReleases checks that a record of a release that had fewer fields, or recorded defaults, is not
// reported as an edit.
func TestRecordsOfEarlierReleases(t *testing.T) {
	mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Flux = &v1alpha2.FluxSpec{Container: &v1alpha2.FluxContainer{}}
		mc.Spec.Containers[0].FluxUser = &v1alpha2.FluxUser{}
	})
	withDefaults, err := fieldHashes(mc, v1alpha2.SetDefaults)
	require.NoError(t, err)
	for name, edit := range map[string]func(record map[string]string){
		"defaults are recorded":              func(map[string]string) {},
		"without fields that have defaults":  func(r map[string]string) { delete(r, "tasks"); delete(r, "flux.logLevel") },
		"without a field below an object":    func(r map[string]string) { delete(r, "flux.connectTimeout") },
		"without the deadline and its limit": func(r map[string]string) { delete(r, "deadlineSeconds") },
	} {
		t.Run(name, func(t *testing.T) {
			record := maps.Clone(withDefaults)
			edit(record)
			text, err := json.Marshal(record)
			require.NoError(t, err)
			got, err := EditedFields(mc, string(text))
			require.NoError(t, err)
			assert.Empty(t, got)

			mc := mc.DeepCopy()
			mc.Spec.Tasks = new(int32(7))
			got, err = EditedFields(mc, string(text))
			require.NoError(t, err)
			assert.Equal(t, []string{"spec.tasks"}, got, "an edit is still found")
		})
	}
}

func TestSpecHashHidesSecrets(t *testing.T) {
	secret := func(value string) *v1alpha2.MiniCluster {
		return sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Users = []v1alpha2.MiniClusterUser{{Name: "peach", Password: value}}
			mc.Spec.Flux = &v1alpha2.FluxSpec{CurveCert: value}
			mc.Spec.FluxRestful = &v1alpha2.FluxRestful{Token: value, SecretKey: value}
		})
	}
	one, err := specHash(secret("one"))
	require.NoError(t, err)
	other, err := specHash(secret("other"))
	require.NoError(t, err)
	assert.Equal(t, one, other)
}

func TestEditedFieldsWithoutRecord(t *testing.T) {
	for _, record := range []string{"", "nonsense", "null"} {
		got, err := EditedFields(sample.MiniCluster(), record)
		require.NoError(t, err)
		if record != "null" {
			assert.Empty(t, got)
		}
	}
}

// TestRecordsWithEmptyValues checks records of a release that wrote empty values of fields that were not set.
func TestRecordsWithEmptyValues(t *testing.T) {
	mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Logging = &v1alpha2.LoggingSpec{Timed: true}
		mc.Spec.Network = &v1alpha2.Network{HeadlessName: "s"}
	})
	now, err := fieldHashes(mc, v1alpha2.DropDefaults)
	require.NoError(t, err)
	for field, tc := range map[string]struct {
		value  string
		edited bool
	}{
		"logging.quiet": {"false", false}, "logging.zeromq": {"false", false}, "flux.disableSocket": {"false", false}, "pod.labels": {"{}", false},
		"jobLabels": {"{}", false}, "users": {"[]", false}, "services": {"null", false}, "network.disableAffinity": {"false", false},
		"placement": {`""`, false}, "archive": {"{}", false}, "fluxRestful": {"null", false}, "flux.brokerConfig": {`""`, false},
		// These were set, and are not any more.
		"backoffLimit": {"0", true}, "logging.strict": {"false", true}, "logging.debug": {"true", true}, "pod.schedulerName": {`"x"`, true},
		"unknown": {"false", true},
	} {
		t.Run(field, func(t *testing.T) {
			require.NotContains(t, now, field)
			record := maps.Clone(now)
			record[field] = hash([]byte(tc.value))
			text, err := json.Marshal(record)
			require.NoError(t, err)
			got, err := EditedFields(mc, string(text))
			require.NoError(t, err)
			assert.Equal(t, tc.edited, len(got) > 0, got)
		})
	}
}
