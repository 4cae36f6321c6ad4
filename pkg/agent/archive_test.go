package agent

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// newArchivePod returns a pod with an archive, whose fake jobs are the content of the archive.
func newArchivePod(t *testing.T) *testPod {
	p := newPod(t)
	require.NoError(t, os.Mkdir(p.path("volume"), 0o755))
	p.plan.Archive.Path = "/volume/archive.tar.gz"
	p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, "touch $FAKE_JOBS/job; exit 3"
	return p
}

func TestArchive(t *testing.T) {
	p := newArchivePod(t)
	assert.Equal(t, 3, p.run("run"), "the program's own code")
	assert.Equal(t, "job\n", p.read("volume/archive.tar.gz"))
	assert.NotContains(t, p.fluxLog(), "content.restore", "no archive existed")
	assert.Contains(t, p.fluxLog(), "queue stop --quiet --all --nocheckpoint")

	// The next archive keeps it as its predecessor.
	p.plan.Lead.Command = "touch $FAKE_JOBS/later"
	assert.Equal(t, 0, p.run("run"))
	assert.Contains(t, p.fluxLog(), "-Scontent.restore="+p.path("volume/archive.tar.gz"))
	assert.Contains(t, p.fluxLog(), "queue start --all")
	assert.Equal(t, "later\n", p.read("volume/archive.tar.gz"), "the program submits its jobs again, so those of its first run are canceled")
	assert.Equal(t, "job\n", p.read("volume/archive.tar.gz.previous"))
	entries, err := os.ReadDir(p.path("volume"))
	require.NoError(t, err)
	assert.Len(t, entries, 2, "no partial archive")
}

func TestArchiveIsRestoredOnlyIntoNothing(t *testing.T) {
	for _, test := range []struct {
		name    string
		files   []string
		restore string
	}{
		{"nothing there", []string{"volume/archive.tar.gz"}, "volume/archive.tar.gz"},
		{"no archive", nil, ""},
		{"only a predecessor", []string{"volume/archive.tar.gz.previous"}, "volume/archive.tar.gz.previous"},
		{"state", []string{"volume/archive.tar.gz", "var/lib/flux/content.sqlite"}, ""},
		{"other files", []string{"volume/archive.tar.gz", "var/lib/flux/lost+found"}, "volume/archive.tar.gz"},
		{"restored in part", []string{"volume/archive.tar.gz", "var/lib/flux/content.sqlite", "var/lib/flux/" + "minicluster.restoring"}, "volume/archive.tar.gz"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newArchivePod(t)
			for _, file := range test.files {
				p.write(file, "")
			}
			assert.Equal(t, 3, p.run("run"))
			if test.restore == "" {
				assert.NotContains(t, p.fluxLog(), "content.restore")
				return
			}
			assert.Contains(t, p.fluxLog(), "-Scontent.restore="+p.path(test.restore)+" ")
			assert.NoFileExists(t, p.path("var/lib/flux/content.sqlite"), "it was already renamed")
			assert.NoFileExists(t, p.path("var/lib/flux", "minicluster.restoring"))
		})
	}
}

func TestArchiveOnAFullVolume(t *testing.T) {
	p := newArchivePod(t)
	p.write("volume/archive.tar.gz", "old")
	p.env = append(p.env, "FAKE_FULL=1")
	assert.Equal(t, 3, p.run("run"), "the program's own code")
	assert.Contains(t, p.stderr.String(), "No space left on device")
	assert.Contains(t, p.read(fileTermination), "not saved")
	assert.Equal(t, "old", p.read("volume/archive.tar.gz"))
}

func TestArchiveWhenStopped(t *testing.T) {
	for name, mode := range map[string]plan.Mode{"with a program": plan.ModeLauncher, "interactive": plan.ModeNone} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newArchivePod(t)
			p.plan.Lead.Mode, p.plan.Lead.Command = mode, "touch $FAKE_JOBS/job; sleep 1000"
			p.plan.Archive.PeriodSeconds = 1
			p.start("run")
			if mode == plan.ModeNone {
				p.write("jobs/job", "")
			}
			// The pod may be stopped once the first archive exists.
			p.eventually("an archive", func() bool { return pod.Exists(p.path("volume/archive.tar.gz")) })
			p.write("jobs/later", "")
			assert.Equal(t, plan.ExitStopped, p.terminate())
			assert.Equal(t, "job\nlater\n", p.read("volume/archive.tar.gz"))
		})
	}
}

