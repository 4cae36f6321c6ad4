package flux

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// DefaultMaxMessage is the default limit of a message, in bytes. A list of ten thousand jobs has a tenth of this
	// size.
	DefaultMaxMessage = 16 << 20

	// wireMagic starts each message on a local socket, in the byte order of the machine; the size that follows is big
	// endian.
	wireMagic  = 0xffee0012
	wireHeader = 8
)

// ErrTooLarge is the error for a message above the limit.
var ErrTooLarge = errors.New("message too large")

// WriteMessage writes m to a local socket, in one write.
func WriteMessage(w io.Writer, m *Message) error {
	_, err := w.Write(appendWire(nil, m))
	return err
}

func appendWire(b []byte, m *Message) []byte {
	start := len(b)
	b = binary.NativeEndian.AppendUint32(b, wireMagic)
	b = appendMessage(append(b, 0, 0, 0, 0), m)
	binary.BigEndian.PutUint32(b[start+4:], uint32(len(b)-start-wireHeader))
	return b
}

// ReadMessage reads one message of at most limit bytes from a local socket. It does not allocate memory for announced
// bytes before they arrive. The error is io.EOF if the stream ends between two messages.
func ReadMessage(r io.Reader, limit int) (*Message, error) {
	var header [wireHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	if magic := binary.NativeEndian.Uint32(header[:]); magic != wireMagic {
		return nil, malformed("it begins with %#08x", magic)
	}
	size := int64(binary.BigEndian.Uint32(header[4:]))
	if size > int64(limit) {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, size, limit)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r, size); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return decodeMessage(body.Bytes())
}
