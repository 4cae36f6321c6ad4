package resources

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestQuote(t *testing.T) {
	assert.Equal(t, "a b c", Quote(" a\n\tb\x00c.\n"))
	assert.LessOrEqual(t, len(Quote(strings.Repeat("ä", 2000))), maxQuote)
}
