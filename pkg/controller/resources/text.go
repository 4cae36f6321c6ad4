package resources

import (
	"strings"
	"unicode"
)

// Shorten makes a text fit into a number of bytes.
func Shorten(text string, most int) string {
	const more = "..."
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(more)], "") + more
}

// maxQuote is how much of the message of somebody else is quoted.
const maxQuote = 1024

// Quote makes the message of somebody else part of a message: one line, of bounded
// length, without the full stop.
func Quote(message string) string {
	message = strings.Join(strings.FieldsFunc(message, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
	}), " ")
	return Shorten(strings.TrimSuffix(message, "."), maxQuote)
}
