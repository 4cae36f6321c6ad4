package gobuild

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTail(t *testing.T) {
	var complaints tail
	fmt.Fprint(&complaints, "k8s.io/api/core/v1\n# m/localkube\nlocalkube/main.go:3:2: undef")
	fmt.Fprint(&complaints, "ined: x\nk8s.io/api/batch/v1\nthe end")
	assert.Equal(t, "# m/localkube\nlocalkube/main.go:3:2: undefined: x\nthe end", complaints.String())
}

func TestTailKeepsTheLastLines(t *testing.T) {
	var complaints tail
	for i := range 2 * tailLines {
		fmt.Fprintf(&complaints, "line %d\n", i)
	}
	lines := strings.Split(complaints.String(), "\n")
	assert.Len(t, lines, tailLines)
	assert.Equal(t, fmt.Sprintf("line %d", 2*tailLines-1), lines[tailLines-1])
}

func TestIsPackage(t *testing.T) {
	for line, want := range map[string]bool{
		"k8s.io/api/core/v1":                 true,
		"fmt":                                true,
		"# k8s.io/api/core/v1":               false,
		"go: downloading k8s.io/api v0.37.2": false,
		"main.go:3:2: undefined: x":          false,
		"":                                   false,
		"\tmain.go:4:5: other declaration of parse": false,
	} {
		assert.Equal(t, want, isPackage(line), "%q", line)
	}
}
