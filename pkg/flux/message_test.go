package flux_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
)

// request and response are messages that a client and a broker of Flux 0.88 exchanged.
func request() *flux.Message {
	return &flux.Message{
		Type: flux.TypeRequest, Flags: flux.FlagTopic | flux.FlagRoute | flux.FlagPayload,
		UserID: 0xffffffff, Topic: "attr.get", Payload: []byte("{\"name\":\"rank\"}\x00"), Aux1: 0xffffffff, Aux2: 7,
	}
}

func response() *flux.Message {
	return &flux.Message{
		Type: flux.TypeResponse, Flags: flux.FlagTopic | flux.FlagRoute | flux.FlagPayload,
		UserID: 0, Roles: 5, Topic: "attr.get", Payload: []byte("{\"value\":\"0\",\"flags\":1}\x00"), Aux2: 7,
	}
}

func TestEncodeMessage(t *testing.T) {
	want := "\x00" + // the routes end
		"\x08attr.get" +
		"\x10{\"name\":\"rank\"}\x00" +
		"\x14\x8e\x01\x01\x0b" + "\xff\xff\xff\xff" + "\x00\x00\x00\x00" + "\xff\xff\xff\xff" + "\x00\x00\x00\x07"
	got := flux.AppendMessage([]byte("before"), request())
	assert.Equal(t, "before"+want, string(got))
}

func TestMessageRoundTrip(t *testing.T) {
	long := request()
	long.Payload = bytes.Repeat([]byte{'x'}, 255)
	longer := request()
	longer.Payload = bytes.Repeat([]byte{'x'}, 100_000)
	routed := request()
	routed.Routes = []string{"a", strings.Repeat("b", 254), strings.Repeat("c", 300)}
	for name, m := range map[string]*flux.Message{
		"request": request(), "response": response(), "frame of 255": long, "large": longer, "routes": routed,
		"header only": {Type: flux.TypeControl, Aux1: 1, Aux2: 2},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := flux.DecodeMessage(flux.AppendMessage(nil, m))
			require.NoError(t, err)
			assert.Equal(t, m, got)
		})
	}
}

func TestMessageText(t *testing.T) {
	assert.Equal(t, "a", string((&flux.Message{Payload: []byte("a\x00")}).Text()))
	assert.Equal(t, "a", string((&flux.Message{Payload: []byte("a")}).Text()))
	assert.Empty(t, (&flux.Message{}).Text())
	assert.Equal(t, syscall.EPERM, (&flux.Message{Aux1: 1}).Errno())
}

func TestDecodeRefuses(t *testing.T) {
	header := "\x14\x8e\x01\x01"
	rest := strings.Repeat("\x00", 16)
	for name, data := range map[string]string{
		"nothing":           "",
		"no header":         "\x03abc",
		"wrong magic":       "\x14\x8f\x01\x01\x00" + rest,
		"wrong version":     "\x14\x8e\x02\x01\x00" + rest,
		"no such type":      "\x14\x8e\x01\x03\x00" + rest,
		"short frame":       "\x05abc",
		"short length":      "\xff\x00\x00",
		"huge frame":        "\xff\xff\xff\xff\xff" + header,
		"no end of routes":  "\x01a" + header + "\x08" + rest,
		"no topic":          header + "\x01" + rest,
		"no payload":        "\x01t" + header + "\x03" + rest,
		"too many frames":   strings.Repeat("\x01r", 1000) + "\x00" + header + "\x08" + rest,
		"unexpected frames": "\x01x\x01y" + header + "\x01" + rest,
	} {
		t.Run(name, func(t *testing.T) {
			m, err := flux.DecodeMessage([]byte(data))
			assert.ErrorIs(t, err, flux.ErrMalformed)
			assert.Nil(t, m)
		})
	}
}

func TestReadMessage(t *testing.T) {
	var stream bytes.Buffer
	require.NoError(t, flux.WriteMessage(&stream, request()))
	require.NoError(t, flux.WriteMessage(&stream, response()))
	data := stream.Bytes()

	r := bytes.NewReader(data)
	for _, want := range []*flux.Message{request(), response()} {
		got, err := flux.ReadMessage(r, 1000)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	_, err := flux.ReadMessage(r, 1000)
	assert.Equal(t, io.EOF, err, "between two messages")

	_, err = flux.ReadMessage(bytes.NewReader(data[:20]), 1000)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "within a message")
	_, err = flux.ReadMessage(bytes.NewReader(data[:5]), 1000)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "within what precedes it")
	_, err = flux.ReadMessage(bytes.NewReader(data), 20)
	assert.ErrorIs(t, err, flux.ErrTooLarge)
	_, err = flux.ReadMessage(strings.NewReader("HTTP/1.1 400 Bad Request"), 1000)
	assert.ErrorIs(t, err, flux.ErrMalformed)
}

// A size that is announced but never sent must take almost no memory.
func TestReadMessageAllocatesWhatComes(t *testing.T) {
	header := binary.NativeEndian.AppendUint32(nil, 0xffee0012)
	header = binary.BigEndian.AppendUint32(header, 1<<30)
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := flux.ReadMessage(bytes.NewReader(header), 1<<30)
			if err == nil {
				b.Fatal("no error")
			}
		}
	})
	assert.Less(t, result.AllocedBytesPerOp(), int64(4096))
}

func FuzzDecode(f *testing.F) {
	f.Add(flux.AppendMessage(nil, request()))
	f.Add(flux.AppendMessage(nil, response()))
	f.Add([]byte("\x01r\x00\xff\x00\x00\x00\x01t\x14\x8e\x01\x01\x09aaaabbbbccccdddd"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := flux.DecodeMessage(data)
		if err != nil {
			require.ErrorIs(t, err, flux.ErrMalformed)
			return
		}
		again, err := flux.DecodeMessage(flux.AppendMessage(nil, m))
		require.NoError(t, err)
		// An absent payload and an empty one differ only in a flag.
		if len(m.Payload) == 0 {
			m.Payload, again.Payload = nil, nil
		}
		require.Equal(t, m, again)
	})
}

func FuzzReadMessage(f *testing.F) {
	var stream bytes.Buffer
	if err := flux.WriteMessage(&stream, request()); err != nil {
		f.Fatal(err)
	}
	f.Add(stream.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		for {
			before := r.Len()
			m, err := flux.ReadMessage(r, 1<<16)
			if err != nil {
				return
			}
			require.NotNil(t, m)
			require.Less(t, r.Len(), before)
		}
	})
}
