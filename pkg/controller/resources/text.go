package resources

import (
	"strings"
	"unicode"
)

// Shorten shortens a text to a number of bytes.
func Shorten(text string, most int) string {
	const more = "..."
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(more)], "") + more
}

// maxQuote is the maximal length of a quoted message.
const maxQuote = 1024

// Quote prepares a message of another program for use within a message: one line, of bounded length, without the full
// stop.
func Quote(message string) string {
	message = strings.Join(strings.FieldsFunc(message, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
	}), " ")
	return Shorten(strings.TrimSuffix(message, "."), maxQuote)
}
