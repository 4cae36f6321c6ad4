package supervise

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWithin(t *testing.T) {
	never := make(chan struct{})
	hangs := func() (int, error) { <-t.Context().Done(); return 0, nil }
	n, err := within(t.Context(), never, func() (int, error) { return 3, nil })
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	_, err = within(t.Context(), never, func() (int, error) { return 0, errors.New("full") })
	require.EqualError(t, err, "full")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = within(ended, never, hangs)
	require.ErrorContains(t, err, "does not respond")
	stop := make(chan struct{})
	close(stop)
	_, err = within(t.Context(), stop, hangs)
	require.ErrorContains(t, err, "asked to stop")
}
