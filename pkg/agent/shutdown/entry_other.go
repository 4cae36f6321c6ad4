//go:build !linux || (!amd64 && !arm64)

package shutdown

// shared is nil without entry.
var shared *sharedState
