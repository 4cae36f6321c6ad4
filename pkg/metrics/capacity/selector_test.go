package capacity

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
)

// TestSelectedNodes checks that only users who may list nodes can select some of them, even if none matches.
func TestSelectedNodes(t *testing.T) {
	var allowed bool
	var failure error
	r := newRig(t, Options{MayListNodes: func(context.Context) (bool, error) { return allowed, failure }})
	r.addNode(t, "a", "4", "batch")
	r.run(t)
	none, err := labels.Parse("!pool")
	require.NoError(t, err)
	selectors := []labels.Selector{labels.SelectorFromSet(labels.Set{"pool": "batch"}), none}
	for _, selector := range selectors {
		_, err := r.ask(t, "services", DefaultService, "cpu_remaining", selector)
		assert.True(t, apierrors.IsForbidden(err), "%s: %v", selector, err)
		assert.ErrorContains(t, err, "requires the right to list nodes")
	}
	for _, selector := range []labels.Selector{nil, labels.Everything()} {
		values, err := r.ask(t, "services", DefaultService, "cpu_remaining", selector)
		require.NoError(t, err)
		assert.Len(t, values, 1)
	}
	allowed = true
	for i, selector := range selectors {
		values, err := r.ask(t, "services", DefaultService, "cpu_remaining", selector)
		require.NoError(t, err)
		require.Len(t, values, 1)
		assert.Equal(t, []string{"4", "0"}[i], values[0].Quantity.String())
	}
	failure = errors.New("no answer")
	_, err = r.ask(t, "services", DefaultService, "cpu_remaining", selectors[0])
	assert.ErrorIs(t, err, failure)
}
