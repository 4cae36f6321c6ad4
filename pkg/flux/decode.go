package flux

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxRoutes limits the frames of a message: one identity for each hop of the tree, which is never deep, and one for
// each nested client.
const maxRoutes = 64

// errMalformed is wrapped by decoding errors.
var errMalformed = errors.New("malformed message")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMalformed, fmt.Sprintf(format, args...))
}

// frames splits b without copying. It returns an error for more frames than a message can have, so that memory is
// bounded.
func frames(b []byte) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		if len(out) == maxRoutes+4 { // delimiter, topic, payload, header
			return nil, malformed("more than %d frames", len(out))
		}
		n := uint64(b[0])
		b = b[1:]
		if n == longFrame {
			if len(b) < 4 {
				return nil, malformed("it ends within the length of a frame")
			}
			n = uint64(binary.BigEndian.Uint32(b))
			b = b[4:]
		}
		if n > uint64(len(b)) {
			return nil, malformed("a frame of %d bytes, but %d are left", n, len(b))
		}
		out = append(out, b[:n])
		b = b[n:]
	}
	return out, nil
}

// decodeMessage decodes b as one message. The payload aliases b; nothing else does. An error wraps errMalformed.
func decodeMessage(b []byte) (*Message, error) {
	fs, err := frames(b)
	if err != nil {
		return nil, err
	}
	if len(fs) == 0 {
		return nil, malformed("it is empty")
	}
	m, err := decodeHeader(fs[len(fs)-1])
	if err != nil {
		return nil, err
	}
	fs = fs[:len(fs)-1]

	take := func(what string) []byte {
		if err != nil || len(fs) == 0 {
			err = malformed("no frame for the %s", what)
			return nil
		}
		frame := fs[0]
		fs = fs[1:]
		return frame
	}
	if m.Flags&FlagRoute != 0 {
		for {
			route := take("end of the routes")
			if len(route) == 0 {
				break
			}
			m.Routes = append(m.Routes, string(route))
		}
	}
	if m.Flags&FlagTopic != 0 {
		m.Topic = string(take("topic"))
	}
	if m.Flags&FlagPayload != 0 {
		m.Payload = take("payload")
	}
	if err != nil {
		return nil, err
	}
	if len(fs) > 0 {
		return nil, malformed("%d frames that the flags do not announce", len(fs))
	}
	return m, nil
}

func decodeHeader(b []byte) (*Message, error) {
	if len(b) != protoSize {
		return nil, malformed("a header of %d bytes", len(b))
	}
	if b[0] != protoMagic || b[1] != protoVer {
		return nil, malformed("a header that begins with % x", b[:2])
	}
	m := &Message{Type: Type(b[2]), Flags: Flags(b[3])}
	switch m.Type {
	case TypeRequest, TypeResponse, TypeEvent, TypeControl:
	default:
		return nil, malformed("type %#x", b[2])
	}
	for i, field := range []*uint32{&m.UserID, &m.Roles, &m.Aux1, &m.Aux2} {
		*field = binary.BigEndian.Uint32(b[4+4*i:])
	}
	return m, nil
}
