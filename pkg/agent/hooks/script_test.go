package hooks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// envSave makes the test binary save its state.
const envSave = "HOOKS_TEST_SAVE"

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == envSave {
		if err := SaveState(os.Args[2], os.Args[3] != ""); err != nil {
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

func TestHooksShareAShell(t *testing.T) {
	for name, tc := range map[string]struct {
		first, second, want string
		onlyBash            bool
	}{
		"a variable":                  {"start='1  2'\n", `test "$start" = '1  2'`, "", true},
		"a time":                      {"begin=$(date +%s)", `test $(($(date +%s) - begin)) -ge 0`, "", true},
		"an array":                    {"hosts=(a 'b c')\ndeclare -A of=([x]=y)", `test "${hosts[1]}" = 'b c' && test "${of[x]}" = y`, "", true},
		"several lines":               {"text='a\nb'", `test "$text" = 'a` + "\n" + `b'`, "", true},
		"a function":                  {"log() { echo \"log: $1\"; }", "log x", "log: x", true},
		"an exported function":        {"log() { echo \"log: $1\"; }\nexport -f log", "bash -c 'log x'", "log: x", true},
		"a here-document":             {"read -r -d '' text <<'E' || :\na $b\nE\n", `test "$text" = 'a $b'`, "", true},
		"a variable of both":          {"x=1; export x; y=2", `test "$y" = 2 && test -z "${x+set}"`, "", true},
		"a variable that is unset":    {"x=1; unset x", `test -z "${x+set}"`, "", false},
		"it exits":                    {"x=1; exit 0", `test $x = 1`, "", true},
		"it fails":                    {"set -e; x=1; false; x=2", `test $x = 1; case $- in *e*) exit 1 ;; esac`, "", true},
		"options of bash":             {"set -u; x=1; set -f", `test $x = 1; echo $unset`, "", true},
		"another IFS":                 {"IFS=:; x=1:2", `test $x = 1:2; set -- a b; test "$*" = 'a b'`, "", true},
		"existing files stay":         {"set -o noclobber; x=1", `test $x = 1`, "", true},
		"functions like commands":     {"x=1; test() { return 1; }; echo() { :; }; exit() { return 5; }", `[ $x = 1 ]`, "", true},
		"a constant":                  {"readonly x=1", `test $x = 1`, "", true},
		"variables of the agent":      {"own=mine; PATH2=$PATH", `test "$own" = "it's"`, "", false},
		"patterns of a function":      {"shopt -s extglob\nx=1; f() { case $1 in +(a|b)) echo ok ;; esac; }; y=2", "f ab; test $x$y = 12", "ok", true},
		"patterns of a hook":          {"shopt -s extglob", "case ab in +(a|b)) echo ok ;; esac", "ok", true},
		"case that does not matter":   {"shopt -s nocasematch nullglob; path=1; uid=2", `test $path$uid = 12; for f in /none/*; do exit 1; done`, "", true},
		"a reference":                 {"declare -n ref=x; x=1", `test "$ref" = 1`, "", true},
		"a number":                    {"declare -i n=3", `n+=4; test $n = 7`, "", true},
		"a list of constants":         {"readonly -a hosts=(a 'b c')", `test "${hosts[1]}" = 'b c'`, "", true},
		"a document in a function":    {"log() { cat <<E\nit's $1\nE\n}", "log x", "it's x", true},
		"the rules of POSIX":          {"set -o posix; x=1; f() { echo f; }", `f; test $x = 1`, "f", true},
		"no arguments":                {"x=$#", `test $x = 0`, "", true},
		"a value of control codes":    {"x=$'a\\tb\\x01c'", `test "$x" = $'a\tb\x01c'`, "", true},
		"a failing pipe":              {"set -o pipefail; false | true; x=1", `test $x = 1`, "", true},
		"a program in the background": {"x=1; (sleep 60 >/dev/null 2>&1 &)", `test $x = 1`, "", true},
		"a local variable":            {"f() { local x=2; }; x=1; f", `test $x = 1; f; test $x = 1`, "", true},
		"a name with a dash":          {"run-all() { echo $1; }", "run-all 1", "1", true},
		"tracing":                     {"set -x; x=1", `test $x = 1`, "", true},
		"the trap":                    {"x=1; trap 'x=2' EXIT; :", `test $x = 1`, "", true},
	} {
		for program, words := range shells(t) {
			if tc.onlyBash && program != "bash" {
				continue
			}
			t.Run(name+" "+program, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "it's variables")
				require.NoError(t, os.WriteFile(file, nil, 0o600))
				h := script{variables: map[string]string{"own": "it's"}, variablesFile: file}
				_, _, out := runHookOutput(t, words, h, tc.first)
				assert.Less(t, len(out), 400, out)
				code, left, out := runHookOutput(t, words, h, tc.second)
				assert.Zero(t, code, out)
				assert.Equal(t, tc.want, strings.TrimSpace(out))
				assert.NotContains(t, strings.Join(left.environ, "\n"), "start=")
			})
		}
	}
}

