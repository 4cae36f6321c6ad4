package gobuild

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// untimed returns a text without the elapsed time, which may be seconds on a busy machine.
func untimed(text string) string {
	return regexp.MustCompile(`\b\d+m?\d*s\b`).ReplaceAllString(text, "TIME")
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out)
	assert.Equal(t, "looking for what to compile, TIME", untimed(p.line()))
	p.Say("looking")
	fmt.Fprint(p, "go: downloading k8s.io/api v0.37.2\ngo: downloading k8s.io/kub")
	assert.Equal(t, "looking: 1 modules fetched, TIME", untimed(p.line()))
	fmt.Fprint(p, "ernetes v1.37.2\n")
	assert.Equal(t, "looking: 2 modules fetched, TIME", untimed(p.line()))

	p.Compiling("Kubernetes", 2)
	assert.Equal(t, "compiling Kubernetes: 0 of 2 packages, TIME", untimed(p.line()))
	fmt.Fprint(p, "k8s.io/api/core/v1\n# a warning\n")
	assert.Equal(t, "compiling Kubernetes: 1 of 2 packages, TIME", untimed(p.line()))
	fmt.Fprint(p, "k8s.io/kubernetes/cmd/kubectl\n")
	assert.Equal(t, "compiling Kubernetes: linking, TIME", untimed(p.line()))
	p.Say("built")
	p.Finish()
	assert.Equal(t, "looking, TIME\ncompiling Kubernetes: 0 of 2 packages, TIME\nbuilt: 2 modules fetched, TIME\n", untimed(out.String()))
}

func TestProgressWarnsOfALongBuild(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out)
	p.Compiling("Kubernetes", manyPackages+1)
	p.Finish()
	assert.Contains(t, out.String(), "Compiling Kubernetes takes minutes")
}

func TestIsTerminal(t *testing.T) {
	assert.False(t, isTerminal(&bytes.Buffer{}))
	file, err := os.Create(t.TempDir() + "/log")
	require.NoError(t, err)
	defer file.Close()
	assert.False(t, isTerminal(file))
}
