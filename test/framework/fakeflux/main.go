package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minicluster.internal/operator/pkg/flux"
)

// version is the version of Flux whose behavior is implemented.
const version = "0.88.0"

// command is a command of flux, or one of its subcommands. Its functions return the exit code.
type command struct {
	options string // in the form of parseOptions
	// first: options end at the first argument that is not an option.
	first bool
	// usage is printed if there are fewer than least other arguments.
	usage string
	least int
	// python: the command exits with 2 after errors of usage; others exit with 1.
	python bool
	// One of these runs the command: with a connection to the broker, or without.
	online  func(c *flux.Client, o options) (int, error)
	offline func(o options) (int, error)
}

func commands() map[string]command {
	all := map[string]command{
		"broker":   {options: startOptions, first: true, offline: brokerCommand},
		"config":   {offline: configCommand},
		"dump":     {options: "checkpoint,c no-cache quiet,q verbose,v?", usage: "FILE", least: 1, online: dumpCommand},
		"env":      {first: true, offline: envCommand},
		"getattr":  {usage: "NAME", least: 1, online: getattrCommand},
		"keygen":   {options: "name,n= meta=", offline: keygenCommand},
		"proxy":    {options: "force,f nohup,n reconnect", first: true, usage: "URI [COMMAND]", least: 1, offline: proxyCommand},
		"setattr":  {usage: "NAME VALUE", least: 2, online: setattrCommand},
		"shutdown": {options: "background quiet verbose,v? dump= gc yes,y skip-gc", online: shutdownCommand},
		"start":    {options: startOptions, first: true, offline: startCommand},
		"version":  {offline: versionCommand},
		"R encode": {options: "local,l hosts,H= ranks,r= cores,c= gpus,g= property,p=", offline: encodeR},
		"batch":    {options: batchOptions, first: true, usage: "SCRIPT [ARGUMENT...]", least: 1, python: true, online: batchCommand},
		"cancel":   {options: "all user,u= states,S= quiet,q message,m=", python: true, online: cancelCommand},
		"jobs":     {options: jobsOptions, python: true, online: jobsCommand},
		"run":      {options: runOptions, first: true, usage: "COMMAND", least: 1, python: true, online: runCommand},
		"submit":   {options: runOptions, first: true, usage: "COMMAND", least: 1, python: true, online: submitCommand},
	}
	const jobOptions = "all,a verbose,v? quiet,q"
	all["job attach"] = command{options: jobOptions, usage: "JOB", least: 1, online: jobAttach}
	all["job status"] = command{options: jobOptions, usage: "JOB", least: 1, online: jobStatus}
	all["job wait"] = command{options: jobOptions, online: jobWait}
	all["job wait-event"] = command{options: jobOptions, usage: "JOB clean", least: 2, online: jobWaitEvent}
	all["job last"] = command{options: jobOptions, online: jobLast}
	for name, do := range map[string]func(*flux.Client, options) (int, error){
		"list": listResources, "status": resourceStatus, "drain": resourceDrain, "undrain": resourceUndrain,
	} {
		all["resource "+name] = command{options: resourceOptions, python: true, online: do}
	}
	for _, name := range []string{"start", "stop", "enable", "disable", "status", "idle"} {
		all["queue "+name] = command{
			options: "all,a quiet verbose,v nocheckpoint message,m= timeout,t= queue,q=", python: true,
			online: func(c *flux.Client, o options) (int, error) { return 0, queueCommand(c, name, o) },
		}
	}
	return all
}

func main() {
	if filepath.Base(os.Args[0]) == shellName {
		os.Exit(runShell(os.Args[1:]))
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	name := ""
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "-V", "--version":
		name = "version"
	case "", "help", "-h", "--help":
		fmt.Println("usage: flux COMMAND, one of", strings.Join(slices.Sorted(maps.Keys(commands())), ", "))
		if name == "" {
			return 1
		}
		return 0
	}
	do, ok := commands()[name]
	if !ok && len(args) > 0 {
		name, args = name+" "+args[0], args[1:]
		do, ok = commands()[name]
	}
	if !ok {
		fmt.Fprintf(os.Stderr, "flux: `%s' is not a flux command.  See 'flux --help'\n", name)
		return 1
	}
	code, err := do.run(name, args)
	if err == nil {
		return code
	}
	fmt.Fprintf(os.Stderr, "flux-%s: %v\n", name, err)
	return max(code, 1)
}

func (do command) run(name string, args []string) (int, error) {
	o, err := parseOptions(args, !do.first, do.options)
	switch {
	case err != nil && do.python:
		return 2, err
	case err != nil:
		return 1, err
	case o.NArg() < do.least:
		return 1, fmt.Errorf("usage: flux %s %s", name, do.usage)
	case do.offline != nil:
		return do.offline(o)
	}
	c, err := connect()
	if err != nil {
		return 1, err
	}
	defer c.Close()
	return do.online(c, o)
}

// call calls a service of rank 0.
func call(c *flux.Client, topic string, in, out any) error {
	return c.Call(context.Background(), topic, flux.Leader, in, out)
}

// configCommand implements the part of flux config that prints how Flux was built.
func configCommand(o options) (int, error) {
	switch {
	case o.NArg() != 2 || o.Arg(0) != "builtin":
		return 1, errors.New("only flux config builtin NAME is supported")
	case o.Arg(1) == "rc1_path":
		fmt.Println("true")
		return 0, nil
	case o.Arg(1) != "shell_initrc":
		return 1, fmt.Errorf("%s is invalid", o.Arg(1))
	}
	fmt.Println("/etc/flux/shell/initrc.lua")
	return 0, nil
}

func versionCommand(options) (int, error) {
	fmt.Println("commands:    		" + version + "-fake")
	fmt.Println("libflux-core:		" + version + "-fake")
	return 0, nil
}
