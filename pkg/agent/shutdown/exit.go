package shutdown

import (
	"os"
	"sync/atomic"
)

// EntrySymbol is the symbol of entry for the linker: go build -ldflags=-E=SYMBOL.
const EntrySymbol = "minicluster.internal/operator/pkg/agent/shutdown.entry"

// sharedState is what the agent shares with the first process of its namespace, if entry has made that.
type sharedState struct {
	// intended: the exit code of the agent is not a failure of the Go runtime.
	intended atomic.Uint32
	// listening: the agent receives signals.
	listening atomic.Uint32
}

// Exit ends the process with an exit code that is not a failure of the Go runtime.
func Exit(code int) {
	if shared != nil {
		shared.intended.Store(1)
	}
	os.Exit(code) //nolint:forbidigo // this is the exit of main
}
