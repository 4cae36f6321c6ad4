package prepare

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Paths of the parts of a view in its image, as spack uses them.
const (
	viewsDir  = "/opt/views/._view"
	viewLink  = "/opt/view"
	viewLeast = "bin/flux"
)

// doneMarker exists when a view is complete. flux-operator uses the same name.
const doneMarker = "flux-operator-done.txt"

// ViewOptions describe the container that copies the view.
type ViewOptions struct {
	// Root replaces / in tests; empty in a pod.
	Root string
	// Image is where the image of the view is mounted, if it is: then the view consists of links instead of copies.
	// Otherwise the view is in the image of the container.
	Image string
}

// View copies the Flux of a view's image to the directory that the containers of the pod share. After an interruption
// it can be repeated, and it does nothing once it has succeeded.
func View(ctx context.Context, v *plan.View, o ViewOptions) error {
	sys := newSystem(o.Root)
	if err := makeShared(sys.at(path.Join(v.MountPath, plan.SoftwareSubPath))); err != nil {
		return fmt.Errorf("making the directory of the view's packages: %w", err)
	}
	if !v.Copied {
		return nil
	}
	marker := sys.at(path.Join(v.MountPath, doneMarker))
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	from, err := findView(sys, o.Image)
	if err != nil {
		return err
	}
	start := time.Now()
	if o.Image != "" {
		err = linkView(sys, v, from, o.Image)
	} else {
		err = copyView(ctx, sys, v, from)
	}
	if err != nil {
		return err
	}
	if err := writeOnce(marker, from+"\n"); err != nil {
		return fmt.Errorf("recording that the view is complete: %w", err)
	}
	what := "Copied the view"
	if o.Image != "" {
		what = "Linked the view"
	}
	klog.FromContext(ctx).Info(what, "from", from, "at", viewDir(v), "took", time.Since(start).Round(time.Millisecond))
	return nil
}

// writeOnce writes a file unless it exists: the agents of several containers make the links to a mounted view.
func writeOnce(name, text string) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// makeShared makes a directory in which containers of any user can create files.
func makeShared(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o777); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// findView returns the directory of the view in its image: the target of the link /opt/view, or the only directory.
func findView(sys system, image string) (string, error) {
	at := func(p string) string { return sys.at(path.Join("/", image, p)) }
	var candidates []string
	if target, err := os.Readlink(at(viewLink)); err == nil {
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(viewLink), target)
		}
		candidates = append(candidates, target)
	}
	entries, err := os.ReadDir(at(viewsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("finding the view: %w", err)
	}
	for _, entry := range entries {
		candidates = append(candidates, path.Join(viewsDir, entry.Name()))
	}
	for _, dir := range append(candidates, viewLink) {
		if _, err := os.Lstat(at(path.Join(dir, viewLeast))); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no view with Flux in the image: there is no %s in a directory of %s, nor in %s", viewLeast, viewsDir, viewLink)
}

// copyView copies the view and the packages of which it consists.
func copyView(ctx context.Context, sys system, v *plan.View, from string) error {
	to := viewDir(v)
	tree := &treeCopy{workers: 2 * runtime.GOMAXPROCS(0)}
	if sys.isDir(plan.SoftwareDir) {
		tree.rewrite = rewriteTargets(plan.SoftwareDir, from, to)
		if err := tree.copy(ctx, sys.at(plan.SoftwareDir), sys.at(softwareDir(v))); err != nil {
			return fmt.Errorf("copying the packages of the view: %w", err)
		}
	}
	tree.rewrite = rewriteTargets(from, from, to)
	if err := tree.copy(ctx, sys.at(from), sys.at(to)); err != nil {
		return fmt.Errorf("copying the view: %w", err)
	}
	return linkPython(sys, to)
}

// rewriteTargets changes links in the copy of a directory so that they work in other containers: links into the view
// point into its copy, and relative links out of the directory become absolute. The paths of packages do not change.
func rewriteTargets(dir, view, to string) func(link, target string) string {
	return func(link, target string) string {
		if !path.IsAbs(target) {
			absolute := path.Join(dir, path.Dir(link), target)
			if absolute == dir || strings.HasPrefix(absolute, dir+"/") {
				return target // it stays in the copy
			}
			target = absolute
		}
		for _, prefix := range []string{view, viewLink} {
			if rest, ok := strings.CutPrefix(target, prefix); ok && (rest == "" || rest[0] == '/') {
				return to + rest
			}
		}
		return target
	}
}

// linkPython adds a python3 to the view if it has one under another name only: links of views into the prefix of
// their Python may be broken.
func linkPython(sys system, view string) error {
	for _, name := range []string{"python3", "python"} {
		link := path.Join(view, "bin", name)
		if _, err := os.Stat(sys.at(link)); err == nil || pointsToPackage(sys, link) {
			continue
		}
		found, err := filepath.Glob(sys.at(path.Join(view, "bin/python3.[0-9]*")))
		if err != nil || len(found) == 0 {
			return err
		}
		for _, program := range found {
			if strings.HasSuffix(program, "-config") {
				continue
			}
			if err := sys.symlink(filepath.Base(program), link); err != nil {
				return fmt.Errorf("linking %s: %w", link, err)
			}
			break
		}
	}
	return nil
}

// pointsToPackage reports whether a link points to a package whose path exists in other containers but not in this
// one.
func pointsToPackage(sys system, link string) bool {
	target, err := os.Readlink(sys.at(link))
	if err != nil {
		return false
	}
	rest, ok := strings.CutPrefix(target, plan.SoftwareDir)
	if !ok {
		return false
	}
	_, err = os.Lstat(sys.at(plan.SoftwareDir + rest))
	return err == nil
}

// linkOnce makes a symbolic link unless it exists. Agents of several containers may make it at the same time.
func (s system) linkOnce(target, name string) error {
	err := os.Symlink(target, s.at(name))
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.symlink(target, name) // replaces another one
}

// linkView makes links to a mounted view.
func linkView(sys system, v *plan.View, from, image string) error {
	if err := sys.linkOnce(path.Join(image, from), viewDir(v)); err != nil {
		return fmt.Errorf("linking the view: %w", err)
	}
	packages, err := os.ReadDir(sys.at(path.Join(image, plan.SoftwareDir)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the packages of the view: %w", err)
	}
	for _, entry := range packages {
		name := entry.Name()
		if err := sys.linkOnce(path.Join(image, plan.SoftwareDir, name), path.Join(softwareDir(v), name)); err != nil {
			return fmt.Errorf("linking the package %s of the view: %w", name, err)
		}
	}
	return nil
}
