package prepare

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"

	"minicluster.internal/operator/pkg/agent/shellsplit"
)

func TestEnvironment(t *testing.T) {
	view := viewPaths{bin: "/mnt/flux/view/bin", python: "/mnt/flux/view/lib/python3.11/site-packages"}
	for name, test := range map[string]struct {
		plan      *plan.Plan
		viewPaths viewPaths
		environ   string
		want      map[string]string
	}{
		"system layout": {systemPlan(), viewPaths{}, "PATH=/bin:/usr/bin A=b", map[string]string{
			"PATH": "/etc/flux/system/bin:/bin:/usr/bin", "A": "b", "fluxsocket": "local:///run/flux/local", "FLUX_OUTPUT_DIR": "/tmp/fluxout",
		}},
		"another prefix": {systemPlan(func(p *plan.Plan) { p.InstallRoot = "/opt/flux"; p.Lead.OptionFlags = "-o x" }), viewPaths{}, "PATH=/bin", map[string]string{
			"PATH": "/etc/flux/system/bin:/bin:/opt/flux/bin", "fluxsocket": "local:///run/flux/local", "FLUX_OUTPUT_DIR": "/tmp/fluxout", "FLUX_OPTION_FLAGS": "-o x",
		}},
		"view": {viewPlan(), view, "PATH=/bin PYTHONPATH=/a", map[string]string{
			"PATH": "/mnt/flux/config/etc/flux/system/bin:/bin:/mnt/flux/view/bin", "PYTHONPATH": "/a:/mnt/flux/view/lib/python3.11/site-packages",
			"fluxsocket": "local:///mnt/flux/config/run/flux/local", "FLUX_OUTPUT_DIR": "/tmp/fluxout",
		}},
		"without a path": {viewPlan(), view, "FLUX_URI=x FLUX_JOB_ID=1 FLUX_ENCLOSING_ID=2 broken", map[string]string{
			"PATH": "/mnt/flux/config/etc/flux/system/bin:" + defaultPath + ":/mnt/flux/view/bin", "PYTHONPATH": "/mnt/flux/view/lib/python3.11/site-packages",
			"fluxsocket": "local:///mnt/flux/config/run/flux/local", "FLUX_OUTPUT_DIR": "/tmp/fluxout",
		}},
		"of the user": {viewPlan(func(p *plan.Plan) {
			p.Broker.DisableSocket, p.Lead.Logs = true, "/logs"
			p.Broker.Environment = map[string]string{"PATH": "/mine", "E": ""}
		}), viewPaths{}, "PATH=/bin E=1 PYTHONPATH=", map[string]string{"PATH": "/mine", "E": "", "FLUX_OUTPUT_DIR": "/logs"}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, environment(test.plan, test.viewPaths, strings.Fields(test.environ), fluxShell))
		})
	}
}

// Flux finds a shell for the scripts of flux batch in images without bash.
func TestEnvironmentOfAnImageWithoutBash(t *testing.T) {
	assert.Equal(t, "/bin/sh", environment(viewPlan(), viewPaths{}, nil, "/bin/sh")["SHELL"])
	assert.Equal(t, "/bin/zsh", environment(viewPlan(), viewPaths{}, []string{"SHELL=/bin/zsh"}, "/bin/sh")["SHELL"])
	mine := viewPlan(func(p *plan.Plan) { p.Broker.Environment = map[string]string{"SHELL": "/bin/ksh"} })
	assert.Equal(t, "/bin/ksh", environment(mine, viewPaths{}, nil, "/bin/sh")["SHELL"])
}

func TestPlaces(t *testing.T) {
	root := image(t, map[string]string{"/mnt/flux/view/lib/python3.9/": "", "/mnt/flux/view/lib/python3.10/": ""})
	sys := newSystem(root)
	assert.Equal(t, viewPaths{}, sys.viewPaths(nil))
	assert.Equal(t, viewPaths{}, sys.viewPaths(&plan.View{MountPath: "/mnt/flux"}))
	assert.Equal(t, viewPaths{"/mnt/flux/view/bin", "/mnt/flux/view/lib", "/mnt/flux/view/lib/python3.10/site-packages"}, sys.viewPaths(viewOf()))
	assert.Equal(t, "/py", sys.viewPaths(&plan.View{Copied: true, MountPath: "/mnt/flux", PythonPath: "/py"}).python)
	assert.Empty(t, sys.viewPaths(&plan.View{Copied: true, MountPath: "/none"}).python)
}

// The scripts set the expected variables in a shell.
func TestScriptsInAShell(t *testing.T) {
	nasty := map[string]string{"A": "it's $HOME `id` \"x\" \\ ünï\nline", "B": "", "PATH": "/usr/bin:/bin:/with space"}
	for _, shell := range []string{"sh", "bash"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "a'b $c.sh")
		require.NoError(t, os.WriteFile(file, []byte(fluxViewText(true, "/mnt/it's", map[string]string{"PATH": "/p", "fluxsocket": "local:///s"}, nasty)), 0o644))
		printed := func(env []string, variable string) string {
			cmd := exec.CommandContext(context.Background(), shell, "-euc", ". "+shellsplit.Quote(file)+`; printf '%s' "$`+variable+`"`)
			cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			return string(out)
		}
		for name, want := range nasty {
			assert.Equal(t, want, printed(nil, name), shell)
		}
		assert.Equal(t, "local:///s", printed(nil, "fluxsocket"))
		assert.Equal(t, "/mnt/it's/lib", printed(nil, "LD_LIBRARY_PATH"))
		assert.Equal(t, "/x:/mnt/it's/lib", printed([]string{"LD_LIBRARY_PATH=/x"}, "LD_LIBRARY_PATH"))

		// flux-connect.sh runs flux proxy with a shell.
		flux := filepath.Join(dir, "bin/flux")
		require.NoError(t, os.MkdirAll(filepath.Dir(flux), 0o755))
		require.NoError(t, os.WriteFile(flux, []byte("#!/bin/sh\nprintf '[%s]' \"$@\"\n"), 0o755))
		require.NoError(t, os.WriteFile(file, []byte("PATH="+filepath.Dir(flux)+":$PATH\nfluxsocket='local:///a b'\n"), 0o644))
		cmd := exec.CommandContext(t.Context(), shell, "-c", fluxConnectText(file))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Regexp(t, `^\[proxy\]\[local:///a b\]\[(ba)?sh\]$`, string(out))
	}
}

func FuzzShellQuote(f *testing.F) {
	f.Add("it's")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsRune(text, 0) {
			return
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shellsplit.Quote(text)).Output()
		if err != nil || string(out) != text {
			t.Fatalf("%q became %q: %v", text, out, err)
		}
	})
}
