package agent

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
)

// leftBehindPatience is how long what a broker left behind has to end: the initial
// program ends the user's before itself.
const leftBehindPatience = programPatience + time.Second

// killPatience is how long a process has to be gone once it was killed. One that waits for a file
// system which does not answer is not, and one of another user may not be killed.
const killPatience = 5 * time.Second

// endLeftBehind ends what a broker that was killed has left behind, before another
// one starts: its initial program, and tasks of its jobs, which Flux takes for
// ended. Processes that hooks left behind stay.
func (r *runner) endLeftBehind(ctx context.Context) {
	deadline := time.Now().Add(min(leftBehindPatience, r.stop.Left(brokerReserve(r.stop.grace))))
	giveUp := deadline.Add(killPatience)
	told := false
	for {
		left := slices.DeleteFunc(r.table.Adopted(), func(pid int) bool { return !r.ofBroker(pid) })
		if len(left) == 0 {
			return
		}
		if !told {
			told = true
			klog.FromContext(ctx).Info("Ending what the broker left behind", "processes", len(left))
		}
		if time.Now().After(giveUp) {
			klog.FromContext(ctx).Error(nil, "What the broker left behind does not end; it goes on beside the next one", "processes", left)
			return
		}
		sig := syscall.SIGTERM
		if time.Now().After(deadline) {
			sig = syscall.SIGKILL
		}
		for _, pid := range left {
			r.table.SignalAdopted(pid, sig)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// ofBroker tells whether an orphan was started by a broker, to run something in its
// instance: by its environment, or its user where only brokers run as that. Root may
// look into the environment of another user's process only with a capability that
// containers don't have (CAP_SYS_PTRACE).
func (r *runner) ofBroker(pid int) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	environ, err := readStarted(os.ReadFile, dir+"/environ")
	switch {
	case err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00FLUX_JOB_ID=")):
		return true
	case errors.Is(err, fs.ErrPermission) && r.ofFluxUser(dir):
		return true
	}
	text, err := readStarted(os.ReadFile, dir+"/cmdline")
	if err != nil {
		return false
	}
	args := bytes.Split(text, []byte{0})
	// The shell of a job, whose tasks are left behind when it ends: its environment
	// is the broker's. Before it there is flux-imp where it is another user's, which passes signals on.
	if name := filepath.Base(string(args[0])); name == "flux-shell" || name == "flux-imp" {
		return true
	}
	self, err := os.Executable()
	return err == nil && len(args) > 1 && string(args[0]) == self && string(args[1]) == "initial"
}

// readStarted reads what the kernel says of the words or of the environment of a
// process. Both are empty for a moment within execve(2), which no task may use to be
// overlooked: an empty one is read again, 20 ms at most, since it may be meant so.
func readStarted(read func(path string) ([]byte, error), path string) ([]byte, error) {
	for deadline := time.Now().Add(20 * time.Millisecond); ; {
		text, err := read(path)
		if err != nil || len(text) > 0 || time.Now().After(deadline) {
			return text, err
		}
		<-time.After(time.Millisecond) // nobody tells when it has begun
	}
}

// ofFluxUser tells whether a process is of the user that brokers run as, and hooks
// don't.
func (r *runner) ofFluxUser(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || r.instance.Credential == nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == r.instance.Credential.Uid && int(stat.Uid) != os.Getuid()
}
