package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// connect connects to the broker in FLUX_URI, or to that of the system.
func connect() (*flux.Client, error) {
	return flux.Dial(context.Background(), cmp.Or(os.Getenv("FLUX_URI"), "local:///run/flux/local"))
}

// parseJobID parses ƒ... (or f...) in base 58, or a number.
func parseJobID(text string) (flux.JobID, error) {
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	rest, ok := strings.CutPrefix(text, "ƒ")
	if !ok {
		if n, err := strconv.ParseUint(text, 0, 64); err == nil {
			return flux.JobID(n), nil
		}
		rest, ok = strings.CutPrefix(text, "f")
	}
	if !ok || rest == "" {
		return 0, fmt.Errorf("%s is not a valid job id", text)
	}
	id := flux.JobID(0)
	for _, c := range rest {
		d := strings.IndexRune(digits, c)
		if d < 0 {
			return 0, fmt.Errorf("%s is not a valid job id", text)
		}
		id = id*58 + flux.JobID(d)
	}
	return id, nil
}

func getattrCommand(c *flux.Client, o options) (int, error) {
	value, err := c.Attr(context.Background(), o.Arg(0))
	if err == nil {
		fmt.Println(value)
	}
	return 0, err
}

func setattrCommand(c *flux.Client, o options) (int, error) {
	return 0, c.SetAttr(context.Background(), o.Arg(0), o.Arg(1))
}

func dumpCommand(c *flux.Client, o options) (int, error) {
	if o.Arg(0) == "-" {
		return dumpToOutput(c)
	}
	name, err := filepath.Abs(o.Arg(0))
	if err != nil {
		return 1, err
	}
	return 0, call(c, "fakeflux.dump", named{name}, nil)
}

// dumpToOutput writes an archive to the standard output.
func dumpToOutput(c *flux.Client) (int, error) {
	dir, err := os.MkdirTemp("", "dump-*")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "archive")
	if err := call(c, "fakeflux.dump", named{name}, nil); err != nil {
		return 1, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return 1, err
	}
	_, err = os.Stdout.Write(text)
	return 0, err
}

// shutdownCommand implements flux shutdown: it returns when the lead has stopped.
func shutdownCommand(c *flux.Client, o options) (int, error) {
	if err := call(c, "fakeflux.shutdown", named{o.last("dump")}, nil); err != nil {
		return 1, err
	}
	if !o.has("background") {
		<-c.Done()
	}
	return 0, nil
}

func keygenCommand(o options) (int, error) {
	name, err := os.Hostname()
	if err != nil {
		return 1, err
	}
	certificate, err := fluxconfig.NewCertificate(rand.Reader, cmp.Or(o.last("name"), name), time.Now())
	if err != nil || o.NArg() == 0 {
		return 0, err
	}
	return 0, os.WriteFile(o.Arg(0), certificate.Text(), 0o600)
}

// proxyCommand implements flux proxy, for a broker on this machine.
func proxyCommand(o options) (int, error) {
	argv := []string{shell()}
	if o.NArg() > 1 { // the words are joined
		argv = append(argv, "-c", strings.Join(o.Args()[1:], " "))
	}
	if err := os.Setenv("FLUX_URI", o.Arg(0)); err != nil {
		return 1, err
	}
	client, err := connect()
	if err != nil {
		return 1, err
	}
	client.Close()
	c := exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := c.Run(); c.ProcessState == nil {
		return 1, err
	}
	return exitCode(c.ProcessState), nil
}

// envCommand is flux env with a command, which runs in the environment of flux.
func envCommand(o options) (int, error) {
	if o.NArg() == 0 {
		return 1, errors.New("only flux env COMMAND is known here")
	}
	program, err := exec.LookPath(o.Arg(0))
	if err != nil {
		return 1, err
	}
	return 1, syscall.Exec(program, o.Args(), os.Environ())
}
