// Package ociimage writes container images without a container engine, a registry or a base image: from files alone.
// The same files always make the same image, down to its digest.
package ociimage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is an image for one platform, with all of its files in one layer.
type Image struct {
	Platform ocispec.Platform
	Config   ocispec.ImageConfig
	// Files may come in any order. Missing folders of files are added.
	Files []File
	// Compress makes the layer smaller, which takes time.
	Compress bool
}

// File is a regular file, a folder or a symbolic link of an image.
type File struct {
	// Path is its absolute path in the image.
	Path string
	// Mode has the permissions (also setuid, setgid, sticky) and the type: a regular file, fs.ModeDir or
	// fs.ModeSymlink.
	Mode fs.FileMode
	UID  int
	GID  int
	// Source is a regular file of this machine to read the content from. Left empty, Content is the content.
	Source  string
	Content []byte
	// Target is where a symbolic link leads.
	Target string
}

// Dir is a folder that belongs to root.
func Dir(path string, mode fs.FileMode) File { return File{Path: path, Mode: fs.ModeDir | mode} }

// Text is a regular file that belongs to root and may be read by every user.
func Text(path, content string) File { return File{Path: path, Mode: 0o644, Content: []byte(content)} }

// Program is an executable file that belongs to root, copied from this machine.
func Program(path, source string) File { return File{Path: path, Mode: 0o755, Source: source} }

// Link is a symbolic link.
func Link(path, target string) File {
	return File{Path: path, Mode: fs.ModeSymlink | 0o777, Target: target}
}

// Tree is everything below a folder of this machine, with its permissions, as files that belong to root.
func Tree(root string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		file := File{Path: "/" + filepath.ToSlash(relative), Mode: info.Mode()}
		switch {
		case info.IsDir():
		case info.Mode().IsRegular():
			file.Source = name
		case info.Mode()&fs.ModeSymlink != 0:
			if file.Target, err = os.Readlink(name); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s is neither a regular file nor a folder nor a symbolic link", name)
		}
		files = append(files, file)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the files of an image: %w", err)
	}
	return files, nil
}

// sorted returns the files in the order of their paths, with the folders that are missing.
func (i Image) sorted() ([]File, error) {
	byPath := map[string]File{}
	for _, file := range i.Files {
		if !path.IsAbs(file.Path) || path.Clean(file.Path) != file.Path || file.Path == "/" {
			return nil, fmt.Errorf("%q is not a path in an image: it has to be absolute and in its shortest form", file.Path)
		}
		if _, there := byPath[file.Path]; there {
			return nil, fmt.Errorf("%s is there twice", file.Path)
		}
		byPath[file.Path] = file
	}
	for _, file := range i.Files {
		for dir := path.Dir(file.Path); dir != "/"; dir = path.Dir(dir) {
			if above, there := byPath[dir]; !there {
				byPath[dir] = Dir(dir, 0o755)
			} else if !above.Mode.IsDir() {
				return nil, fmt.Errorf("%s is in %s, which is not a folder", file.Path, dir)
			}
		}
	}
	files := make([]File, 0, len(byPath))
	for _, file := range byPath {
		files = append(files, file)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

func (f File) check() error {
	switch f.Mode.Type() {
	case 0:
		if f.Target != "" {
			return errors.New("a regular file leads nowhere")
		}
	case fs.ModeDir, fs.ModeSymlink:
		if f.Source != "" || len(f.Content) > 0 {
			return errors.New("only a regular file has a content")
		}
		if (f.Mode.Type() == fs.ModeSymlink) != (f.Target != "") {
			return errors.New("a symbolic link, and nothing else, has a target")
		}
	default:
		return fmt.Errorf("files of type %v are not supported", f.Mode.Type())
	}
	return nil
}
