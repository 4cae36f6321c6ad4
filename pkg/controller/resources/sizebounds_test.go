package resources

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

func TestDeny(t *testing.T) {
	for _, tc := range []struct {
		name                          string
		size, minSize                 int32
		maximum, parallelism, granted int32
		reason                        string
	}{
		{name: "within", size: 3, maximum: 4, parallelism: 4},
		{name: "the maximum itself", size: 4, maximum: 4, parallelism: 4},
		{name: "one", size: 1, maximum: 4, parallelism: 4},
		{name: "above", size: 5, maximum: 4, parallelism: 3, granted: 4, reason: v1alpha2.ReasonAboveMaximum},
		{name: "zero", size: 0, maximum: 4, parallelism: 3, granted: 3, reason: v1alpha2.ReasonBelowMinimum},
		{name: "zero before there is a Job", size: 0, maximum: 4, granted: 1, reason: v1alpha2.ReasonBelowMinimum},
		{name: "below minSize", size: 1, minSize: 2, maximum: 4, parallelism: 3, granted: 3, reason: v1alpha2.ReasonBelowMinimum},
		{name: "below minSize before there is a Job", size: 1, minSize: 2, maximum: 4, granted: 2, reason: v1alpha2.ReasonBelowMinimum},
		{name: "minSize raised above the Job", size: 2, minSize: 3, maximum: 4, parallelism: 2, granted: 3, reason: v1alpha2.ReasonBelowMinimum},
		{name: "minSize above the maximum has no effect", size: 2, minSize: 9, maximum: 4, parallelism: 4},
		{name: "another client scaled the Job out of bounds", size: 0, maximum: 4, parallelism: 9, granted: 4, reason: v1alpha2.ReasonBelowMinimum},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mc := sample.MiniCluster(sample.WithSize(tc.size), sample.WithMinSize(tc.minSize))
			d := CheckSize(mc, tc.maximum, tc.parallelism)
			if tc.reason == "" {
				assert.Nil(t, d)
				return
			}
			require.NotNil(t, d)
			assert.Equal(t, tc.granted, d.Granted)
			assert.Equal(t, tc.reason, d.Reason)
			assert.Equal(t, tc.size, d.Requested)
			// A size that spec.size is reset to must always be within the bounds.
			assert.Nil(t, CheckSize(sample.MiniCluster(sample.WithSize(d.Granted), sample.WithMinSize(tc.minSize)), tc.maximum, tc.parallelism))
		})
	}
}

func TestRejectedSizeHoldsUntilTheNextEdit(t *testing.T) {
	d := CheckSize(sample.MiniCluster(sample.WithSize(5)), 4, 4)
	require.NotNil(t, d)
	assert.Contains(t, d.Message(), "size 5 was rejected: the maximum is 4")
	text, err := d.Annotation()
	require.NoError(t, err)

	mc := sample.MiniCluster()
	mc.Annotations = map[string]string{v1alpha2.AnnotationRejectedSize: text}
	mc.Generation = 2 // the write that reset the size
	assert.Equal(t, d, RecordedRejection(mc))
	copied := mc.DeepCopy()
	copied.UID = "another"
	assert.Nil(t, RecordedRejection(copied), "a document that was copied with its annotations")
	mc.Generation = 3 // an edit by the user
	assert.Nil(t, RecordedRejection(mc))
	mc.Annotations[v1alpha2.AnnotationRejectedSize] = "nonsense"
	assert.Nil(t, RecordedRejection(mc))
}
