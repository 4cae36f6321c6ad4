package gobuild

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out)
	p.Say("looking")
	fmt.Fprint(p, "go: downloading k8s.io/api v0.37.2\ngo: downloading k8s.io/kub")
	assert.Equal(t, "looking: 1 modules fetched, 0s", p.line())
	fmt.Fprint(p, "ernetes v1.37.2\n")
	assert.Equal(t, "looking: 2 modules fetched, 0s", p.line())

	p.Compiling("Kubernetes", 2)
	assert.Equal(t, "compiling Kubernetes: 0 of 2 packages, 0s", p.line())
	fmt.Fprint(p, "k8s.io/api/core/v1\n# a warning\n")
	assert.Equal(t, "compiling Kubernetes: 1 of 2 packages, 0s", p.line())
	fmt.Fprint(p, "k8s.io/kubernetes/cmd/kubectl\n")
	assert.Equal(t, "compiling Kubernetes: linking, 0s", p.line())
	p.Say("built")
	p.Finish()
	assert.Equal(t, "looking, 0s\ncompiling Kubernetes: 0 of 2 packages, 0s\nbuilt: 2 modules fetched, 0s\n", out.String())
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
