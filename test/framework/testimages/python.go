package testimages

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"minicluster.internal/operator/hack/ociimage"
	"minicluster.internal/operator/test/framework/node"
)

// Python is the image Flux with Python and Kubernetes' client for it.
const Python = "minicluster.test/python:1"

// pythonFiles prints the program, modules and libraries that a client of Kubernetes loads. Some modules are loaded
// only with the first request.
const pythonFiles = `import sys
import encodings.idna
import kubernetes.client.models, kubernetes.config, yaml
print(sys.executable)
for module in list(sys.modules.values()):
    if getattr(module, "__file__", None):
        print(module.__file__)
with open("/proc/self/maps") as maps:
    for path in sorted({line.split()[-1] for line in maps if ".so" in line}):
        print(path)
`

// ImportPython builds the image from the Python of this machine at this path, and imports it into a node.
func ImportPython(ctx context.Context, kube *node.Node, program string) error {
	dir, err := os.MkdirTemp("", "minicluster-e2e-")
	if err != nil {
		return fmt.Errorf("creating a folder for an image: %w", err)
	}
	defer os.RemoveAll(dir)
	flux, err := fluxFiles(ctx, dir)
	if err != nil {
		return err
	}
	python, err := filesOfPython(ctx, program)
	if err != nil {
		return err
	}
	archive := filepath.Join(dir, "python.tar")
	if err := writeImage(archive, Python, append(flux, python...)); err != nil {
		return err
	}
	return kube.Import(ctx, archive)
}

func filesOfPython(ctx context.Context, program string) ([]ociimage.File, error) {
	list, err := exec.CommandContext(ctx, program, "-c", pythonFiles).Output()
	if err != nil {
		return nil, fmt.Errorf("listing the files of Python: %w", err)
	}
	paths := strings.Fields(string(list))
	executable, err := filepath.EvalSymlinks(paths[0])
	if err != nil {
		return nil, fmt.Errorf("finding Python: %w", err)
	}
	loader, err := loaderOf(executable)
	if err != nil {
		return nil, err
	}
	files := []ociimage.File{
		ociimage.Program(executable, executable), ociimage.Link("/usr/bin/python3", executable),
		ociimage.Program(loader, loader),
	}
	known := map[string]bool{executable: true, loader: true}
	for _, source := range paths[1:] {
		path, err := loadedAs(source)
		if err != nil {
			return nil, err
		}
		if !known[path] {
			known[path] = true
			files = append(files, ociimage.Program(path, source))
		}
	}
	return files, nil
}

// loaderOf returns the path of the dynamic loader of a program.
func loaderOf(program string) (string, error) {
	file, err := elf.Open(program)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", program, err)
	}
	defer func() { _ = file.Close() }()
	section := file.Section(".interp")
	if section == nil {
		return "", fmt.Errorf("%s has no dynamic loader", program)
	}
	path, err := section.Data()
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", program, err)
	}
	return strings.TrimRight(string(path), "\x00"), nil
}

// loadedAs returns the path under which a file is found: programs look for a library by its short name.
func loadedAs(path string) (string, error) {
	if !strings.Contains(filepath.Base(path), ".so") {
		return path, nil
	}
	file, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	defer func() { _ = file.Close() }()
	names, err := file.DynString(elf.DT_SONAME)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	if len(names) == 0 {
		return path, nil
	}
	return filepath.Join(filepath.Dir(path), names[0]), nil
}
