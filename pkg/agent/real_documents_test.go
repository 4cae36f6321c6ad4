package agent

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A document of 2023: hooks in bash that export variables, an option for an MPI, a working directory of root's. Nothing
// in it knows of this operator.
func TestRealDocumentOf2023(t *testing.T) {
	r := realCluster{
		Document: `
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata:
  name: flux-sample
spec:
  size: 1
  logging:
    strict: false
  flux:
    optionFlags: "-ompi=openmpi@5"
  containers:
    - image: ubuntu
      workingDir: /opt/work
      commands:
        init: export FROM_INIT=1
        pre: |
          source /etc/profile.d/spack.sh
          if [[ ! -e /opt/work/lammps.sif ]]; then
            echo HOOK-PULLED
          fi
          export PATH=$PATH:/opt/app/bin
      command: sh -c 'id -un; env | grep -E "OMPI_MCA|FROM_|SPACK" | sort; echo x > log.lammps; app'
`,
		Image: map[string]string{
			"/etc/profile.d/spack.sh": "export SPACK_ROOT=/opt/spack\n", "/opt/app/bin/app": "#!/bin/sh\necho APP\n", "/opt/work/data": "",
		},
		Dir: "/opt/work",
	}.run(t)
	assert.Zero(t, r.Code)
	lines := strings.Split(r.Stdout, "\n")
	assert.Contains(t, lines, "HOOK-PULLED")
	assert.Contains(t, lines, "flux")
	assert.Contains(t, lines, "FROM_INIT=1")
	assert.Contains(t, lines, "SPACK_ROOT=/opt/spack")
	assert.Contains(t, lines, "APP")
	assert.Regexp(t, `(?m)^OMPI_MCA_btl_vader_backing_directory=/`, r.Stdout, "of Flux's own lua.d")
	assert.NotContains(t, r.Stderr, "ermission denied")
}
