// Package testimages builds the images that tests run on a real node: that of the product, and one for MiniClusters.
package testimages

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"minicluster.internal/operator/hack/ociimage"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
)

// Flux is an image with a shell, common small programs, and test/framework/fakeflux in place of Flux.
const Flux = "minicluster.test/flux:1"

// Import builds the images and imports them into a node.
func Import(ctx context.Context, kube *node.Node) error {
	root, err := kubebin.Root(".")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "minicluster-e2e-")
	if err != nil {
		return fmt.Errorf("creating a folder for images: %w", err)
	}
	defer os.RemoveAll(dir)

	product, test := filepath.Join(dir, "product.tar"), filepath.Join(dir, "test.tar")
	if err := goCommand(ctx, root, "run", "./hack/image", "--platforms=native", "--output="+product); err != nil {
		return err
	}
	files, err := fluxFiles(ctx, dir)
	if err != nil {
		return err
	}
	if err := writeImage(test, Flux, files); err != nil {
		return err
	}
	for _, archive := range []string{product, test} {
		if err := kube.Import(ctx, archive); err != nil {
			return err
		}
	}
	return nil
}

func goCommand(ctx context.Context, dir string, args ...string) error {
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, output.String())
	}
	return nil
}

// fluxFiles builds the programs of the image Flux in a folder, and returns its files.
func fluxFiles(ctx context.Context, dir string) ([]ociimage.File, error) {
	root, err := kubebin.Root(".")
	if err != nil {
		return nil, err
	}
	flux, curl := filepath.Join(dir, "flux"), filepath.Join(dir, "curl")
	if err := goCommand(ctx, root, "build", "-trimpath", "-o", flux, "./test/framework/fakeflux"); err != nil {
		return nil, err
	}
	if err := goCommand(ctx, root, "build", "-trimpath", "-o", curl, "./test/e2e/curl"); err != nil {
		return nil, err
	}
	busybox, applets, err := FindBusybox(ctx)
	if err != nil {
		return nil, err
	}
	files := []ociimage.File{
		ociimage.Text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n"),
		ociimage.Text("/etc/group", "root:x:0:\nuser:x:1000:\n"),
		ociimage.Dir("/root", 0o700),
		{Path: "/home/user", Mode: fs.ModeDir | 0o755, UID: 1000, GID: 1000},
		ociimage.Dir("/tmp", 0o777|fs.ModeSticky),
		ociimage.Dir("/var/tmp", 0o777|fs.ModeSticky),
		ociimage.Dir("/run", 0o755),
		ociimage.Program("/bin/busybox", busybox),
		ociimage.Program("/usr/bin/flux", flux),
		ociimage.Program("/usr/bin/curl", curl),
		// It is also the image of a view.
		ociimage.Dir("/opt/view/bin", 0o755),
		ociimage.Link("/opt/view/bin/flux", "/usr/bin/flux"),
	}
	for _, applet := range applets {
		files = append(files, ociimage.Link("/bin/"+applet, "busybox"))
	}
	return files, nil
}

// writeImage writes an archive with an image.
func writeImage(archive, name string, files []ociimage.File) error {
	file, err := os.Create(archive)
	if err != nil {
		return fmt.Errorf("building the image of the tests: %w", err)
	}
	defer file.Close()
	_, err = ociimage.Write(file, []string{name}, ociimage.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Env: []string{"PATH=/usr/bin:/bin"}, Cmd: []string{"/bin/sh"}},
		Files:    files,
	})
	if err != nil {
		return fmt.Errorf("building the image of the tests: %w", err)
	}
	return nil
}

// FindBusybox returns the path of a statically linked busybox, and the names of its programs.
func FindBusybox(ctx context.Context) (path string, applets []string, err error) {
	path, err = exec.LookPath("busybox")
	if err != nil {
		return "", nil, fmt.Errorf("the image of the tests has its shell from package busybox-static: %w", err)
	}
	program, err := elf.Open(path)
	if err != nil {
		return "", nil, fmt.Errorf("reading %s: %w", path, err)
	}
	needsLibraries := program.Section(".interp") != nil
	if err := program.Close(); err != nil {
		return "", nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if needsLibraries {
		return "", nil, errors.New("the image of the tests has its shell from package busybox-static; the busybox of this machine needs libraries")
	}
	list, err := exec.CommandContext(ctx, path, "--list").Output()
	if err != nil {
		return "", nil, fmt.Errorf("asking busybox for its programs: %w", err)
	}
	for _, name := range strings.Fields(string(list)) {
		if name != "busybox" {
			applets = append(applets, name)
		}
	}
	return path, applets, nil
}
