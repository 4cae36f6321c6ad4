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

// fingerprint returns a hash of everything that the programs depend on: the sources and pinned versions in the
// module's directory, the Go version, and the flags of the compiler. The go command could determine the same, but
// takes seconds, for which every test run would have to wait.
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

// stagesDir contains the configuration of kwok, which kwok reads when it starts and which is not built into it.
const stagesDir = "kwok"
