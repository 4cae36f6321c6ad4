package hooks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// envSave makes the test binary save its state.
const envSave = "HOOKS_TEST_SAVE"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == envSave {
		if err := SaveState(os.Args[2]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// shells are the installed shells.
func shells(t *testing.T) map[string][]string {
	out := map[string][]string{}
	for name, words := range map[string][]string{"sh": {"sh"}, "bash": {"bash"}, "busybox": {"busybox", "sh"}, "dash": {"dash"}} {
		if path, err := exec.LookPath(words[0]); err == nil {
			out[name] = append([]string{path}, words[1:]...)
		}
	}
	require.Contains(t, out, "sh")
	return out
}

func TestHookLeavesItsState(t *testing.T) {
	for name, text := range map[string]string{
		"falls through":        "export A='x  y'\ncd sub\nB=hidden",
		"exits":                "export A='x  y'\ncd sub\nB=hidden\nexit 0\nexport A=later",
		"replaces the trap":    "trap 'true' EXIT\nexport A='x  y'\ncd sub",
		"breaks PATH and IFS":  "export A='x  y'\ncd sub\nPATH=/nowhere\nIFS=x",
		"ends with no newline": "cd sub; export A='x  y' # a comment",
		"returns":              "cd sub; export A='x  y'; return 0; exit 1",
	} {
		for program, words := range shells(t) {
			t.Run(name+" "+program, func(t *testing.T) {
				code, left := runHook(t, words, script{variables: map[string]string{"own": "it's"}}, text)
				assert.Zero(t, code)
				assert.Contains(t, left.environ, "A=x  y")
				assert.Equal(t, "sub", filepath.Base(left.dir))
				for _, entry := range left.environ {
					name, value, _ := strings.Cut(entry, "=")
					assert.NotContains(t, []string{"B", "own"}, name, "it is not exported")
					assert.True(t, name != "_" || value == "/before", "the shell sets it")
				}
			})
		}
	}
}

func TestHookKeepsItsExitCode(t *testing.T) {
	for text, want := range map[string]struct {
		code   int
		strict bool
	}{
		"exit 3":                  {3, false},
		"(exit 4)":                {4, false},
		"(exit 5); export A=1":    {0, false},
		"(exit 6)\nexport A=1":    {6, true},
		`test "$own" = "it's"`:    {0, false},
		"export A=1; return 7":    {7, false},
		"export A=1; no-such-cmd": {127, false},
	} {
		for program, words := range shells(t) {
			t.Run(text+" "+program, func(t *testing.T) {
				code, _ := runHook(t, words, script{strict: want.strict, variables: map[string]string{"own": "it's"}}, text)
				assert.Equal(t, want.code, code)
			})
		}
	}
}

func runHook(t *testing.T, words []string, h script, text string) (int, state) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	h.file = filepath.Join(dir, "it's a hook")
	require.NoError(t, os.WriteFile(h.file, []byte(text), 0o644))
	file := filepath.Join(dir, "state")
	h.save = []string{os.Args[0], envSave, file}
	cmd := exec.CommandContext(t.Context(), words[0], append(words[1:], h.args()...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		require.NoError(t, err, "%s", out)
	}
	left, err := readState(file, []string{"_=/before"})
	require.NoError(t, err, "%s", out)
	return cmd.ProcessState.ExitCode(), left
}
