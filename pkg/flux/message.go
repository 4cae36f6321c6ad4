package flux

import "syscall"

// Type is the kind of a message (RFC 3).
type Type uint8

// The types of messages.
const (
	TypeRequest  Type = 0x01
	TypeResponse Type = 0x02
	TypeEvent    Type = 0x04
	TypeControl  Type = 0x08
)

// Flags are the parts that a message has and how it is answered (RFC 3).
type Flags uint8

// The flags that this package uses. Other flags are preserved.
const (
	// FlagTopic: the message has a topic.
	FlagTopic Flags = 0x01
	// FlagPayload: the message has a payload.
	FlagPayload Flags = 0x02
	// FlagNoResponse: the sender of this request expects no response.
	FlagNoResponse Flags = 0x04
	// FlagRoute: the message has a stack of routes, which may be empty.
	FlagRoute Flags = 0x08
	// FlagStreaming: a request for several responses, or one of these. The last one is the error ENODATA.
	FlagStreaming Flags = 0x40
)

// Node is the rank of the broker that receives a request.
type Node uint32

const (
	// AnyNode is the first broker on the path from the connected one to the root that offers the service.
	AnyNode Node = 0xffffffff
	// Leader is rank 0.
	Leader Node = 0
)

const (
	userUnknown = 0xffffffff // the broker replaces it by the user of the connection
	protoMagic  = 0x8e
	protoVer    = 1
	protoSize   = 20
)

// Message is a message of RFC 3, decoded.
type Message struct {
	Type  Type
	Flags Flags
	// UserID and Roles identify the sender, as verified by the receiving broker.
	UserID, Roles uint32
	// Routes are the stack of identities; the first one was pushed last.
	Routes []string
	// Topic is the service and the method, or the event.
	Topic string
	// Payload is the content; JSON ends with a zero byte.
	Payload []byte
	// Aux1 is the rank that receives a request, the error number of a response, or the sequence number of an event.
	Aux1 uint32
	// Aux2 is the tag of a request and of its responses.
	Aux2 uint32
}

// Node returns the rank that receives a request.
func (m *Message) Node() Node { return Node(m.Aux1) }

// Errno returns the error number of a response, 0 for success.
func (m *Message) Errno() syscall.Errno { return syscall.Errno(m.Aux1) }

// Tag returns the tag of a request, which its responses repeat.
func (m *Message) Tag() uint32 { return m.Aux2 }

// Text returns the payload without its terminating zero byte.
func (m *Message) Text() []byte {
	if n := len(m.Payload); n > 0 && m.Payload[n-1] == 0 {
		return m.Payload[:n-1]
	}
	return m.Payload
}
