package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// SaveCommand is the subcommand of the agent that calls SaveState.
const SaveCommand = "save-state"

// state is the part of a hook's environment that applies to everything that runs after it.
type state struct {
	// dir is the working directory, "" if it was removed.
	dir string
	// environ are the exported variables.
	environ []string
	// process are the attributes of the shell itself.
	process processState
}

// SaveState writes the environment, the working directory and the attributes of this process to a file. A shell that
// starts the process passes them on. limited reports whether the hook has changed limits of resources.
func SaveState(file string, limited bool) error {
	dir, err := os.Getwd()
	if err != nil {
		dir = "" // it was removed
	}
	process, err := json.Marshal(currentProcess(limited))
	if err != nil {
		return fmt.Errorf("saving the state of a hook: %w", err)
	}
	text := strings.Join(append([]string{dir, string(process)}, os.Environ()...), "\x00")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("saving the state of a hook: %w", err)
	}
	return nil
}

// readState reads what SaveState wrote. Variables that a shell sets by itself keep the value that they have in before.
func readState(file string, before []string) (state, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return state{}, fmt.Errorf("reading the state of a hook: %w", err)
	}
	parts := bytes.Split(text, []byte{0})
	if len(parts) < 2 {
		return state{}, errors.New("reading the state of a hook: it is cut off")
	}
	out := state{dir: string(parts[0])}
	if err := json.Unmarshal(parts[1], &out.process); err != nil {
		return state{}, fmt.Errorf("reading the state of a hook: %w", err)
	}
	for _, entry := range parts[2:] {
		if name, _, _ := strings.Cut(string(entry), "="); !ofShell(name) {
			out.environ = append(out.environ, string(entry))
		}
	}
	for _, entry := range before {
		name, _, _ := strings.Cut(entry, "=")
		switch {
		case name == "PWD" && out.dir != "":
			out.environ = append(out.environ, "PWD="+out.dir)
		case ofShell(name):
			out.environ = append(out.environ, entry)
		}
	}
	return out, nil
}

// ofShell reports whether a shell, or the script around a hook, sets a variable by itself.
func ofShell(name string) bool {
	return slices.Contains([]string{"_", "SHLVL", "PWD", "OLDPWD", "BASHOPTS", "SHELLOPTS"}, name) || strings.HasPrefix(name, ownPrefix)
}
