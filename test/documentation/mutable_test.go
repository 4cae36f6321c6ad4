package documentation_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// TestMutableFields checks that the fields that may change are listed where users read about them: in the concepts,
// and in the output that the tutorial shows.
func TestMutableFields(t *testing.T) {
	t.Parallel()
	mutable := resources.MutableFields()
	_, section, _ := strings.Cut(read(t, "docs/concepts.md"), "\n## Mutable fields\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, field := range mutable {
		assert.Contains(t, section, "`"+field+"`", "docs/concepts.md")
	}
	assert.Contains(t, read(t, "examples/scaling/expand/README.md"), messages.ImmutableFields([]string{"spec.maxSize"}, mutable))
}
