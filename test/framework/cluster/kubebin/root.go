package kubebin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// moduleDir contains the Go module that Kubernetes is built from; its go.mod also identifies the root of the
// repository.
const moduleDir = "test/kube"

// Root finds the root of the repository from a directory inside it: a test runs in the directory of its package, a
// program where it was called.
func Root(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the root of the repository: %w", err)
	}
	for {
		if isFile(filepath.Join(dir, moduleDir, "go.mod")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("finding the root of the repository: not inside it")
		}
		dir = parent
	}
}

// StateDir returns the directory for the state of a running program: the given directory or, for "", one of this name
// at the root of the repository.
func StateDir(asked, name string) (string, error) {
	if asked == "" {
		root, err := Root(".")
		return filepath.Join(root, name), err
	}
	dir, err := filepath.Abs(asked)
	if err != nil {
		return "", fmt.Errorf("finding the directory for the state: %w", err)
	}
	return dir, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
