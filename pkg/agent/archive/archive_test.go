package archive

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestArchiveNames(t *testing.T) {
	assert.Equal(t, "/a/x.tar.gz.previous", previous("/a/x.tar.gz"))
	assert.Equal(t, "/a/.partial-idle-x.tar.gz", partial("/a/x.tar.gz", "idle"), "flux dump derives the format from the extension")
}
