package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseOptions(t *testing.T) {
	o, err := parseOptions([]string{
		"--dir=/state", "--port=20001", "--audit",
		"--controller-manager-arg=--v=2", "--controller-manager-arg=--horizontal-pod-autoscaler-sync-period=1s",
	})
	require.NoError(t, err)
	assert.Equal(t, options{
		dir:                   "/state",
		port:                  20001,
		audit:                 true,
		controllerManagerArgs: []string{"--v=2", "--horizontal-pod-autoscaler-sync-period=1s"},
	}, o)
	assert.Equal(t, "/state/pki/ca.crt", o.pki("ca.crt"))
}

func TestParseOptionsMakesTheDirectoryAbsolute(t *testing.T) {
	o, err := parseOptions([]string{"--dir=state"})
	require.NoError(t, err)
	assert.True(t, filepath.IsAbs(o.dir))
}

func TestParseOptionsRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"no directory":     nil,
		"a negative port":  {"--dir=/state", "--port=-1"},
		"a port too large": {"--dir=/state", "--port=65536"},
		"no address":       {"--dir=/state", "--node-address=localhost"},
		"an IPv6 address":  {"--dir=/state", "--node-address=fd00::1"},
		"an unknown flag":  {"--dir=/state", "--nodes=2"},
		"an argument":      {"--dir=/state", "up"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseOptions(args)
			assert.Error(t, err)
		})
	}
}
