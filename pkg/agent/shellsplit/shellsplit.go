// Package shellsplit turns what users write as a command into the arguments of a program. Plain words are split here,
// as a POSIX shell splits them, so that most commands need no shell in the image. Everything else is passed to a shell.
package shellsplit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Shell runs hooks, and commands that are more than plain words.
const Shell = "/bin/sh"

// Command returns the arguments that run a command as a shell would.
func Command(command string) []string {
	if words, plain := split(command); plain && len(words) > 0 {
		return words
	}
	return []string{Shell, "-c", command}
}

// Expand returns the words to which a shell with this environment expands a text.
func Expand(ctx context.Context, text string, env []string) ([]string, error) {
	if words, plain := split(text); plain {
		return words, nil
	}
	cmd := exec.CommandContext(ctx, Shell, "-c", `printf '%s\0' `+text)
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("splitting %q into words: %w", text, err)
	}
	return strings.Split(string(bytes.TrimSuffix(out, []byte{0})), "\x00"), nil
}

// Script returns a script that the kernel can execute. A script without an interpreter line gets that of ScriptShell.
func Script(script string) []byte {
	if strings.HasPrefix(script, "#!") {
		return []byte(script)
	}
	return []byte("#!" + ScriptShell() + "\n" + script)
}

// ScriptShell returns the shell for scripts: bash if the image has it, because flux-operator runs scripts with bash.
func ScriptShell() string {
	const bash = "/bin/bash"
	if _, err := os.Stat(bash); err == nil {
		return bash
	}
	return Shell
}
