package agent

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/hibernate"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// refusedFlux starts the lead of another Job with an earlier Flux than the one that wrote the volume. It must end, and
// leave the state as it is.
func (s *sleeper) refusedFlux(incarnation, before, after string) {
	s.t.Helper()
	s.configure(1, 1, true, incarnation)
	content, record := s.stateSums()
	s.start(0)
	assert.Equal(s.t, plan.ExitPrepare, s.wait(0))
	s.pods[0] = nil
	assert.Contains(s.t, s.read("log-0"), "the state on the volume was written by Flux "+before+", and Flux "+after+" of this image would not find its jobs")
	contentAfter, recordAfter := s.stateSums()
	assert.Equal(s.t, content, contentAfter)
	assert.Equal(s.t, record, recordAfter)
}

// stateSums returns the checksums of the content and of the record of the hibernation on the volume.
func (s *sleeper) stateSums() (content, record [sha256.Size]byte) {
	s.t.Helper()
	sum := func(name string) [sha256.Size]byte {
		text, err := os.ReadFile(filepath.Join(s.dir, "state", name))
		require.NoError(s.t, err)
		return sha256.Sum256(text)
	}
	return sum("content.sqlite"), sum("minicluster.hibernation")
}

// TestHibernateOlderFlux checks that an earlier Flux than the one that wrote the state on a volume does not start,
// whether the volume or only the record of the hibernation names the version, and that a later one does.
func TestHibernateOlderFlux(t *testing.T) {
	withStandIn(t, func(t *testing.T) {
		s := newSleeper(t, 1, 1, true)
		s.online()
		s.run("queue", "stop")
		s.submit(2)
		s.until(control.PhaseSaved, later())
		s.remove()
		file := filepath.Join(s.dir, "state", "minicluster.flux-version")
		own, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, "0.88.0-fake\n", string(own))

		require.NoError(t, os.WriteFile(file, []byte("0.89.0\n"), 0o644))
		s.refusedFlux("another Job", "0.89.0", "0.88.0-fake")
		require.NoError(t, os.Remove(file))
		s.changeVolumeRecord(func(r *hibernate.Record) { r.Flux = "1.0.0" })
		s.refusedFlux("another Job", "1.0.0", "0.88.0-fake")
		assert.NoFileExists(t, file)

		s.changeVolumeRecord(func(r *hibernate.Record) { r.Flux = "0.62.0" })
		s.again(1, 1, true, "another Job")
		s.online()
		assert.Len(t, strings.Fields(s.run("jobs", "--filter=pending", "-no", "{id}")), 2)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, own, text)
	})
}

// changeVolumeRecord changes the record of the hibernation on a volume.
func (s *sleeper) changeVolumeRecord(change func(*hibernate.Record)) {
	s.t.Helper()
	file := filepath.Join(s.dir, "state", "minicluster.hibernation")
	r, err := hibernate.Read(file)
	require.NoError(s.t, err)
	require.NotNil(s.t, r)
	change(r)
	require.NoError(s.t, r.Write(file, nil))
}
