package prepare

import (
	"crypto/sha512"
	"strings"
)

// cryptAlphabet is the alphabet of crypt(5), which differs from that of base64.
const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// cryptRounds is the default number of rounds.
const cryptRounds = 5000

// cryptSHA512 hashes a password like crypt(3) with the prefix $6$: "Unix crypt using SHA-256 and SHA-512", version
// 0.6, by U. Drepper. The salt has up to 16 characters.
func cryptSHA512(password, salt string) string {
	salt = salt[:min(len(salt), 16)]
	p, s := []byte(password), []byte(salt)
	sum := cryptDigest(p, s)

	// Strings of the length of the password and of the salt, derived from their digests.
	var many []byte
	for range len(p) {
		many = append(many, p...)
	}
	pSeq := stretch(sha512.Sum512(many), len(p))
	many = nil
	for range 16 + int(sum[0]) {
		many = append(many, s...)
	}
	sSeq := stretch(sha512.Sum512(many), len(s))

	for round := range cryptRounds {
		sum = cryptRound(round, sum, pSeq, sSeq)
	}
	return "$6$" + salt + "$" + cryptEncode(sum)
}

// cryptDigest returns the digest with which the rounds start.
func cryptDigest(p, s []byte) [sha512.Size]byte {
	var in []byte
	in = append(append(append(in, p...), s...), p...)
	b := sha512.Sum512(in)
	in = append(append([]byte{}, p...), s...)
	in = append(in, stretch(b, len(p))...)
	for n := len(p); n > 0; n >>= 1 {
		if n&1 != 0 {
			in = append(in, b[:]...)
		} else {
			in = append(in, p...)
		}
	}
	return sha512.Sum512(in)
}

// cryptRound mixes the digest of the previous round with password and salt.
func cryptRound(round int, sum [sha512.Size]byte, p, s []byte) [sha512.Size]byte {
	var in []byte
	if round&1 != 0 {
		in = append(in, p...)
	} else {
		in = append(in, sum[:]...)
	}
	if round%3 != 0 {
		in = append(in, s...)
	}
	if round%7 != 0 {
		in = append(in, p...)
	}
	if round&1 != 0 {
		in = append(in, sum[:]...)
	} else {
		in = append(in, p...)
	}
	return sha512.Sum512(in)
}

// stretch repeats a digest up to a length.
func stretch(sum [sha512.Size]byte, n int) []byte {
	out := make([]byte, 0, n+sha512.Size)
	for len(out) < n {
		out = append(out, sum[:]...)
	}
	return out[:n]
}

// cryptEncode encodes a digest with the order and the alphabet of crypt(3): three bytes, a third of the digest apart
// and rotated by one each time, become four characters.
func cryptEncode(sum [sha512.Size]byte) string {
	var out strings.Builder
	put := func(w uint32, n int) {
		for range n {
			out.WriteByte(cryptAlphabet[w&0x3f])
			w >>= 6
		}
	}
	a, b, c := 0, 21, 42
	for range 21 {
		put(uint32(sum[a])<<16|uint32(sum[b])<<8|uint32(sum[c]), 4)
		a, b, c = b+1, c+1, a+1
	}
	put(uint32(sum[63]), 2)
	return out.String()
}
