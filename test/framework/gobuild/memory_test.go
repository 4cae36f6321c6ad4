package gobuild

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCompilerMemory(t *testing.T) {
	assert.NotEmpty(t, compilerMemory(24<<30, 2))
	assert.NotEmpty(t, compilerMemory(16<<30, 4))
	assert.Empty(t, compilerMemory(4_000_000<<10, 2), "4 GB are not enough for two compilers and the linker")
	assert.Empty(t, compilerMemory(64<<30, 64))
	assert.Empty(t, compilerMemory(0, 2), "unknown")
}

func TestMemoryOf(t *testing.T) {
	const info = "MemTotal:       24689764 kB\nMemFree:         6291456 kB\n"
	assert.EqualValues(t, 24689764<<10, memoryOf(info, ""))
	assert.EqualValues(t, 24689764<<10, memoryOf(info, "max\n"))
	assert.EqualValues(t, 4<<30, memoryOf(info, "4294967296\n"), "a container")
	assert.Zero(t, memoryOf("", "max\n"))
}
