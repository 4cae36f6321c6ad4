package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
)

// TestHibernateRecordsJobs checks that jobs are recorded before a hibernation, even one that discards them.
func TestHibernateRecordsJobs(t *testing.T) {
	eachFlux(t, func(t *testing.T) {
		s := &sleeper{fluxCluster: newFluxCluster(t, 1, 60)}
		s.configure(1, 1, false, "")
		s.plan.Archive.JobRecords = filepath.Join(s.dir, "jobs.jsonl")
		s.startPods(1)
		s.online()
		s.run("run", "--job-name=model", "true")
		s.until(control.PhaseSaved, control.Hibernate{Discard: true})
		text, err := os.ReadFile(s.plan.Archive.JobRecords)
		require.NoError(t, err)
		assert.Equal(t, 1, strings.Count(string(text), "\n"))
		assert.Regexp(t, `"name":"model",.*"result":"completed"`, string(text))
	})
}
