package kubebin

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
	p := newProgress(&out)
	p.say("looking")
	fmt.Fprint(p, "go: downloading k8s.io/api v0.36.3\ngo: downloading k8s.io/kub")
	assert.Equal(t, "looking: 1 modules fetched, 0s", p.line())
	fmt.Fprint(p, "ernetes v1.36.3\n")
	assert.Equal(t, "looking: 2 modules fetched, 0s", p.line())

	p.compiling(2)
	assert.Equal(t, "compiling Kubernetes: 0 of 2 packages, 0s", p.line())
	fmt.Fprint(p, "k8s.io/api/core/v1\n# a warning\n")
	assert.Equal(t, "compiling Kubernetes: 1 of 2 packages, 0s", p.line())
	fmt.Fprint(p, "k8s.io/kubernetes/cmd/kubectl\n")
	assert.Equal(t, "compiling Kubernetes: linking, 0s", p.line())
	p.say("built")
	p.finish()
	assert.Equal(t, "looking, 0s\ncompiling Kubernetes: 0 of 2 packages, 0s\nbuilt: 2 modules fetched, 0s\n", out.String())
}

func TestProgressWarnsOfALongBuild(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	p.compiling(manyPackages + 1)
	p.finish()
	assert.Contains(t, out.String(), firstTime)
}

func TestIsTerminal(t *testing.T) {
	assert.False(t, isTerminal(&bytes.Buffer{}))
	file, err := os.Create(t.TempDir() + "/log")
	require.NoError(t, err)
	defer file.Close()
	assert.False(t, isTerminal(file))
}
