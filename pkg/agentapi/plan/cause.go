package plan

// PathCause is the path, next to health and metrics, where an agent reports why its broker is not online: a Cause as
// JSON.
const PathCause = "/cause"

// Kinds of causes.
const (
	// CauseNone: the broker is online.
	CauseNone = ""
	// CauseBroker: the broker does not run, or does not report more.
	CauseBroker = "broker"
	// CauseName: the host name of the lead does not resolve.
	CauseName = "name"
	// CauseNetwork: the broker of the lead cannot be reached.
	CauseNetwork = "network"
	// CauseLead: the broker of the lead is reachable, but does not accept this one.
	CauseLead = "lead"
)

// Cause is why a broker is not online.
type Cause struct {
	// Kind is one of the constants above; unknown kinds count as CauseBroker.
	Kind string `json:"kind"`
	// Message contains details.
	Message string `json:"message,omitempty"`
}
