package controller

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// BenchmarkSync measures a sync that has nothing to write, which most events cause.
func BenchmarkSync(b *testing.B) {
	p := newPlay(b, nil)
	p.calm()
	p.clock.Step(time.Minute)
	p.calm()
	ctx, key, calls := klog.NewContext(context.Background(), logr.Discard()), cache.NewObjectName(testNamespace, "a"), p.calls
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.controller.sync(ctx, key); err != nil {
			b.Fatal(err)
		}
	}
	require.Equal(b, calls, p.calls)
}
