package supervise

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestLockError: file systems without locks are named, with the remedy.
func TestLockError(t *testing.T) {
	for errno, part := range map[syscall.Errno]string{
		syscall.ENOSYS:     "Lustre needs the mount option flock",
		syscall.EOPNOTSUPP: "Lustre needs the mount option flock",
		syscall.ENOLCK:     "NFS needs lockd, or version 4",
		syscall.EIO:        "input/output error",
	} {
		err := lockError(errno)
		assert.ErrorIs(t, err, errno)
		assert.ErrorContains(t, err, part)
		assert.ErrorContains(t, err, "locking the volume of the state")
	}
}
