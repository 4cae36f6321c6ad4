package prepare

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Version is a version of Flux.
type Version struct {
	Major, Minor, Patch int
	// Text is the whole version, for example 0.61.2-12-g5a1c0b3.
	Text string
}

// atLeast reports whether Flux has version 0.minor or later. The major version of Flux has been 0 since 2014.
func (v Version) atLeast(minor int) bool {
	return v.Major > 0 || v.Minor >= minor
}

// Before reports whether a version is of an earlier release series than another one: releases that differ in the last
// number have the same formats.
func (v Version) Before(other Version) bool {
	return v.Major < other.Major || v.Major == other.Major && v.Minor < other.Minor
}

// String is the text of the version.
func (v Version) String() string {
	return v.Text
}

// parseVersion finds the version of flux-core in the output of flux version: lines with a component and its version,
// the first of which is "commands:".
func parseVersion(output string) (Version, error) {
	for line := range strings.Lines(output) {
		component, text, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || (component != "commands" && component != "libflux-core") {
			continue
		}
		return ParseVersion(strings.TrimSpace(text))
	}
	return Version{}, fmt.Errorf("no version of flux-core in %q", firstLine(output))
}

// ParseVersion parses a version such as 0.61.2-12-g5a1c0b3.
func ParseVersion(text string) (Version, error) {
	number, _, _ := strings.Cut(strings.TrimPrefix(text, "v"), "-")
	parts := strings.Split(number, ".")
	if len(parts) < 2 {
		return Version{}, fmt.Errorf("%q is not a version of flux-core", text)
	}
	v := Version{Text: text}
	for i, into := range []*int{&v.Major, &v.Minor, &v.Patch} {
		if i >= len(parts) {
			break
		}
		n, err := strconv.ParseUint(parts[i], 10, 16)
		if err != nil {
			return Version{}, fmt.Errorf("%q is not a version of flux-core", text)
		}
		*into = int(n)
	}
	return v, nil
}

// version returns the version of flux.
func (i *Instance) version(ctx context.Context) (Version, error) {
	out, err := i.output(ctx, i.Flux, "version")
	if err != nil {
		return Version{}, fmt.Errorf("determining the version of %s: %w", i.Flux, err)
	}
	v, err := parseVersion(out)
	if err != nil {
		return v, err
	}
	if !v.atLeast(oldestMinor) {
		return v, &SpecError{errors.New("Flux " + v.Text + " is too old: 0.49 or later is needed")}
	}
	return v, nil
}

// oldestMinor is the oldest supported version 0.x.
const oldestMinor = 49

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
