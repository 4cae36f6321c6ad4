// Command sbomcheck checks that a software bill of materials (CycloneDX) lists each module that is linked into a
// program, in its version:
//
//	go run ./hack/sbomcheck PROGRAM SBOM
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sbomcheck:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: sbomcheck PROGRAM SBOM")
	}
	info, err := buildinfo.ReadFile(args[0])
	if err != nil {
		return fmt.Errorf("reading the modules of the program: %w", err)
	}
	if err := check(info.Deps, args[1]); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: all %d modules\n", args[1], len(info.Deps))
	return nil
}

// check returns an error if a bill of materials does not list all modules.
func check(modules []*debug.Module, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the bill of materials: %w", err)
	}
	var bill struct {
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(content, &bill); err != nil {
		return fmt.Errorf("reading the bill of materials %s: %w", path, err)
	}
	listed := map[string]bool{}
	for _, component := range bill.Components {
		listed[component.Name+" "+component.Version] = true
	}
	var missing []string
	for _, module := range modules {
		if module.Replace != nil {
			module = module.Replace
		}
		if !listed[module.Path+" "+module.Version] {
			missing = append(missing, module.Path+" "+module.Version)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s does not list %s", path, strings.Join(missing, ", "))
	}
	return nil
}
