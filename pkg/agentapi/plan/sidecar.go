package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// sidecarFailed is the start of the termination message of a sidecar that failed. Its container ends with exit code 0,
// because Kubernetes counts a pod as failed if any of its containers fails.
const sidecarFailed = "the sidecar failed with exit code "

// SidecarMessage returns the termination message of a sidecar that failed, with the cause if there is one.
func SidecarMessage(code int, cause error) string {
	text := sidecarFailed + strconv.Itoa(code)
	if cause != nil {
		text += fmt.Sprintf(": %v", cause)
	}
	return text
}

// SidecarCode returns the exit code of a sidecar that failed, from its termination message; 0 if it has none.
func SidecarCode(message string) int {
	rest, found := strings.CutPrefix(message, sidecarFailed)
	if !found {
		return 0
	}
	digits := rest
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = rest[:end]
	}
	code, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return code
}
