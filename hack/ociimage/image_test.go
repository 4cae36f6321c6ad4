package ociimage_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/hack/ociimage"
)

func sample(architecture string, compress bool, files ...ociimage.File) ociimage.Image {
	return ociimage.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: architecture},
		Config:   ocispec.ImageConfig{User: "65532", Labels: map[string]string{"b": "2", "a": "1"}},
		Files:    files,
		Compress: compress,
	}
}

func write(t *testing.T, names []string, images ...ociimage.Image) (archive []byte, id digest.Digest) {
	t.Helper()
	var buffer bytes.Buffer
	id, err := ociimage.Write(&buffer, names, images...)
	require.NoError(t, err)
	return buffer.Bytes(), id
}

func untar(t *testing.T, archive io.Reader) (names []string, contents map[string][]byte, headers map[string]*tar.Header) {
	t.Helper()
	contents, headers = map[string][]byte{}, map[string]*tar.Header{}
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return names, contents, headers
		}
		require.NoError(t, err)
		content, err := io.ReadAll(reader)
		require.NoError(t, err)
		names = append(names, header.Name)
		contents[header.Name], headers[header.Name] = content, header
	}
}

func decode[T any](t *testing.T, content []byte) T {
	t.Helper()
	var value T
	require.NoError(t, json.Unmarshal(content, &value))
	return value
}

// blob returns a part of an archive, and checks that it is what its descriptor says.
func blob(t *testing.T, contents map[string][]byte, d ocispec.Descriptor) []byte {
	t.Helper()
	content, there := contents["blobs/sha256/"+d.Digest.Encoded()]
	require.True(t, there, d.Digest)
	assert.Equal(t, d.Digest, digest.FromBytes(content))
	assert.Len(t, content, int(d.Size))
	return content
}

func TestWriteMakesAnImageLayout(t *testing.T) {
	archive, id := write(t, []string{"minicluster:latest", "minicluster.test/other:v1"},
		sample("amd64", true, ociimage.Text("/etc/passwd", "x")), sample("arm64", false, ociimage.Text("/etc/passwd", "x")))
	_, contents, _ := untar(t, bytes.NewReader(archive))

	assert.JSONEq(t, `{"imageLayoutVersion":"1.0.0"}`, string(contents["oci-layout"]))
	layout := decode[ocispec.Index](t, contents["index.json"])
	require.Len(t, layout.Manifests, 2, "one for each name")
	var names, tags []string
	for _, named := range layout.Manifests {
		assert.Equal(t, id, named.Digest)
		names = append(names, named.Annotations["io.containerd.image.name"])
		tags = append(tags, named.Annotations[ocispec.AnnotationRefName])
	}
	assert.Regexp(t, `/library/minicluster:latest$`, names[0], "a short name is completed as other tools do")
	assert.Equal(t, "minicluster.test/other:v1", names[1])
	assert.Equal(t, []string{"latest", "v1"}, tags)

	index := decode[ocispec.Index](t, blob(t, contents, layout.Manifests[0]))
	require.Len(t, index.Manifests, 2, "one for each platform")
	for i, architecture := range []string{"amd64", "arm64"} {
		assert.Equal(t, &ocispec.Platform{OS: "linux", Architecture: architecture}, index.Manifests[i].Platform)
		manifest := decode[ocispec.Manifest](t, blob(t, contents, index.Manifests[i]))
		config := decode[ocispec.Image](t, blob(t, contents, manifest.Config))
		assert.Equal(t, architecture, config.Architecture)
		assert.Equal(t, "65532", config.Config.User)
		layer := blob(t, contents, manifest.Layers[0])
		if manifest.Layers[0].MediaType == ocispec.MediaTypeImageLayerGzip {
			unpacked, err := gzip.NewReader(bytes.NewReader(layer))
			require.NoError(t, err)
			layer, err = io.ReadAll(unpacked)
			require.NoError(t, err)
		}
		assert.Equal(t, []digest.Digest{digest.FromBytes(layer)}, config.RootFS.DiffIDs)
	}

	type dockerImage struct {
		Config           string
		RepoTags, Layers []string
	}
	docker := decode[[]dockerImage](t, contents["manifest.json"])
	require.Len(t, docker, 2)
	assert.Equal(t, []string{"minicluster:latest-arm64", "minicluster.test/other:v1-arm64"}, docker[1].RepoTags)
	assert.Contains(t, contents, docker[1].Config)
	assert.Contains(t, contents, docker[1].Layers[0])
}

func TestSameFilesMakeTheSameImage(t *testing.T) {
	a, b := ociimage.Text("/a", "1"), ociimage.Text("/b/c", "2")
	first, firstID := write(t, []string{"x:1"}, sample("amd64", true, a, b))
	second, secondID := write(t, []string{"x:1"}, sample("amd64", true, b, a))
	assert.Equal(t, firstID, secondID)
	assert.True(t, bytes.Equal(first, second), "the archive is the same to the byte")

	_, other := write(t, []string{"x:1"}, sample("amd64", true, a, ociimage.Text("/b/c", "3")))
	assert.NotEqual(t, firstID, other)
}

