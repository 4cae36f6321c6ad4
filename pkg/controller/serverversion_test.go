package controller

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/version"

	"minicluster.internal/operator/pkg/controller/resources"
)

func TestServerMinor(t *testing.T) {
	for _, tc := range []struct {
		major, minor string
		want         int
	}{{"1", "36", 36}, {"1", "27+", 27}, {"", "", 0}, {"2", "1", 0}, {"1", "x", 0}} {
		assert.Equal(t, tc.want, parseMinor(&version.Info{Major: tc.major, Minor: tc.minor}), "%+v", tc)
	}
	assert.True(t, resources.Environment{}.AtLeast(99), "the newest")
	assert.True(t, resources.Environment{ServerMinor: 29}.AtLeast(29))
	assert.False(t, resources.Environment{ServerMinor: 28}.AtLeast(29))
}

// TestServerVersionIsAskedForAgain checks that the controller waits for a server that does not run yet.
func TestServerVersionIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &slowServer{failures: 3}
		minor, err := serverMinor(t.Context(), server)
		require.NoError(t, err)
		assert.Equal(t, 31, minor)

		ctx, cancel := context.WithTimeout(t.Context(), 10*versionRetry)
		defer cancel()
		_, err = serverMinor(ctx, &slowServer{failures: 1000})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// slowServer fails some requests before it answers.
type slowServer struct{ failures int }

func (s *slowServer) ServerVersion() (*version.Info, error) {
	if s.failures--; s.failures >= 0 {
		return nil, errors.New("not yet")
	}
	return &version.Info{Major: "1", Minor: "31"}, nil
}
