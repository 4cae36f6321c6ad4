package kubebin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// fingerprint changes with everything the programs are made from: the sources and pinned versions in the module's
// directory, the Go version, and how we call the compiler. The go command would find out the same, but needs
// seconds for it, which every test run would have to wait for.
func fingerprint(module, goVersion string, extra ...string) (string, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%q %q\n", goVersion, extra)
	err := filepath.WalkDir(module, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(module, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == stagesDir {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".md") {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(hash, "%q %x\n", filepath.ToSlash(name), sha256.Sum256(content))
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("reading the sources: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// stagesDir holds the configuration of kwok, which is read when it starts and not built into it.
const stagesDir = "kwok"
