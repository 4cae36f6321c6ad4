package ociimage

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// containerdName is the annotation by which containerd finds the whole name of an image in an archive. The annotation
// of the specification has the tag only.
const containerdName = "io.containerd.image.name"

// blob is a part of an image: a short one in memory, a long one in a file.
type blob struct {
	descriptor ocispec.Descriptor
	content    []byte
	file       string
}

// Write writes an archive with one image, which has a variant for each platform and any number of names. The archive
// is an OCI image layout; it also has the older manifest of Docker, for engines that know only that. There the
// variants have separate names, with the architecture at their end, unless there is only one.
//
// The digest is that of the image's index.
func Write(to io.Writer, names []string, images ...Image) (digest.Digest, error) {
	if len(images) == 0 || len(names) == 0 {
		return "", errors.New("writing an image: it needs a name and a platform")
	}
	dir, err := os.MkdirTemp("", "ociimage-")
	if err != nil {
		return "", fmt.Errorf("making a temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)

	b := builder{dir: dir, blobs: map[digest.Digest]blob{}}
	var variants []ocispec.Descriptor
	for _, image := range images {
		variant, err := b.addImage(image)
		if err != nil {
			return "", fmt.Errorf("making the image for %s/%s: %w", image.Platform.OS, image.Platform.Architecture, err)
		}
		variants = append(variants, variant)
	}
	index, err := b.addJSON(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: variants,
	})
	if err != nil {
		return "", err
	}
	if err := b.addNames(index, names, len(images) > 1); err != nil {
		return "", err
	}
	return index.Digest, b.write(to)
}

// builder gathers the parts of an archive.
type builder struct {
	dir   string
	blobs map[digest.Digest]blob
	// docker is the older manifest.
	docker []dockerImage
	// heads are the files beside the blobs.
	heads []head
}

type head struct {
	name    string
	content []byte
}

type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
	platform ocispec.Platform
}

func blobPath(d digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

func (b *builder) addImage(image Image) (ocispec.Descriptor, error) {
	layer, err := image.layer(b.dir)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	b.blobs[layer.descriptor.Digest] = layer.blob
	config, err := b.addJSON(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: image.Platform,
		Config:   image.Config,
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.diffID}},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	manifest, err := b.addJSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config,
		Layers:    []ocispec.Descriptor{layer.descriptor},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	b.docker = append(b.docker, dockerImage{
		Config:   blobPath(config.Digest),
		Layers:   []string{blobPath(layer.descriptor.Digest)},
		platform: image.Platform,
	})
	manifest.Platform = &image.Platform
	return manifest, nil
}

func (b *builder) addJSON(mediaType string, value any) (ocispec.Descriptor, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("encoding a part of type %s: %w", mediaType, err)
	}
	descriptor := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	b.blobs[descriptor.Digest] = blob{descriptor: descriptor, content: content}
	return descriptor, nil
}

func (b *builder) addNames(index ocispec.Descriptor, names []string, several bool) error {
	layout := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, name := range names {
		// Short names mean what they mean to every other tool.
		full, err := reference.ParseDockerRef(name)
		if err != nil {
			return fmt.Errorf("reading the image name %q: %w", name, err)
		}
		tagged, ok := full.(reference.NamedTagged)
		if !ok {
			return fmt.Errorf("reading the image name %q: it is a digest", name)
		}
		named := index
		named.Annotations = map[string]string{containerdName: full.String(), ocispec.AnnotationRefName: tagged.Tag()}
		layout.Manifests = append(layout.Manifests, named)
		for i := range b.docker {
			tag := reference.FamiliarString(tagged)
			if several {
				tag += "-" + b.docker[i].platform.Architecture
			}
			b.docker[i].RepoTags = append(b.docker[i].RepoTags, tag)
		}
	}
	for _, h := range []struct {
		name  string
		value any
	}{
		{ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}},
		{ocispec.ImageIndexFile, layout},
		{"manifest.json", b.docker},
	} {
		content, err := json.Marshal(h.value)
		if err != nil {
			return fmt.Errorf("encoding %s: %w", h.name, err)
		}
		b.heads = append(b.heads, head{h.name, content})
	}
	return nil
}

func (b *builder) write(to io.Writer) error {
	archive := tar.NewWriter(to)
	for _, h := range b.heads {
		if err := add(archive, h.name, int64(len(h.content)), bytes.NewReader(h.content)); err != nil {
			return err
		}
	}
	blobs := make([]blob, 0, len(b.blobs))
	for _, part := range b.blobs {
		blobs = append(blobs, part)
	}
	slices.SortFunc(blobs, func(a, b blob) int { return strings.Compare(string(a.descriptor.Digest), string(b.descriptor.Digest)) })
	for _, part := range blobs {
		if err := part.add(archive); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	return nil
}

func (p blob) add(archive *tar.Writer) error {
	name := blobPath(p.descriptor.Digest)
	if p.file == "" {
		return add(archive, name, p.descriptor.Size, bytes.NewReader(p.content))
	}
	file, err := os.Open(p.file)
	if err != nil {
		return fmt.Errorf("reading a layer again: %w", err)
	}
	defer file.Close()
	return add(archive, name, p.descriptor.Size, file)
}

func add(archive *tar.Writer, name string, size int64, content io.Reader) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: epoch()}
	if err := archive.WriteHeader(header); err != nil {
		return fmt.Errorf("adding %s to the archive: %w", name, err)
	}
	if _, err := io.Copy(archive, content); err != nil {
		return fmt.Errorf("adding %s to the archive: %w", name, err)
	}
	return nil
}
