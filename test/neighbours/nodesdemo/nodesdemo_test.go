package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/neighbours/neighbour"
)

func TestQueue(t *testing.T) {
	var q queue
	start := time.Unix(0, 0)
	demanded := func(n int) {
		t.Helper()
		assert.Equal(t, fmt.Sprintf("flux_nodes_demanded %d", n), q.exposition())
	}
	demanded(0)
	q.submit(3, time.Minute)
	q.tick(start, []int{0})
	demanded(3)
	q.tick(start.Add(30*time.Second), []int{2, 0, 1})
	demanded(3)
	q.tick(start.Add(time.Minute), []int{0, 1, 2})
	demanded(3) // rank 2 is busy, rank 0 is not
	pending, running, ended, highest := q.counts()
	assert.Equal(t, []int{0, 2, 1, 2}, []int{pending, running, ended, highest})
	q.tick(start.Add(2*time.Minute), nil)
	demanded(0)
}

// TestCommitted checks that the plot and the tutorial match the recorded run.
func TestCommitted(t *testing.T) {
	root, err := neighbour.Root()
	require.NoError(t, err)
	file := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		require.NoError(t, err)
		return string(text)
	}
	samples, err := readTable(filepath.Join(root, "docs", "data", "nodes.csv"))
	require.NoError(t, err)
	drawn, err := plot(samples).Render()
	require.NoError(t, err)
	const again = "draw it again: go run ./test/neighbours/nodesdemo --draw"
	assert.Equal(t, file("docs/images/nodes.svg"), string(drawn), again)
	readme := file(folder + "/README.md")
	var reported strings.Builder
	report(&reported, samples)
	assert.Contains(t, readme, "```text\n"+reported.String()+"```\n", "the end of the output of: go run ./test/neighbours/nodesdemo --draw")

	made := timelineOf(samples)
	order := []int{0, made.grown, made.nodes, made.pods, made.ended, made.shrunk, made.left, made.gone}
	assert.IsNonDecreasing(t, order)
	assert.NotZero(t, made.grown)
}

// TestParameters checks that the delays are those of the examples.
func TestParameters(t *testing.T) {
	root, err := neighbour.Root()
	require.NoError(t, err)
	for name, texts := range map[string][]string{
		"minicluster.yaml": {fmt.Sprintf("idleSeconds: %.0f\n", idle.Seconds()), fmt.Sprintf("maxSize: %d\n", jobs)},
		"nodepool.yaml": {
			fmt.Sprintf("nodeRegistrationDelay: %.0fs\n", nodeDelay.Seconds()), fmt.Sprintf("consolidateAfter: %.0fs\n", consolidateAfter.Seconds()),
		},
		"README.md": {fmt.Sprintf("--cc=1-%d -N1 --exclusive sleep %.0f\n", jobs, jobDuration.Seconds())},
	} {
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(folder), name))
		require.NoError(t, err)
		for _, text := range texts {
			assert.Contains(t, string(content), text, name)
		}
	}
}
