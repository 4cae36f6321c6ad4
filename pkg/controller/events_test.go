package controller

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"minicluster.internal/operator/test/framework/sample"
)

// notes records the texts of events.
type notes []string

func (n *notes) Eventf(_, _ runtime.Object, _, _, _, note string, args ...any) {
	*n = append(*n, fmt.Sprintf(note, args...))
}

// The API server rejects an event whose text is too long. A condition may contain the whole text.
func TestNotesAreShort(t *testing.T) {
	long := strings.Repeat("ä 100% ", maxNote)
	var told notes
	events := shortNotes{&told}
	events.Eventf(sample.MiniCluster(), nil, corev1.EventTypeWarning, "Reason", "Action", "%s", long)
	events.Eventf(sample.MiniCluster(), nil, corev1.EventTypeWarning, "Reason", "Action", "%d of %d", 1, 2)
	assert.Len(t, told, 2)
	assert.LessOrEqual(t, len(told[0]), maxNote)
	assert.Greater(t, len(told[0]), maxNote-10)
	assert.True(t, strings.HasPrefix(long, strings.TrimSuffix(told[0], "...")), told[0])
	assert.Equal(t, "1 of 2", told[1])
}
