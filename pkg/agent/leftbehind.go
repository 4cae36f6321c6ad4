package agent

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

// leftBehindPatience is how long what a broker left behind has to end: the initial
// program ends the user's before itself.
const leftBehindPatience = programPatience + time.Second

// endLeftBehind ends what a broker that was killed has left behind, before another
// one starts: its initial program, and tasks of its jobs, which Flux takes for
// ended. Processes that hooks left behind stay.
func (r *runner) endLeftBehind(ctx context.Context) {
	deadline := time.Now().Add(min(leftBehindPatience, r.stop.Left(brokerReserve(r.stop.grace))))
	told := false
	for {
		left := slices.DeleteFunc(r.table.Adopted(), func(pid int) bool { return !ofBroker(pid) })
		if len(left) == 0 {
			return
		}
		if !told {
			told = true
			klog.FromContext(ctx).Info("Ending what the broker left behind", "processes", len(left))
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
// instance. It can't tell of a process of another user; root can of all.
func ofBroker(pid int) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	environ, err := os.ReadFile(dir + "/environ")
	if err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00FLUX_JOB_ID=")) {
		return true
	}
	text, err := os.ReadFile(dir + "/cmdline")
	if err != nil {
		return false
	}
	args := bytes.Split(text, []byte{0})
	self, err := os.Executable()
	return err == nil && len(args) > 1 && string(args[0]) == self && string(args[1]) == "initial"
}
