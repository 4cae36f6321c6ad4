package ociimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "crypto/sha256" // the digest that go-digest means by Canonical
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layer is a layer in a temporary file.
type layer struct {
	blob
	// diffID is the digest of the layer when it is not compressed.
	diffID digest.Digest
}

// epoch is the time of all files: when they were made is not part of what they are.
func epoch() time.Time { return time.Unix(0, 0).UTC() }

func (i Image) layer(dir string) (layer, error) {
	files, err := i.sorted()
	if err != nil {
		return layer{}, err
	}
	file, err := os.CreateTemp(dir, "layer-")
	if err != nil {
		return layer{}, fmt.Errorf("making a temporary file: %w", err)
	}
	defer file.Close()

	blobDigest, diffDigest := digest.Canonical.Digester(), digest.Canonical.Digester()
	stored := &counter{to: io.MultiWriter(file, blobDigest.Hash())}
	var packed io.WriteCloser = nopCloser{stored}
	mediaType := ocispec.MediaTypeImageLayer
	if i.Compress {
		packed = gzip.NewWriter(stored)
		mediaType = ocispec.MediaTypeImageLayerGzip
	}
	archive := tar.NewWriter(io.MultiWriter(packed, diffDigest.Hash()))
	for _, f := range files {
		if err := f.write(archive); err != nil {
			return layer{}, fmt.Errorf("adding %s: %w", f.Path, err)
		}
	}
	for _, w := range []io.Closer{archive, packed, file} {
		if err := w.Close(); err != nil {
			return layer{}, fmt.Errorf("writing a layer: %w", err)
		}
	}
	return layer{
		blob: blob{
			descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: blobDigest.Digest(), Size: stored.n},
			file:       file.Name(),
		},
		diffID: diffDigest.Digest(),
	}, nil
}

func (f File) write(archive *tar.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	header := &tar.Header{
		Name:    strings.TrimPrefix(f.Path, "/"),
		Mode:    int64(f.Mode.Perm()) | special(f.Mode),
		Uid:     f.UID,
		Gid:     f.GID,
		ModTime: epoch(),
		Format:  tar.FormatPAX,
	}
	switch f.Mode.Type() {
	case fs.ModeDir:
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
		return archive.WriteHeader(header)
	case fs.ModeSymlink:
		header.Typeflag, header.Linkname = tar.TypeSymlink, f.Target
		return archive.WriteHeader(header)
	}
	content, size, err := f.open()
	if err != nil {
		return err
	}
	defer content.Close()
	header.Typeflag, header.Size = tar.TypeReg, size
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, content)
	return err
}

func (f File) open() (content io.ReadCloser, size int64, err error) {
	if f.Source == "" {
		return io.NopCloser(bytes.NewReader(f.Content)), int64(len(f.Content)), nil
	}
	file, err := os.Open(f.Source)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// special translates the bits beside the permissions, which Go keeps elsewhere than Unix does.
func special(mode fs.FileMode) int64 {
	var bits int64
	for bit, unix := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&bit != 0 {
			bits |= unix
		}
	}
	return bits
}

type counter struct {
	to io.Writer
	n  int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

type nopCloser struct{ io.Writer }

// Close implements io.Closer.
func (nopCloser) Close() error { return nil }
