package brokerlog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func logOf(t *testing.T, text string) (out, errors string) {
	t.Helper()
	var b bytes.Buffer
	l, err := New(&b, 6)
	require.NoError(t, err)
	_, err = l.File().WriteString(text)
	require.NoError(t, err)
	l.Started()
	errors = l.Errors()
	return b.String(), errors
}

func TestLog(t *testing.T) {
	for name, test := range map[string]struct{ in, out, errors string }{
		"prefixes": {"<6>broker.info[0]: start\n<7>job-manager.debug[12]: x\n<5>job-manager.notice[12]: y\n", "broker.info[0]: start\njob-manager.notice[12]: y\n", ""},
		"before the broker knows its rank": {
			"<2>broker.crit[c-0]: Config file error: b.toml:1: invalid key\n", "broker.crit[c-0]: Config file error: b.toml:1: invalid key\n",
			"broker.crit[c-0]: Config file error: b.toml:1: invalid key",
		},
		"first and last": {
			"<3>overlay.err[0]: one\n<2>overlay.crit[0]: two\n<3>broker.err[0]: three\n<3>broker.err[0]: rc1.0: flux modprobe rc1 Exited (rc=1) 0.5s\n",
			"overlay.err[0]: one\noverlay.crit[0]: two\nbroker.err[0]: three\nbroker.err[0]: rc1.0: flux modprobe rc1 Exited (rc=1) 0.5s\n",
			"overlay.err[0]: one; broker.err[0]: three",
		},
		"without prefixes": {
			"broker.info[1]: start: none->join 0.6ms\nbroker: overlay.hello: client (0.62.0) version mismatched with server (0.88.0)\n" +
				"broker.err[1]: state-machine.monitor: No route to host\nbroker.info[1]: goodbye: goodbye->exit 0.01ms\n",
			"broker.info[1]: start: none->join 0.6ms\nbroker: overlay.hello: client (0.62.0) version mismatched with server (0.88.0)\n" +
				"broker.err[1]: state-machine.monitor: No route to host\nbroker.info[1]: goodbye: goodbye->exit 0.01ms\n",
			"broker: overlay.hello: client (0.62.0) version mismatched with server (0.88.0); broker.err[1]: state-machine.monitor: No route to host",
		},
		"not logged": {"broker: tbon.nosuch: unknown attribute\n", "broker: tbon.nosuch: unknown attribute\n", "broker: tbon.nosuch: unknown attribute"},
		"others":     {"<9>x[0]: y\n<6>no component\n", "<9>x[0]: y\n<6>no component\n", "<9>x[0]: y; <6>no component"},
		"no newline": {"<6>broker.info[0]: end", "broker.info[0]: end", ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, errors := logOf(t, test.in)
			assert.Equal(t, test.out, out)
			assert.Equal(t, test.errors, errors)
		})
	}
}

func TestLogKeepsAllOfALongLine(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine) + "\n"
	out, _ := logOf(t, long)
	assert.Equal(t, long, out)
	var many strings.Builder
	for i := range 3 * maxErrors {
		fmt.Fprintf(&many, "<3>broker.err[0]: %d\n", i)
	}
	_, errors := logOf(t, many.String())
	assert.Equal(t, fmt.Sprintf("broker.err[0]: %d; broker.err[0]: %d", 2*maxErrors, 3*maxErrors-1), errors)
}

func TestDiscard(t *testing.T) {
	l, err := New(nil, 6)
	require.NoError(t, err)
	_, err = l.File().WriteString("<3>broker.err[0]: kept\n")
	require.NoError(t, err)
	l.Started()
	assert.Equal(t, "broker.err[0]: kept", l.Errors())
}

func TestStopFailed(t *testing.T) {
	for text, want := range map[string]bool{
		"<3>broker.err[0]: rc3.0: flux modprobe rc3 Exited (rc=1) 0.5s\n":                            true,
		"<3>broker.err[0]: rc3.0: /etc/flux/rc3 Killed (rc=137) 0.5s\n":                              true,
		"<6>broker.info[0]: rc3.0: flux modprobe rc3 Exited (rc=0) 0.5s\n":                           false,
		"<3>broker.err[0]: cleanup.2: flux cancel --user=all --quiet --states RUN Hangup (rc=129)\n": false,
	} {
		l, err := New(nil, 6)
		require.NoError(t, err)
		_, err = l.File().WriteString(text)
		require.NoError(t, err)
		l.Started()
		assert.Equal(t, want, l.StopFailed(), text)
	}
}

func TestModuleFailed(t *testing.T) {
	for text, want := range map[string]bool{
		"<2>broker.crit[0]: sched-simple module runtime failure\n": true,
		"broker.crit[0]: resource module runtime failure\n":        true,
		"broker.crit[3]: resource module runtime failure\n":        false, // of a follower, with log-stderr-mode=leader
		"error: module runtime failure\n":                          false,
		"<6>broker.info[0]: sched-simple module runtime failure\n": false,
		"<3>broker.err[0]: shutdown timeout\n":                     false,
	} {
		l, err := New(nil, 6)
		require.NoError(t, err)
		_, err = l.File().WriteString(text)
		require.NoError(t, err)
		l.Started()
		assert.Equal(t, want, l.ModuleFailed(), text)
	}
}
