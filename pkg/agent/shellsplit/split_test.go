package shellsplit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSplitWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                             nil,
		" \n":                          nil,
		"echo hello":                   {"echo", "hello"},
		"  echo\thello \n":             {"echo", "hello"},
		`echo 'a  b' "c  d" e\ f`:      {"echo", "a  b", "c  d", "e f"},
		`echo '' ""`:                   {"echo", "", ""},
		`echo a'b'"c"\d`:               {"echo", "abcd"},
		`echo '$HOME' "\$HOME" \$HOME`: {"echo", "$HOME", "$HOME", "$HOME"},
		`echo "a\b\\c\"d"`:             {"echo", `a\b\c"d`},
		"echo 'two\nlines'":            {"echo", "two\nlines"},
		"echo \"on\\\ne line\"":        {"echo", "one line"},
		"echo 'a|b' \"c;d\" e\\&f":     {"echo", "a|b", "c;d", "e&f"},
		"echo a#b x=y":                 {"echo", "a#b", "x=y"},
		"lmp -v x 1 -in in.reaxc":      {"lmp", "-v", "x", "1", "-in", "in.reaxc"},
		"echo 'ünï' ☃":                 {"echo", "ünï", "☃"},
		`"if" x`:                       {"if", "x"},
	} {
		words, plain := split(text)
		assert.True(t, plain, text)
		assert.Equal(t, want, words, text)
	}
	for _, text := range []string{
		"a && b", "a | b", "a; b", "a > b", "a < b", "echo $HOME", `echo "$HOME"`, "echo `date`", "(a)", "echo *", "echo a?", "echo [ab]",
		"a\nb", "a \\\n b", "A=1 b", "cd /tmp", "exec a", "if a", "! a", "echo ~", "echo x=~/a", "# a", "echo a # b", "echo 'a", `echo "a`, `echo a\`,
		"echo {a,b}", "a &",
	} {
		words, plain := split(text)
		assert.False(t, plain, "%s: %q", text, words)
	}
}

// FuzzSplitWords compares the result with that of a shell.
func FuzzSplitWords(f *testing.F) {
	for _, text := range []string{"a b", `'a' "b" \c`, "a'b", `"\""`, "a\tb\n", `"a\` + "\n" + `b"`, "#", "a=b c", "~", `\` + "\xff", "if", "a\r"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, plain := split(text)
		if !plain || len(words) == 0 || strings.Contains(text, "\x00") {
			return
		}
		// The shell calls a function, so that the first word of the text is an argument too.
		out, err := exec.CommandContext(t.Context(), Shell, "-c", `show() { for w; do printf '%s\0' "$w"; done; }; show `+strings.Trim(text, " \t\n")).Output()
		assert.NoError(t, err)
		assert.Equal(t, strings.Join(words, "\x00")+"\x00", string(out), "%q", text)
	})
}

func TestScriptShell(t *testing.T) {
	root := t.TempDir()
	assert.Equal(t, "/bin/sh", scriptShell(root))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "usr/local/bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "usr/local/bin/bash"), nil, 0o755))
	assert.Equal(t, "/usr/local/bin/bash", scriptShell(root))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "bin/bash"), nil, 0o755))
	assert.Equal(t, "/bin/bash", scriptShell(root))
}

func TestExpand(t *testing.T) {
	env := []string{"WORDS=a  b", "QUOTED=c d"}
	for text, want := range map[string][]string{
		"":                           nil,
		"-o a":                       {"-o", "a"},
		"$UNSET":                     nil,
		"-o $UNSET x":                {"-o", "x"},
		`-o "$UNSET" x`:              {"-o", "", "x"},
		"$WORDS":                     {"a", "b"},
		`--env="X=$QUOTED"`:          {"--env=X=c d"},
		"-o a\n-o b\n":               {"-o", "a", "-o", "b"},
		"-o a \\\n  -o $WORDS\n\n-x": {"-o", "a", "-o", "a", "b", "-x"},
		"'two\nlines' $WORDS":        {"two\nlines", "a", "b"},
		"-- $WORDS":                  {"--", "a", "b"},
	} {
		got, err := Expand(t.Context(), text, env)
		require.NoError(t, err, "%q", text)
		assert.Equal(t, want, got, "%q", text)
	}
	_, err := Expand(t.Context(), "$WORDS 'open", env)
	assert.ErrorContains(t, err, "open", "the shell's own words")
}
