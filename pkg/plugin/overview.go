package plugin

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// overview describes all MiniClusters of the namespace, or of all namespaces.
type overview struct {
	items    []v1alpha2.MiniCluster
	scalers  scalers
	problems int
	// namespaces shows the namespaces.
	namespaces bool
	// size and ready are sums of the numbers of pods.
	size, ready int64
}

// overview reads all MiniClusters, and sorts those with problems first.
func (s *session) overview(ctx context.Context, namespaces bool) (*overview, error) {
	items, err := s.list(ctx, nil)
	if err != nil {
		return nil, err
	}
	o := &overview{items: items, namespaces: namespaces, scalers: s.autoscalers(ctx)}
	for i := range items {
		o.size += int64(items[i].Status.Size)
		o.ready += int64(items[i].Status.ReadySize)
		if hasProblem(&items[i]) {
			o.problems++
		}
	}
	slices.SortStableFunc(o.items, func(a, b v1alpha2.MiniCluster) int {
		switch left, right := hasProblem(&a), hasProblem(&b); {
		case left == right:
			return 0
		case left:
			return -1
		}
		return 1
	})
	return o, nil
}

func hasProblem(mc *v1alpha2.MiniCluster) bool {
	return slices.ContainsFunc(mc.Status.Conditions, isProblem)
}

// screen is a table with as many MiniClusters as fit.
func (o *overview) screen(p painter, on screen) string {
	var table bytes.Buffer
	_ = writeTable(&table, o.items, o.scalers, o.namespaces) // a buffer does not fail
	title := fmt.Sprintf("%s, %d with problems, %d of %d pods ready\n",
		p.title(fmt.Sprintf("%d MiniClusters", len(o.items))), o.problems, o.ready, o.size)
	rest := screen{on.width, max(on.height-1, 0)}
	return on.crop(title) + rest.cut(on.crop(table.String()), "(%d more)")
}

// line is the overview on one line.
func (o *overview) line(now time.Time) string {
	return fmt.Sprintf("%s clusters=%d problems=%d size=%d ready=%d", now.UTC().Format(time.RFC3339), len(o.items), o.problems, o.size, o.ready)
}
