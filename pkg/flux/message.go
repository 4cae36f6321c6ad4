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

// Flags say which parts a message has and how it is answered (RFC 3).
type Flags uint8

// The flags that this package sets or looks at. Others are kept as they are.
const (
	// FlagTopic: there is a topic.
	FlagTopic Flags = 0x01
	// FlagPayload: there is a payload.
	FlagPayload Flags = 0x02
	// FlagNoResponse: the sender of this request wants no response.
	FlagNoResponse Flags = 0x04
	// FlagRoute: there is a stack of routes, if only an empty one.
	FlagRoute Flags = 0x08
	// FlagStreaming: a request for, or one of, many responses, which
	// end with the error ENODATA.
	FlagStreaming Flags = 0x40
)

// Node is the rank of the broker that a request is for.
type Node uint32

const (
	// AnyNode is the first broker, on the way up from the one that the
	// client is connected to, which offers the service.
	AnyNode Node = 0xffffffff
	// Leader is rank 0.
	Leader Node = 0
)

const (
	userUnknown = 0xffffffff // the broker fills in who we are
	protoMagic  = 0x8e
	protoVer    = 1
	protoSize   = 20
)

// Message is a message of RFC 3, decoded.
type Message struct {
	Type  Type
	Flags Flags
	// UserID and Roles are who sent it, as the receiving broker knows.
	UserID, Roles uint32
	// Routes are the stack of identities, the first one pushed last.
	Routes []string
	// Topic names the service and the method, or the event.
	Topic string
	// Payload is what is sent along; JSON ends with a zero byte.
	Payload []byte
	// Aux1 is the rank that a request is for, the error number of a
	// response, the sequence number of an event.
	Aux1 uint32
	// Aux2 is the tag of a request and of its responses.
	Aux2 uint32
}

// Node is the rank that a request is for.
func (m *Message) Node() Node { return Node(m.Aux1) }

// Errno is the error number of a response, 0 for success.
func (m *Message) Errno() syscall.Errno { return syscall.Errno(m.Aux1) }

// Tag is the tag of a request, which its responses repeat.
func (m *Message) Tag() uint32 { return m.Aux2 }

// Text is the payload without the zero byte that ends it.
func (m *Message) Text() []byte {
	if n := len(m.Payload); n > 0 && m.Payload[n-1] == 0 {
		return m.Payload[:n-1]
	}
	return m.Payload
}
