package flux

import (
	"fmt"
	"runtime"
	"syscall"
)

// asUser runs f while the effective user of this thread, and of no other, is uid: Linux reports the effective user of
// the connecting thread to the server. A negative uid changes nothing.
func asUser(uid int, f func() error) error {
	own := syscall.Geteuid()
	if uid < 0 || uid == own {
		return f()
	}
	runtime.LockOSThread()
	if err := setThreadUser(uid); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("switch to user %d: %w", uid, err)
	}
	err := f()
	if back := setThreadUser(own); back != nil {
		// The thread stays locked, and so ends with its goroutine.
		return fmt.Errorf("switch back to user %d: %w", own, back)
	}
	runtime.UnlockOSThread()
	return err
}
