package prepare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// rcExtraDir is the directory that FLUX_RC_EXTRA names: with rc1.d and rc3.d, which
// Flux runs after its own.
func (i *Instance) rcExtraDir() string {
	return path.Join(path.Dir(i.Files.R), "extra")
}

// extras are the parts of a view that come from other packages than flux-core, such
// as the scheduler Fluxion. Flux looks for such things below its own prefix; in a
// view each package has a prefix of its own, and the view is a tree of links to them.
//
// Only what is not flux-core's is linked: its own scripts would run twice.
func (i *Instance) extras(sys system, env map[string]string) error {
	if i.plan.View == nil || i.plan.Broker.SimpleScheduler {
		return nil
	}
	view := viewDir(i.plan.View)
	if i.Flux != path.Join(view, "bin/flux") {
		return nil // Flux is the image's own
	}
	core, err := filepath.EvalSymlinks(sys.at(path.Join(view, "bin/flux")))
	if err != nil {
		return fmt.Errorf("finding the packages of the view: %w", err)
	}
	core = path.Dir(path.Dir(core)) + "/"
	into := i.rcExtraDir()
	for _, dir := range []string{"rc1.d", "rc3.d"} {
		if _, err := i.linkForeign(sys, path.Join(view, "etc/flux", dir), path.Join(into, dir), core); err != nil {
			return err
		}
	}
	// flux-modprobe(1), from Flux 0.77 on, has the data of packages in one place, and
	// what an administrator may change in another.
	modprobe := false
	for _, base := range []string{"libexec/flux/modprobe", "share/flux/modprobe", "etc/flux/modprobe"} {
		for _, dir := range []string{"modprobe.d", "rc1.d", "rc3.d"} {
			n, err := i.linkForeign(sys, path.Join(view, base, dir), path.Join(into, "modprobe", dir), core)
			if err != nil {
				return err
			}
			modprobe = modprobe || n > 0
		}
	}
	if modprobe {
		env["FLUX_MODPROBE_PATH_APPEND"] = withDir(env["FLUX_MODPROBE_PATH_APPEND"], path.Join(into, "modprobe"))
	}
	modules := path.Join(view, "lib/flux/modules")
	if n, err := sys.foreign(modules, core); err != nil {
		return err
	} else if len(n) > 0 {
		env["FLUX_MODULE_PATH_PREPEND"] = withDir(env["FLUX_MODULE_PATH_PREPEND"], modules)
	}
	return nil
}

// linkForeign makes links to those files of a directory that do not belong to the
// package with the prefix core, and says how many there are.
func (i *Instance) linkForeign(sys system, from, into, core string) (int, error) {
	names, err := sys.foreign(from, core)
	if err != nil || len(names) == 0 {
		return 0, err
	}
	if err := sys.mkdir(into, i.owner(), 0o755); err != nil {
		return 0, fmt.Errorf("making the directory %s: %w", into, err)
	}
	for _, name := range names {
		if err := sys.symlink(path.Join(from, name), path.Join(into, name)); err != nil {
			return 0, fmt.Errorf("linking %s: %w", path.Join(from, name), err)
		}
	}
	return len(names), nil
}

// foreign are the names of the files of a directory that do not belong to the package
// with the prefix core.
func (s system) foreign(dir, core string) ([]string, error) {
	entries, err := os.ReadDir(s.at(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a directory of the view: %w", err)
	}
	var out []string
	for _, entry := range entries {
		file, err := filepath.EvalSymlinks(s.at(path.Join(dir, entry.Name())))
		if err != nil {
			continue // a link to a package that is not there
		}
		if !strings.HasPrefix(file, core) {
			out = append(out, entry.Name())
		}
	}
	return out, nil
}
