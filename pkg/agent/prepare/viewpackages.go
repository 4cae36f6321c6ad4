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

// rcExtraDir returns the directory of FLUX_RC_EXTRA, with rc1.d and rc3.d, which Flux runs after its own scripts.
func (i *Instance) rcExtraDir() string {
	return path.Join(path.Dir(i.Files.R), "extra")
}

// viewPackages adds the parts of a view that other packages than flux-core provide, such as the scheduler Fluxion. Flux
// searches for them below its own prefix. In a view each package has its own prefix, and the view is a tree of links
// to the packages.
//
// Only files that do not belong to flux-core are linked: its own scripts would run twice.
func (i *Instance) viewPackages(sys system, env map[string]string) error {
	if i.plan.View == nil || i.plan.Broker.SimpleScheduler {
		return nil
	}
	view := viewDir(i.plan.View)
	if i.Flux != path.Join(view, "bin/flux") {
		return nil // Flux is part of the image
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
	// flux-modprobe(1), since Flux 0.77, reads the configuration of packages from one directory and that of
	// administrators from another.
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

// linkForeign links the files of a directory that do not belong to the package with the prefix core, and returns
// their number.
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

// foreign returns the names of the files of a directory that do not belong to the package with the prefix core.
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
			continue // a link to a missing package
		}
		if !strings.HasPrefix(file, core) {
			out = append(out, entry.Name())
		}
	}
	return out, nil
}
