package flux

// Parts of the package that only its tests use from outside.
var (
	AppendMessage = appendMessage
	DecodeMessage = decodeMessage
	NotOffered    = notOffered
	ErrClosed     = errClosed
	ErrMalformed  = errMalformed
	ErrOverflow   = errOverflow
)

// MaxID is the largest number in an [IDSet].
const MaxID = maxID

// MaxMessage limits the size of received messages, in bytes.
func MaxMessage(n int) Option { return func(o *options) { o.maxMessage = n } }

// Names returns the names of the states of a set.
func (s JobState) Names() []string { return s.names() }
