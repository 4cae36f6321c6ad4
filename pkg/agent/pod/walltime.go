package pod

import (
	"fmt"
	"time"
)

// WallTime formats a duration like %E of time(1).
func WallTime(d time.Duration) string {
	hours, minutes := int(d.Hours()), int(d.Minutes())%60
	if hours > 0 {
		return fmt.Sprintf("%d:%02d:%02d", hours, minutes, int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d:%05.2f", minutes, (d - time.Duration(minutes)*time.Minute).Truncate(10*time.Millisecond).Seconds())
}
