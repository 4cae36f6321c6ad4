package kubebin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"minicluster.internal/operator/test/framework/gobuild"
)

// EnsureRelease returns a directory with the control plane of a release of Kubernetes, such as v1.33.13, for
// [DirVariable]. The other programs in it are those of the local Kubernetes. A release other than that of test/kube is
// built from a module that has the sources of localkube and the requirements of the release, which takes ten minutes
// of CPU time the first time.
func EnsureRelease(ctx context.Context, root, release string, log io.Writer) (string, error) {
	programs, err := Ensure(ctx, root, log)
	if err != nil {
		return "", err
	}
	own, err := goOutput(ctx, filepath.Join(root, moduleDir), "list", "-m", "-f", "{{.Version}}", kubernetesModule)
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(own) == release {
		return filepath.Dir(programs.Localkube), nil
	}
	dir := filepath.Join(root, "bin", "kubernetes-"+release)
	source := filepath.Join(dir, "source")
	if err := writeRelease(ctx, root, source, release); err != nil {
		return "", fmt.Errorf("preparing the sources of Kubernetes %s: %w", release, err)
	}
	if err := compileRelease(ctx, source, dir, release, log); err != nil {
		return "", fmt.Errorf("building Kubernetes %s: %w", release, err)
	}
	for _, program := range []string{programs.Kwok, programs.Kubectl, programs.MetricsServer} {
		link := filepath.Join(dir, filepath.Base(program))
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if err := os.Symlink(program, link); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func compileRelease(ctx context.Context, source, dir, release string, log io.Writer) error {
	progress := gobuild.NewProgress(log)
	defer progress.Finish()
	progress.Say("looking for the sources of Kubernetes " + release)
	// The go command completes go.mod: versions of the release's own dependencies.
	env := append(environment(), "GOFLAGS=-mod=mod")
	args := []string{"-trimpath", "-gcflags=all=-dwarf=false", "-buildvcs=false", "-ldflags=" + linkerFlags(release, ""), "./localkube"}
	stale, err := gobuild.Stale(ctx, source, env, progress, args...)
	if err != nil {
		return err
	}
	progress.Compiling("Kubernetes "+release, stale)
	_, err = gobuild.Run(ctx, source, env, progress, append([]string{"build", "-v", "-o", dir + string(filepath.Separator)}, args...)...)
	return err
}

// writeRelease writes the module. It keeps a go.mod that the go command has completed.
func writeRelease(ctx context.Context, root, source, release string) error {
	for _, folder := range []string{"localkube", "pki"} {
		if err := copySources(filepath.Join(root, moduleDir, folder), filepath.Join(source, folder), release); err != nil {
			return err
		}
	}
	path := filepath.Join(source, "go.mod")
	if isFile(path) {
		return nil
	}
	output, err := goOutput(ctx, source, "mod", "download", "-json", kubernetesModule+"@"+release)
	if err != nil {
		return err
	}
	var module struct{ GoMod string }
	if err := json.Unmarshal([]byte(output), &module); err != nil {
		return fmt.Errorf("parsing the output of go mod download: %w", err)
	}
	theirs, err := os.ReadFile(module.GoMod)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(releaseModule(string(theirs), release)), 0o600)
}

var (
	languageVersion = regexp.MustCompile(`(?m)^(go |godebug ).*$`)
	stagingModule   = regexp.MustCompile(`(?m)^\s*(k8s\.io/[a-z-]+) => \./staging/`)
)

// releaseModule returns a go.mod that requires a release of Kubernetes, given the go.mod of that release. The latter
// replaces the modules that Kubernetes publishes by folders of its own, which a module that requires it does not have.
func releaseModule(theirs, release string) string {
	var text strings.Builder
	text.WriteString("module minicluster.internal/operator/test/kube\n\n")
	for _, line := range languageVersion.FindAllString(theirs, -1) {
		text.WriteString(line + "\n")
	}
	fmt.Fprintf(&text, "\nrequire (\n\t%s %s\n", kubernetesModule, release)
	for _, match := range stagingModule.FindAllStringSubmatch(theirs, -1) {
		if !strings.HasPrefix(match[1], "k8s.io/sample-") {
			fmt.Fprintf(&text, "\t%s %s\n", match[1], strings.Replace(release, "v1.", "v0.", 1))
		}
	}
	text.WriteString(")\n")
	return text.String()
}

const (
	copyOfGates     = "utilfeature.DefaultMutableFeatureGate = utilfeature.DefaultMutableFeatureGate.DeepCopyAndReset()"
	importOfManager = "\"k8s.io/kubernetes/cmd/kube-controller-manager/app\""
)

// older returns the differences between localkube and earlier releases of Kubernetes: what these need instead of a text
// of a file.
func older() []difference {
	return []difference{
		{"v1.33.", "controllermanager.go", "manager.Config(ctx, known", "manager.Config(known"},
		{"v1.33.", "etcd.go", "etcd/server/v3/storage/wal", "etcd/server/v3/wal"},
		// Its controller manager changes a default of the feature gates when it defines its flags, and panics because the
		// API server of the same process has already done so.
		{"v1.34.", "controllermanager.go", "sets := ", copyOfGates + "\n\tsets := "},
		{"v1.34.", "controllermanager.go", importOfManager, "utilfeature \"k8s.io/apiserver/pkg/util/feature\"\n\t" + importOfManager},
	}
}

// difference is a text in a file that is another one for releases with a prefix.
type difference struct{ release, file, text, instead string }

// copySources copies the Go files of a package without its tests, and what they embed.
func copySources(from, to, release string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.IsDir() || strings.HasSuffix(e.Name(), "_test.go") })
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(from, entry.Name()))
		if err != nil {
			return err
		}
		text := string(content)
		for _, o := range older() {
			if !strings.HasPrefix(release, o.release) || o.file != entry.Name() {
				continue
			}
			if !strings.Contains(text, o.text) {
				return fmt.Errorf("%s has no %q", entry.Name(), o.text)
			}
			text = strings.ReplaceAll(text, o.text, o.instead)
		}
		if err := os.WriteFile(filepath.Join(to, entry.Name()), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