// TestExportsOfTheAgent checks that a variable of a hook does not replace one that the agent exports to later hooks.
func TestExportsOfTheAgent(t *testing.T) {
	for program, words := range shells(t) {
		t.Run(program, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "variables")
			require.NoError(t, os.WriteFile(file, nil, 0o600))
			h := script{variablesFile: file}
			_, _, out := runHookOutput(t, words, h, "exported=hook; constant=hook; readonly constant; other=hook; empty=hook")
			assert.Empty(t, out)
			t.Setenv("exported", "agent")
			t.Setenv("constant", "agent")
			t.Setenv("empty", "")
			code, left, out := runHookOutput(t, words, h, `[ "$exported$constant$empty" = agentagent ] && [ -z "$BASH_VERSION" -o "$other" = hook ]`)
			assert.Zero(t, code, out)
			assert.Empty(t, out)
			assert.Contains(t, left.environ, "exported=agent")
			assert.Contains(t, left.environ, "constant=agent")
			assert.Contains(t, left.environ, "empty=")
		})
	}
}

func TestHookLeavesLimitsAndUmask(t *testing.T) {
	for program, words := range shells(t) {
		t.Run(program, func(t *testing.T) {
			_, left := runHook(t, words, script{}, "export A=1")
			assert.Empty(t, left.process.Limits, "the hook has not changed them")
			before := left.process.Umask
			_, left = runHook(t, words, script{strict: true}, "umask 007; ulimit -c 0; ulimit -S -s 4096")
			assert.Equal(t, 0o007, left.process.Umask)
			assert.NotEqual(t, before, left.process.Umask)
			assert.Equal(t, unix.Rlimit{}, left.process.Limits[unix.RLIMIT_CORE])
			assert.Equal(t, uint64(4096*1024), left.process.Limits[unix.RLIMIT_STACK].Cur)
		})
	}
}

// TestApplyProcessState changes limits of this process that no other test depends on.
func TestApplyProcessState(t *testing.T) {
	mask := syscall.Umask(0o022)
	defer syscall.Umask(mask)
	var stack, memory unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_STACK, &stack))
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_AS, &memory))
	defer func() { _ = syscall.Setrlimit(unix.RLIMIT_STACK, &syscall.Rlimit{Cur: stack.Cur, Max: stack.Max}) }()
	wanted := unix.Rlimit{Cur: 6 << 20, Max: stack.Max}
	p := processState{Umask: 0o002, Limits: map[int]unix.Rlimit{unix.RLIMIT_STACK: wanted, unix.RLIMIT_AS: {Cur: 1 << 20, Max: memory.Max}}}
	p.apply(t.Context())
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "umask; ulimit -s").Output()
	require.NoError(t, err)
	assert.Equal(t, []string{"0002", "6144"}, strings.Fields(string(out)))
	var now unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_AS, &now))
	assert.Equal(t, memory, now, "the agent needs its memory")
}

func runHook(t *testing.T, words []string, h script, text string) (int, state) {
	code, left, _ := runHookOutput(t, words, h, text)
	return code, left
}

func runHookOutput(t *testing.T, words []string, h script, text string) (int, state, string) {
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
	return cmd.ProcessState.ExitCode(), left, string(out)
}
