package fluxconfig

import (
	"errors"
	"math"
	"strings"
)

// z85Alphabet are the 85 characters of ZeroMQ RFC 32 (Z85), in order of value.
const z85Alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// z85Encode encodes 4 bytes as 5 characters. The length of data must be a multiple of 4; further bytes are dropped.
func z85Encode(data []byte) string {
	out := make([]byte, 0, len(data)/4*5)
	for ; len(data) >= 4; data = data[4:] {
		v := uint32(data[0])<<24 | uint32(data[1])<<16 | uint32(data[2])<<8 | uint32(data[3])
		var group [5]byte
		for i := len(group) - 1; i >= 0; i-- {
			group[i] = z85Alphabet[v%85]
			v /= 85
		}
		out = append(out, group[:]...)
	}
	return string(out)
}

// z85Decode is the inverse of z85Encode. Its errors do not contain the text, which may be a key.
func z85Decode(text string) ([]byte, error) {
	if len(text)%5 != 0 {
		return nil, errors.New("length is not a multiple of 5")
	}
	out := make([]byte, 0, len(text)/5*4)
	for ; text != ""; text = text[5:] {
		v := uint64(0)
		for _, c := range []byte(text[:5]) {
			digit := strings.IndexByte(z85Alphabet, c)
			if digit < 0 {
				return nil, errors.New("a character that is not Z85")
			}
			v = v*85 + uint64(digit) // not negative
		}
		if v > math.MaxUint32 {
			return nil, errors.New("a group of characters beyond the range of Z85")
		}
		out = append(out, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return out, nil
}