// layerOf returns the headers and contents of the only layer of an image that is not compressed.
func layerOf(t *testing.T, files ...ociimage.File) (names []string, contents map[string][]byte, headers map[string]*tar.Header) {
	t.Helper()
	archive, _ := write(t, []string{"x:1"}, sample("amd64", false, files...))
	_, parts, _ := untar(t, bytes.NewReader(archive))
	layout := decode[ocispec.Index](t, parts["index.json"])
	index := decode[ocispec.Index](t, blob(t, parts, layout.Manifests[0]))
	manifest := decode[ocispec.Manifest](t, blob(t, parts, index.Manifests[0]))
	return untar(t, bytes.NewReader(blob(t, parts, manifest.Layers[0])))
}

func TestLayer(t *testing.T) {
	source := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(source, []byte("#!/bin/true"), 0o600))
	names, contents, headers := layerOf(t,
		ociimage.Program("/usr/bin/program", source),
		ociimage.Link("/bin", "usr/bin"),
		ociimage.Dir("/tmp", 0o777|fs.ModeSticky),
		ociimage.File{Path: "/home/flux/data", Mode: 0o640 | fs.ModeSetuid, UID: 1000, GID: 2000, Content: []byte("hello")},
	)
	assert.Equal(t, []string{"bin", "home/", "home/flux/", "home/flux/data", "tmp/", "usr/", "usr/bin/", "usr/bin/program"}, names)
	assert.Equal(t, "usr/bin", headers["bin"].Linkname)
	assert.EqualValues(t, 0o1777, headers["tmp/"].Mode)
	assert.EqualValues(t, 0o755, headers["home/flux/"].Mode)
	assert.EqualValues(t, 0o4640, headers["home/flux/data"].Mode)
	assert.Equal(t, 1000, headers["home/flux/data"].Uid)
	assert.Equal(t, 2000, headers["home/flux/data"].Gid)
	assert.Equal(t, "hello", string(contents["home/flux/data"]))
	assert.Equal(t, "#!/bin/true", string(contents["usr/bin/program"]))
	assert.EqualValues(t, 0o755, headers["usr/bin/program"].Mode)
	assert.EqualValues(t, 0, headers["usr/bin/program"].ModTime.Unix())
}

func TestTree(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "usr", "bin"), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(root, "usr", "bin", "x"), []byte("x"), 0o700))
	require.NoError(t, os.Symlink("usr/bin", filepath.Join(root, "bin")))
	files, err := ociimage.Tree(root)
	require.NoError(t, err)
	names, contents, headers := layerOf(t, files...)
	assert.Equal(t, []string{"bin", "usr/", "usr/bin/", "usr/bin/x"}, names)
	assert.EqualValues(t, 0o750, headers["usr/bin/"].Mode)
	assert.EqualValues(t, 0o700, headers["usr/bin/x"].Mode)
	assert.Equal(t, "x", string(contents["usr/bin/x"]))

	_, err = ociimage.Tree(filepath.Join(root, "nonexistent"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

func TestWriteRefuses(t *testing.T) {
	for name, files := range map[string][]ociimage.File{
		"a relative path":              {ociimage.Text("etc/passwd", "")},
		"a path that leads up":         {ociimage.Text("/etc/../passwd", "")},
		"the root":                     {ociimage.Dir("/", 0o755)},
		"a path twice":                 {ociimage.Text("/a", ""), ociimage.Dir("/a", 0o755)},
		"a file in a file":             {ociimage.Text("/a", ""), ociimage.Text("/a/b", "")},
		"a link without a target":      {ociimage.Link("/a", "")},
		"a folder with a content":      {{Path: "/a", Mode: fs.ModeDir, Content: []byte("x")}},
		"a file with a target":         {{Path: "/a", Target: "b"}},
		"a device":                     {{Path: "/a", Mode: fs.ModeDevice}},
		"a source that cannot be read": {ociimage.Program("/a", "/nonexistent")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ociimage.Write(io.Discard, []string{"x:1"}, sample("amd64", false, files...))
			assert.Error(t, err)
		})
	}
	_, err := ociimage.Write(io.Discard, nil, sample("amd64", false))
	assert.Error(t, err, "no name")
	_, err = ociimage.Write(io.Discard, []string{"x:1"})
	assert.Error(t, err, "no platform")
	for _, bad := range []string{"X:1", "x:", ""} {
		_, err = ociimage.Write(io.Discard, []string{bad}, sample("amd64", false))
		assert.Error(t, err, bad)
	}
}
