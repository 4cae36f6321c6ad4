package flux

import "encoding/binary"

// longFrame marks a frame with a length of four bytes.
const longFrame = 0xff

func appendFrame[T string | []byte](b []byte, frame T) []byte {
	if len(frame) < longFrame {
		b = append(b, byte(len(frame)))
	} else {
		b = binary.BigEndian.AppendUint32(append(b, longFrame), uint32(len(frame)))
	}
	return append(b, frame...)
}

// appendMessage appends the encoding of m to b: its frames, with the frame of the fixed header last. Parts without
// their flag are omitted.
func appendMessage(b []byte, m *Message) []byte {
	if m.Flags&FlagRoute != 0 {
		for _, route := range m.Routes {
			b = appendFrame(b, route)
		}
		b = appendFrame(b, "")
	}
	if m.Flags&FlagTopic != 0 {
		b = appendFrame(b, m.Topic)
	}
	if m.Flags&FlagPayload != 0 {
		b = appendFrame(b, m.Payload)
	}
	header := make([]byte, 0, protoSize)
	header = append(header, protoMagic, protoVer, byte(m.Type), byte(m.Flags))
	for _, field := range []uint32{m.UserID, m.Roles, m.Aux1, m.Aux2} {
		header = binary.BigEndian.AppendUint32(header, field)
	}
	return appendFrame(b, header)
}