func TestArchiveOfJobsThatDoNotEnd(t *testing.T) {
	p := newArchivePod(t)
	p.env = append(p.env, "FAKE_HANGS=1")
	assert.Equal(t, 3, p.run("run"), "the program's own code")
	assert.Equal(t, "job\n", p.read("volume/archive.tar.gz"))
	assert.Equal(t, 1, strings.Count(p.fluxLog(), "\ndump "), "only the archive from before their cancellation")
	assert.Contains(t, p.stderr.String(), "contains them as running")
}

func TestArchivePeriodically(t *testing.T) {
	p := newArchivePod(t)
	p.plan.Archive.PeriodSeconds = 1
	p.plan.Lead.Command = "touch $FAKE_JOBS/job; sleep 1000"
	p.start("run")
	// The first archives may be older than the job. While one archive replaces another, there may be none for a moment.
	archived := func() bool {
		text, _ := os.ReadFile(p.path("volume/archive.tar.gz"))
		return string(text) == "job\n"
	}
	p.eventually("an archive of the job", archived)
	require.NoError(t, p.cmd.Process.Kill())
	p.wait()
	assert.Eventually(t, archived, patience, time.Millisecond)
}

func TestStateVolumeHasOneLead(t *testing.T) {
	first, second := newPod(t), newPod(t)
	first.plan.StateVolume = "/volume"
	second.plan.StateVolume = "/volume"
	require.NoError(t, os.Mkdir(first.path("volume"), 0o755))
	require.NoError(t, os.Symlink(first.path("volume"), second.path("volume")))
	first.start("run")
	first.eventually("a broker", func() bool { return first.brokers() == 1 })
	assert.Contains(t, first.fluxLog(), "-Sstatedir=/volume")
	second.start("run")
	second.eventually("a message", func() bool {
		return strings.Contains(second.stderr.String(), "Waiting for another lead that uses the volume")
	})
	assert.Zero(t, second.brokers())
	assert.Equal(t, plan.ExitStopped, first.terminate())
	second.eventually("a broker", func() bool { return second.brokers() == 1 })
	assert.Equal(t, plan.ExitStopped, second.terminate())
}

// TestArchiveOfAnotherCluster checks that only jobs of the same MiniCluster's program are canceled.
func TestArchiveOfAnotherCluster(t *testing.T) {
	t.Parallel()
	p := newArchivePod(t)
	assert.Equal(t, 3, p.run("run"))
	p.write(plan.CertificateDir+"/"+plan.FileCertificate, "another\n")
	p.plan.Lead.Command = "touch $FAKE_JOBS/later"
	assert.Equal(t, 0, p.run("run"))
	assert.Equal(t, "job\nlater\n", p.read("volume/archive.tar.gz"))
}

// TestArchiveThatHangs checks that a stopping pod does not wait for a file system that does not respond.
func TestArchiveThatHangs(t *testing.T) {
	t.Parallel()
	p := newArchivePod(t)
	p.plan.GracePeriodSeconds = 40 // a busy machine takes seconds to end the processes
	p.env = append(p.env, "FAKE_DUMP_HANGS=1")
	p.plan.Lead.Command = "sleep 1000"
	p.start("run")
	p.eventually("a program", p.running)
	begin := time.Now()
	assert.Equal(t, plan.ExitStopped, p.terminate())
	assert.Less(t, time.Since(begin), time.Duration(p.plan.GracePeriodSeconds)*time.Second)
}

// TestInterruptedRestoreKeepsContent checks that an interrupted restore does not remove other content.
func TestInterruptedRestoreKeepsContent(t *testing.T) {
	t.Parallel()
	p := newArchivePod(t)
	p.write("volume/archive.tar.gz", "old")
	p.write("var/lib/flux/content.sqlite", "valuable")
	p.write("var/lib/flux/minicluster.restoring", "")
	assert.Equal(t, 3, p.run("run"))
	assert.Equal(t, "valuable", p.read("var/lib/flux/interrupted-restore-1-content.sqlite"))
}

// TestManyJobsOfThePreviousRun checks that many jobs do not exceed the limit of a command line.
func TestManyJobsOfThePreviousRun(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.plan.Lead.Mode, p.plan.Lead.Command = plan.ModeLauncher, "cd $FAKE_JOBS && seq 100000000000000000 100000000000002499 | xargs touch"
	assert.Equal(t, 0, p.run("run"))
	assert.Len(t, p.jobs(), 2500)
	p.write("var/lib/flux/content.sqlite", "")
	p.plan.Lead.Command = "true"
	assert.Equal(t, 0, p.run("run"))
	assert.Empty(t, p.jobs())
	assert.Equal(t, 3, strings.Count(p.fluxLog(), "\ncancel --quiet "))
}
