package supervise

import (
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// withFailingFlock runs a function in a thread in which flock(2) fails.
func withFailingFlock(errno syscall.Errno, f func()) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // without an end: the thread ends with the goroutine
		filter := []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the system call
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FLOCK, Jf: 1},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		}
		program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		if err == nil {
			err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
		}
		if err == nil {
			f()
		}
		result <- err
	}()
	return <-result
}

// TestVolumeWithoutLocks: a lead whose volume does not lock files ends with a code that Kubernetes repeats, and names
// the remedy. It must not start a broker.
func TestVolumeWithoutLocks(t *testing.T) {
	for errno, part := range map[syscall.Errno]string{
		syscall.ENOSYS: "Lustre needs the mount option flock",
		syscall.ENOLCK: "NFS needs lockd, or version 4",
	} {
		v := &Supervisor{shutdown: shutdown.Never(time.Minute)}
		file := filepath.Join(t.TempDir(), fileLock)
		var err error
		require.NoError(t, withFailingFlock(errno, func() { _, err = v.lockVolume(t.Context(), file) }))
		require.ErrorIs(t, err, errno)
		assert.ErrorContains(t, err, part)
		assert.Equal(t, plan.ExitPrepare, pod.ExitCode(err))
	}
}
