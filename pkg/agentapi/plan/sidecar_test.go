package plan

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSidecarCode(t *testing.T) {
	for message, code := range map[string]int{
		SidecarMessage(3, nil):                            3,
		SidecarMessage(127, errors.New("no such file 1")): 127,
		SidecarMessage(4, nil) + "\n":                     4,
		"":                                                0,
		"another message 5":                               0,
	} {
		assert.Equal(t, code, SidecarCode(message), message)
	}
}
