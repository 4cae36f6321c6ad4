package contract

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCommandLine(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		code int
		out  string // the whole output, as a regular expression
		err  string // a part
	}{
		"version":                {[]string{"version"}, 0, `commands:\s+\S+\nlibflux-core:\s+\S+\n(?s:.*)`, ""},
		"--version":              {[]string{"--version"}, 0, `commands:\s+\S+\nlibflux-core:\s+\S+\n(?s:.*)`, ""},
		"no command":             {nil, 1, `(?s:.*)`, ""},
		"unknown command":        {[]string{"nosuch"}, 1, "", "not a flux command"},
		"unknown option":         {[]string{"start", "--nosuch"}, 1, "", "--nosuch"},
		"exit code":              {[]string{"start", "sh", "-c", "exit 7"}, 7, "", ""},
		"signal":                 {[]string{"start", "sh", "-c", "kill -9 $$"}, 137, "", ""},
		"words stay separate":    {[]string{"start", "printf", "%s.", "a b", "$HOME", "'", ""}, 0, `a b\.\$HOME\.'\.\.`, ""},
		"a command not found":    {[]string{"start", "/nosuch"}, 127, "", ""},
		"unknown attribute":      {[]string{"start", "-Stbon.nosuch=1", "true"}, 1, "", "tbon.nosuch"},
		"read-only attribute":    {[]string{"start", "-Srank=1", "true"}, 1, "", "rank"},
		"attribute without name": {[]string{"broker", "-S", "=1", "true"}, 1, "", ""},
		"vendor attribute":       {[]string{"start", "-S", "vendor.x=1", "true"}, 0, "", ""},
		"attribute is passed":    {[]string{"start", "-Slog-level=3", "flux", "getattr", "log-level"}, 0, "3\n", ""},
		"version attribute":      {[]string{"start", "sh", "-c", "flux getattr version | grep -c ."}, 0, "1\n", ""},
		"no such attribute":      {[]string{"start", "flux", "getattr", "nosuch"}, 1, "", "nosuch"},
		"options of the broker":  {[]string{"start", "-o,-Slog-level=4", "flux", "getattr", "log-level"}, 0, "4\n", ""},
		"options end at a word":  {[]string{"start", "echo", "-Stbon.nosuch=1"}, 0, "-Stbon.nosuch=1\n", ""},
		"wrap":                   {[]string{"start", "--wrap=env,X=1", "sh", "-c", "echo $X"}, 0, "1\n", ""},
		"FLUX_URI":               {[]string{"start", "sh", "-c", "echo $FLUX_URI"}, 0, `local:///\S+\n`, ""},
		"no instance":            {[]string{"resource", "list"}, 1, "", ""},
		"local":                  {[]string{"R", "encode", "--local", "--hosts=a"}, 0, `\{"version": ?1,.*"nodelist": ?\["a"\].*\n`, ""},
		"built-in value":         {[]string{"config", "builtin", "shell_initrc"}, 0, `/\S+/flux/shell/initrc\.lua\n`, ""},
		"unknown built-in value": {[]string{"config", "builtin", "nosuch"}, 1, "", "nosuch is invalid"},
		"config path is missing": {[]string{"start", "--config-path=/nosuch", "true"}, 1, "", "/nosuch"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, f flux) {
				r := f.run(t, nil, tc.args...)
				assert.Equal(t, tc.code, r.code, r.errors)
				assert.Regexp(t, "^"+tc.out+"$", r.out)
				assert.Contains(t, r.errors, tc.err)
			})
		})
	}
}

// Files that flux R encode writes.
func TestEncodeR(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"one core": {[]string{"--hosts=a"}, `{"version":1,"execution":{"R_lite":[{"rank":"0","children":{"core":"0"}}],"starttime":0,"expiration":0,"nodelist":["a"]}}`},
		"cores":    {[]string{"--hosts=a-[0-3]", "--cores=0-1"}, `{"version":1,"execution":{"R_lite":[{"rank":"0-3","children":{"core":"0-1"}}],"starttime":0,"expiration":0,"nodelist":["a-[0-3]"]}}`},
		"gpus":     {[]string{"--hosts=b,a", "--cores=0-3", "--gpus=0-1"}, `{"version":1,"execution":{"R_lite":[{"rank":"0-1","children":{"core":"0-3","gpu":"0-1"}}],"starttime":0,"expiration":0,"nodelist":["b,a"]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, f flux) {
				r := f.run(t, nil, append([]string{"R", "encode"}, tc.args...)...)
				assert.Zero(t, r.code, r.errors)
				assert.JSONEq(t, tc.want, r.out)
			})
		})
	}
}

// A broker that is stopped signals its initial program; without one it stops at once.
func TestSignals(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		code   int
	}{
		"no program":          {"", 0},
		"program ends on HUP": {"echo it runs; exec sleep 90", 129},
		"program handles HUP": {"trap 'exit 5' HUP; echo it runs; sleep 90 & wait", 5},
		"program ends well":   {"trap '' HUP; echo it runs; sleep 3 & wait", 1},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, f flux) {
				i := newInstance(t, f, 1, "")
				args := []string{"sh", "-c", tc.script}
				if tc.script == "" {
					args = []string{"-Sbroker.rc2_none"}
				}
				b := i.start(t, 0, args...)
				if tc.script == "" {
					i.nodes(t, "up", "c-0")
				} else {
					b.says("it runs")
				}
				b.signal(syscall.SIGTERM)
				assert.Equal(t, tc.code, b.exit())
			})
		})
	}
}
