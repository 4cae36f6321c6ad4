package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// connect calls the broker that FLUX_URI names, or the one of the system.
func connect() (*flux.Client, error) {
	return flux.Dial(context.Background(), either(os.Getenv("FLUX_URI"), "local:///run/flux/local"))
}

// ask does one call of rank 0.
func ask(topic string, in, out any) error {
	c, err := connect()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Call(context.Background(), topic, flux.Leader, in, out)
}

// parseJobID reads ƒ... (or f...) in base 58, or a number.
func parseJobID(text string) (uint64, error) {
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	rest, ok := strings.CutPrefix(text, "ƒ")
	if !ok {
		if n, err := strconv.ParseUint(text, 0, 64); err == nil {
			return n, nil
		}
		rest, ok = strings.CutPrefix(text, "f")
	}
	if !ok || rest == "" {
		return 0, fmt.Errorf("%s is not a valid job id", text)
	}
	n := uint64(0)
	for _, c := range rest {
		d := strings.IndexRune(digits, c)
		if d < 0 {
			return 0, fmt.Errorf("%s is not a valid job id", text)
		}
		n = n*58 + uint64(d)
	}
	return n, nil
}

func getattrCommand(args []string) (int, error) {
	if len(args) != 1 {
		return 1, errors.New("usage: flux getattr NAME")
	}
	c, err := connect()
	if err != nil {
		return 1, err
	}
	defer c.Close()
	value, err := c.Attr(context.Background(), args[0])
	if err == nil {
		fmt.Println(value)
	}
	return 0, err
}

func dumpCommand(args []string) (int, error) {
	p, err := parseOptions(args, []option{
		{"checkpoint", 'c', noArgument}, {"no-cache", 0, noArgument}, {"quiet", 'q', noArgument}, {"verbose", 'v', mayHaveArgument},
	}, true)
	if err != nil {
		return 1, errors.Unwrap(err)
	}
	if len(p.others) != 1 {
		return 1, errors.New("usage: flux dump FILE")
	}
	name := p.others[0]
	if !strings.HasPrefix(name, "/") {
		dir, err := os.Getwd()
		if err != nil {
			return 1, err
		}
		name = dir + "/" + name
	}
	return 0, ask("fakeflux.dump", named{name}, nil)
}

// shutdownCommand is flux shutdown: it returns when the lead has stopped.
func shutdownCommand(args []string) (int, error) {
	p, err := parseOptions(args, []option{
		{"background", 0, noArgument}, {"quiet", 0, noArgument}, {"verbose", 'v', mayHaveArgument},
		{"dump", 0, needsArgument}, {"gc", 0, noArgument}, {"yes", 'y', noArgument}, {"skip-gc", 0, noArgument},
	}, true)
	if err != nil {
		return 1, errors.Unwrap(err)
	}
	c, err := connect()
	if err != nil {
		return 1, err
	}
	defer c.Close()
	if err := c.Call(context.Background(), "fakeflux.shutdown", flux.Leader, named{p.last("dump")}, nil); err != nil {
		return 1, err
	}
	if !p.has("background") {
		<-c.Done()
	}
	return 0, nil
}

func keygenCommand(args []string) (int, error) {
	p, err := parseOptions(args, []option{{"name", 'n', needsArgument}, {"meta", 0, needsArgument}}, true)
	if err != nil {
		return 1, errors.Unwrap(err)
	}
	name, err := os.Hostname()
	if err != nil {
		return 1, err
	}
	certificate, err := fluxconfig.NewCertificate(rand.Reader, either(p.last("name"), name), time.Now())
	if err != nil || len(p.others) == 0 {
		return 0, err
	}
	return 0, os.WriteFile(p.others[0], certificate.Text(), 0o600)
}
