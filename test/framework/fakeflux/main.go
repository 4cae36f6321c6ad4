package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// version is that of the Flux whose behaviour was copied.
const version = "0.88.0"

// command is a flux command: it returns the exit code.
type command func(args []string) (int, error)

func commands() map[string]command {
	return map[string]command{
		"R":        encodeR,
		"batch":    batchCommand,
		"broker":   brokerCommand,
		"cancel":   cancelCommand,
		"config":   configCommand,
		"dump":     dumpCommand,
		"getattr":  getattrCommand,
		"job":      jobCommand,
		"jobs":     jobsCommand,
		"keygen":   keygenCommand,
		"proxy":    proxyCommand,
		"queue":    queueCommand,
		"resource": resourceCommand,
		"run":      runCommand,
		"shutdown": shutdownCommand,
		"start":    startCommand,
		"submit":   submitCommand,
		"version":  versionCommand,
	}
}

// usageError is an error in the command line of a command of Flux in Python,
// which exit with 2.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	name := ""
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "-V", "--version":
		name = "version"
	case "", "help", "-h", "--help":
		fmt.Println("usage: flux COMMAND, one of", strings.Join(slices.Sorted(maps.Keys(commands())), " "))
		if name == "" {
			return 1
		}
		return 0
	}
	do := commands()[name]
	if do == nil {
		fmt.Fprintf(os.Stderr, "flux: `%s' is not a flux command.  See 'flux --help'\n", name)
		return 1
	}
	code, err := do(args)
	if err == nil {
		return code
	}
	fmt.Fprintf(os.Stderr, "flux-%s: %v\n", name, err)
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return 2
	case code != 0:
		return code
	default:
		return 1
	}
}

// configCommand is flux config, as far as it tells what Flux was built with.
func configCommand(args []string) (int, error) {
	if len(args) != 2 || args[0] != "builtin" {
		return 1, errors.New("only flux config builtin NAME is known here")
	}
	if args[1] != "shell_initrc" {
		return 1, fmt.Errorf("%s is invalid", args[1])
	}
	fmt.Println("/etc/flux/shell/initrc.lua")
	return 0, nil
}

func versionCommand([]string) (int, error) {
	fmt.Println("commands:    		" + version + "-fake")
	fmt.Println("libflux-core:		" + version + "-fake")
	return 0, nil
}
