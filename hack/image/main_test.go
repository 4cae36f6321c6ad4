package main

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/hack/ociimage"
)

func TestParse(t *testing.T) {
	o, err := parse([]string{"--version=v1.2.3"})
	require.NoError(t, err)
	assert.Equal(t, []ocispec.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}, o.platforms)
	assert.Equal(t, filepath.Join("dist", "minicluster-image.tar"), o.output)

	o, err = parse([]string{"--platforms=native"})
	require.NoError(t, err)
	assert.Equal(t, []ocispec.Platform{{OS: "linux", Architecture: runtime.GOARCH}}, o.platforms)

	for _, args := range [][]string{{"--platforms=amd64"}, {"--platforms=windows/amd64"}, {"--platforms="}, {"latest"}} {
		_, err := parse(args)
		assert.Error(t, err, args)
	}
}

func TestTag(t *testing.T) {
	assert.Equal(t, "v1.2.3-rc.1", tag("v1.2.3-rc.1"))
	assert.Equal(t, "v1.2.3-dirty-x", tag("v1.2.3-dirty+x"))
	assert.Len(t, tag(strings.Repeat("v", 200)), 128)
}

func TestImageRunsAsAnotherUserThanRoot(t *testing.T) {
	got := image("v1.2.3", ocispec.Platform{OS: "linux", Architecture: "arm64"}, []string{"/build/minicluster-controller", "/build/minicluster-agent"})
	assert.Equal(t, "65532:65532", got.Config.User)
	assert.Equal(t, "v1.2.3", got.Config.Labels["org.opencontainers.image.version"])
	assert.Contains(t, got.Files, ociimage.Program("/minicluster-agent", "/build/minicluster-agent"))
	assert.Contains(t, got.Files, ociimage.Program(got.Config.Entrypoint[0], "/build/minicluster-controller"))
}

func TestWriteLeavesNothingHalfWritten(t *testing.T) {
	output := filepath.Join(t.TempDir(), "dist", "image.tar")
	broken := ociimage.Image{Files: []ociimage.File{ociimage.Program("/program", "/nonexistent")}}
	err := write(&strings.Builder{}, output, []string{"minicluster:latest"}, []ociimage.Image{broken})
	require.ErrorIs(t, err, os.ErrNotExist)
	entries, err := os.ReadDir(filepath.Dir(output))
	require.NoError(t, err)
	assert.Empty(t, entries)

	var out strings.Builder
	require.NoError(t, write(&out, output, []string{"minicluster:latest"}, []ociimage.Image{{Files: []ociimage.File{ociimage.Text("/a", "b")}}}))
	assert.FileExists(t, output)
	assert.Contains(t, out.String(), "sha256:")
}

// With other flags, building the image would compile all packages once more.
func TestImageIsCompiledAsEverythingElse(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("..", "goflags.sh"))
	require.NoError(t, err)
	list := regexp.MustCompile(`(?m)^for flag in (.*); do$`).FindSubmatch(script)
	require.NotNil(t, list)
	for _, flag := range strings.Fields(string(list[1])) {
		assert.Contains(t, goFlags, flag)
	}
}

func TestProgressIsShown(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), []byte("#!/bin/sh\ncase \"$*\" in *.Stale*) echo a b c;; esac\n"), 0o755))
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	o, err := parse(nil)
	require.NoError(t, err)
	var log strings.Builder
	_, err = build(t.Context(), &log, filepath.Join(dir, "programs"), o)
	require.NoError(t, err)
	assert.Contains(t, log.String(), "compiling the image: 0 of 6 packages")
}
