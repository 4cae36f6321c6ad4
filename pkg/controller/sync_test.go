package controller

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
)

// A status that is due in a moment must not make a sync that failed forget how often
// it has failed already.
func TestFailuresAreCountedWhileTheStatusWaits(t *testing.T) {
	p := newPlay(t, nil)
	p.seeAll()
	p.work(5)
	p.seeAll()
	p.work(5)
	p.remove(configmaps, "a-config")
	p.runJobs()
	p.runPods(false)
	p.seeAll()
	p.faults = []fault{{err: apierrors.NewInternalError(errors.New("injected"))}, {err: apierrors.NewInternalError(errors.New("injected"))}}
	key := cache.NewObjectName(testNamespace, "a")
	writes := p.cluster("a").ResourceVersion
	p.work(1)
	assert.Equal(t, 1, p.queue.failures[key])
	assert.Equal(t, writes, p.cluster("a").ResourceVersion, "the status was written less than a second ago")
	p.clock.Step(time.Minute)
	p.work(1)
	assert.Equal(t, 2, p.queue.failures[key])
	require.NotEqual(t, writes, p.cluster("a").ResourceVersion, "the status is due")
}
