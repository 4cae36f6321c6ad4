package plan

// PathCause is where an agent tells, beside health and metrics, why its broker is not
// online: a Cause as JSON.
const PathCause = "/cause"

// Kinds of causes.
const (
	// CauseNone: the broker is online.
	CauseNone = ""
	// CauseBroker: the broker does not run, or does not tell more.
	CauseBroker = "broker"
	// CauseName: the name of the lead's host does not resolve.
	CauseName = "name"
	// CauseNetwork: the lead's broker can't be reached.
	CauseNetwork = "network"
	// CauseLead: the lead's broker is reached, and does not let this one join.
	CauseLead = "lead"
)

// Cause is why a broker is not online.
type Cause struct {
	// Kind is one of those above; others count as CauseBroker.
	Kind string `json:"kind"`
	// Message says more.
	Message string `json:"message,omitempty"`
}
