package user_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	resourcev1 "k8s.io/api/resource/v1"

	"minicluster.internal/operator/test/framework/user"
)

// TestChecksAreRepeated checks that a state that passes does not end a wait: a field that is unset, a list that is
// empty, an error.
func TestChecksAreRepeated(t *testing.T) {
	t.Parallel()
	claim := &resourcev1.ResourceClaim{}
	var names []string
	times := 0
	err := user.Until(t.Context(), time.Millisecond, "a claim", func(context.Context) (string, error) {
		times++
		switch times {
		case 1:
			return claim.Status.Allocation.Devices.Results[0].Driver, nil
		case 2:
			return names[0], nil
		case 3:
			return "", errors.New("connection refused")
		case 4:
			return "not yet", nil
		}
		return "", nil
	})
	require.NoError(t, err)
	assert.Equal(t, 5, times)
}

// TestLastText checks that a wait without success reports the last state, and the place of a panic.
func TestLastText(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	err := user.Until(ctx, time.Millisecond, "a size", func(ctx context.Context) (string, error) {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		cancel()
		return "it is 3", nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "waiting for a size")
	require.ErrorContains(t, err, "it is 3")

	var claim resourcev1.ResourceClaim
	_, err = user.Try(func() (string, error) { return claim.Status.Allocation.Devices.Results[0].Driver, nil })
	require.ErrorContains(t, err, "the check panics: runtime error: invalid memory address or nil pointer dereference")
	require.ErrorContains(t, err, "wait_test.go")
	assert.PanicsWithValue(t, "on purpose", func() { _, _ = user.Try(func() (string, error) { panic("on purpose") }) })
}
