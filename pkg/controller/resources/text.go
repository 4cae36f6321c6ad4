package resources

import (
	"strings"
)

// Shorten makes a text fit into a number of bytes.
func Shorten(text string, most int) string {
	const more = "..."
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(more)], "") + more
}
