package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/hack/ociimage"
	"minicluster.internal/operator/test/framework/node"
)

// build builds the image of a Dockerfile from a folder. It only supports the instructions of the examples'
// Dockerfiles: files on top of an empty image.
func build(dir string) (ociimage.Image, error) {
	image := ociimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}}
	text, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
	if err != nil {
		return image, fmt.Errorf("reading a Dockerfile: %w", err)
	}
	from := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		instruction, rest, _ := strings.Cut(line, " ")
		words := strings.Fields(rest)
		switch {
		case instruction == "FROM" && rest == "scratch" && !from:
			from = true
		case !from:
			return image, errors.New("a Dockerfile has to begin with FROM scratch here")
		case instruction == "COPY" && len(words) == 2 && filepath.IsLocal(words[0]) && strings.HasPrefix(words[1], "/"):
			source := filepath.Join(dir, words[0])
			info, err := os.Stat(source)
			if err != nil {
				return image, fmt.Errorf("%s: %w", line, err)
			}
			image.Files = append(image.Files, ociimage.File{Path: words[1], Mode: info.Mode().Perm(), Source: source})
		case instruction == "USER" && len(words) == 1:
			image.Config.User = words[0]
		case instruction == "ENTRYPOINT":
			if err := json.Unmarshal([]byte(rest), &image.Config.Entrypoint); err != nil {
				return image, fmt.Errorf("%s: %w", line, err)
			}
		default:
			return image, fmt.Errorf("%s: not supported here", line)
		}
	}
	return image, nil
}

// load imports an image into the node under the name that "docker" has for it.
func load(ctx context.Context, kube *node.Node, dir, name string, image ociimage.Image) error {
	archive := filepath.Join(dir, strings.ReplaceAll(name, ":", "-")+".tar")
	file, err := os.Create(archive)
	if err != nil {
		return fmt.Errorf("making image %s: %w", name, err)
	}
	defer file.Close()
	if _, err := ociimage.Write(file, []string{"docker.io/library/" + name}, image); err != nil {
		return fmt.Errorf("making image %s: %w", name, err)
	}
	return kube.Import(ctx, archive)
}

func TestDockerfile(t *testing.T) {
	for name, c := range map[string]struct{ text, wrong string }{
		"files alone":   {"# A comment.\nFROM scratch\nCOPY program /bin/program\nUSER 65532:65532\nENTRYPOINT [\"/bin/program\", \"--flag\"]\n", ""},
		"another image": {"FROM busybox\n", "has to begin with FROM scratch"},
		"a shell":       {"FROM scratch\nRUN make\n", "RUN make: not supported here"},
		"no such file":  {"FROM scratch\nCOPY other /other\n", "COPY other /other: "},
		"from outside":  {"FROM scratch\nCOPY ../other /other\n", "not supported here"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(c.text), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "program"), nil, 0o700))
			image, err := build(dir)
			if c.wrong != "" {
				require.ErrorContains(t, err, c.wrong)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, ocispec.ImageConfig{User: "65532:65532", Entrypoint: []string{"/bin/program", "--flag"}}, image.Config)
			assert.Equal(t, []ociimage.File{{Path: "/bin/program", Mode: 0o700, Source: filepath.Join(dir, "program")}}, image.Files)
		})
	}
}
