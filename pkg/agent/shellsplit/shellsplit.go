// Package shellsplit turns what users write as a command into the arguments of a program. Plain words are split here,
// as a POSIX shell splits them, so that most commands need no shell in the image. Everything else is passed to a
// shell. The result must equal that of a shell: a fuzz test compares them.
package shellsplit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Shell runs commands that are more than plain words. Every image with a shell has it.
const Shell = "/bin/sh"

// Command returns the arguments that run a command as a shell would.
func Command(command string) []string {
	if words, plain := split(command); plain && len(words) > 0 {
		return words
	}
	return []string{Shell, "-c", command}
}

// Expand returns the words to which a shell with this environment expands a text. A line break between words is a
// blank, and a variable that is not set adds no word.
func Expand(ctx context.Context, text string, env []string) ([]string, error) {
	text = joinLines(text)
	if words, plain := split(text); plain {
		return words, nil
	}
	cmd := exec.CommandContext(ctx, Shell, "-c", "set -- "+text+"\n"+`test $# = 0 || printf '%s\0' "$@"`)
	cmd.Env = env
	// The shell may wait for a program.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.Output()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed) && len(failed.Stderr) > 0:
		return nil, fmt.Errorf("splitting %q into words: %w: %s", text, err, bytes.TrimSpace(failed.Stderr))
	case err != nil:
		return nil, fmt.Errorf("splitting %q into words: %w", text, err)
	case len(out) == 0:
		return nil, nil
	}
	return strings.Split(string(bytes.TrimSuffix(out, []byte{0})), "\x00"), nil
}

// joinLines makes one line of a text whose words are on several. Line breaks in quotes stay.
func joinLines(text string) string {
	var out strings.Builder
	var quote byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(text):
			i++
			if text[i] != '\n' { // a line that is continued
				out.WriteString(text[i-1 : i+1])
			}
			continue
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == quote:
			quote = 0
		case quote == 0 && (c == '\n' || c == '\r'):
			c = ' '
		}
		out.WriteByte(c)
	}
	return out.String()
}

// Script returns a script that the kernel can execute. A script without an interpreter line gets that of ScriptShell.
func Script(script string) []byte {
	if strings.HasPrefix(script, "#!") {
		return []byte(script)
	}
	return []byte("#!" + ScriptShell() + "\n" + script)
}

// ScriptShell returns the shell for hooks, scripts and sidecars: bash if the image has it, because documents for
// flux-operator are written for bash.
func ScriptShell() string { return scriptShell("/") }

func scriptShell(root string) string {
	for _, bash := range []string{"/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"} {
		info, err := os.Stat(filepath.Join(root, bash))
		if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return bash
		}
	}
	return Shell
}

// SidecarCommand returns the arguments that run a command of a sidecar: plain words by themselves, everything else by
// ScriptShell.
func SidecarCommand(command string) []string {
	if words, plain := split(command); plain && len(words) > 0 {
		return words
	}
	return []string{ScriptShell(), "-c", command}
}

// Quote makes a text one word of a POSIX shell.
func Quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
