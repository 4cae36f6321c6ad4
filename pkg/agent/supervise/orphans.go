package supervise

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/initial"
)

// orphanTimeout is how long orphans may take to end: the initial program stops the user's program before it ends.
const orphanTimeout = 11 * time.Second

// killTimeout is how long a killed process may take to disappear. A process that waits for a file system that does not
// respond stays, and so does a process of another user that the agent may not kill.
const killTimeout = 5 * time.Second

// stopOrphans stops the processes that a killed broker left, before the next broker starts: its initial program, and
// tasks of its jobs, which Flux considers ended. Processes that hooks started stay.
func (v *Supervisor) stopOrphans(ctx context.Context) {
	deadline := time.Now().Add(min(orphanTimeout, v.shutdown.Remaining(brokerReserve(v.shutdown.Grace()))))
	giveUp := deadline.Add(killTimeout)
	asked := map[int]bool{}
	for logged := false; ; {
		orphans := slices.DeleteFunc(v.table.Adopted(), func(pid int) bool { return !v.ofBroker(pid) })
		if len(orphans) == 0 {
			return
		}
		if !logged {
			logged = true
			klog.FromContext(ctx).Info("Stopping orphaned processes of the broker", "processes", len(orphans))
		}
		if time.Now().After(giveUp) {
			klog.FromContext(ctx).Error(nil, "Orphaned processes of the broker do not end; they run beside the next broker", "processes", orphans)
			return
		}
		for _, pid := range orphans {
			switch {
			case time.Now().After(deadline):
				v.table.SignalAdopted(pid, syscall.SIGKILL)
			case !asked[pid]:
				asked[pid] = v.table.SignalAdopted(pid, syscall.SIGTERM)
			}
		}
		<-time.After(50 * time.Millisecond)
	}
}

// ofBroker reports whether a broker started an orphan, to run something in its instance. The environment shows it, or
// the user if only brokers run as that user: root can read the environment of another user's process only with a
// capability that containers do not have (CAP_SYS_PTRACE).
func (v *Supervisor) ofBroker(pid int) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	environ, err := readStarted(os.ReadFile, dir+"/environ")
	switch {
	case err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00FLUX_JOB_ID=")):
		return true
	case errors.Is(err, fs.ErrPermission) && v.ofBrokerUser(dir):
		return true
	}
	text, err := readStarted(os.ReadFile, dir+"/cmdline")
	if err != nil {
		return false
	}
	args := bytes.Split(text, []byte{0})
	// The shell of a job has the environment of the broker. The tasks of the job become orphans when it ends. For
	// another user's job it is a child of flux-imp, which forwards signals.
	if name := filepath.Base(string(args[0])); name == "flux-shell" || name == "flux-imp" {
		return true
	}
	return isInitial(pid)
}

// isInitial reports whether a process is the initial program of a broker.
func isInitial(pid int) bool {
	text, err := readStarted(os.ReadFile, "/proc/"+strconv.Itoa(pid)+"/cmdline")
	if err != nil {
		return false
	}
	args := bytes.Split(text, []byte{0})
	self, err := os.Executable()
	return err == nil && len(args) > 1 && string(args[0]) == self && string(args[1]) == initial.Subcommand
}

// readStarted reads the arguments or the environment of a process. Both are empty for a moment within execve(2), and no
// task may be missed because of that: an empty text is read again for at most 20 ms, since it may be correct.
func readStarted(read func(path string) ([]byte, error), path string) ([]byte, error) {
	for deadline := time.Now().Add(20 * time.Millisecond); ; {
		text, err := read(path)
		if err != nil || len(text) > 0 || time.Now().After(deadline) {
			return text, err
		}
		<-time.After(time.Millisecond) // the kernel does not signal the end of execve(2)
	}
}

// ofBrokerUser reports whether a process belongs to the user of the brokers, if hooks run as another user.
func (v *Supervisor) ofBrokerUser(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || v.instance.Credential == nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == v.instance.Credential.Uid && int(stat.Uid) != os.Getuid()
}
