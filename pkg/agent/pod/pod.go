// Package pod is what every agent of a pod knows: the plan, its environment and files, and how it reports its end to
// Kubernetes. The agents of the containers of a pod exchange their state through files in plan.MarkerDir. Add such a
// file here. Other users of the pod can write to that directory, so do not trust the content of a file there without
// a check of its owner.
package pod

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// Pod is the container in which the agent runs.
type Pod struct {
	// Root replaces / in the paths of the agent's own files: plan, certificate, pod files. It is "/" in a pod, and
	// another directory in tests.
	Root string
	// Program is the path of the agent.
	Program string
	// Plan says what to do.
	Plan *plan.Plan
	// Environ is the environment of the agent.
	Environ []string
	// Stdin, Stdout and Stderr are the standard streams of the container.
	Stdin, Stdout, Stderr *os.File
}

// Path returns the path of a file of the agent.
func (p *Pod) Path(elem ...string) string {
	return filepath.Join(append([]string{p.Root}, elem...)...)
}

// SelfCommand returns a command line of the agent itself.
func (p *Pod) SelfCommand(args ...string) []string {
	out := []string{p.Program, args[0]}
	if p.Root != "/" {
		out = append(out, "--root", p.Root)
	}
	return append(out, args[1:]...)
}

// PrepareRoot returns the root in the form that package prepare expects.
func (p *Pod) PrepareRoot() string {
	if p.Root == "/" {
		return ""
	}
	return p.Root
}

// fileHostname contains the host name in a root other than /.
const fileHostname = "/etc/hostname"

// Hostname returns the host name of the pod.
func (p *Pod) Hostname() (string, error) {
	if p.Root == "/" {
		return os.Hostname()
	}
	text, err := os.ReadFile(p.Path(fileHostname))
	return strings.TrimSpace(string(text)), err
}

// envIndex is the variable in which Kubernetes passes the completion index to a pod of an Indexed Job.
const envIndex = "JOB_COMPLETION_INDEX"

// Index returns the completion index of the pod.
func (p *Pod) Index() (int, error) {
	for _, entry := range p.Environ {
		if text, ok := strings.CutPrefix(entry, envIndex+"="); ok {
			index, err := strconv.Atoi(text)
			if err != nil || index < 0 {
				return 0, fmt.Errorf("%s=%q: must be a number of at least 0", envIndex, text)
			}
			return index, nil
		}
	}
	return 0, errors.New(envIndex + " is not set: this is not a pod of an Indexed Job")
}

// terminationLog is the file from which Kubernetes reads why a container ended (terminationMessagePath).
const terminationLog = "/dev/termination-log"

// TerminationMessage reports to Kubernetes why the container ends. Outside of Kubernetes the file does not exist.
func (p *Pod) TerminationMessage(text string) {
	f, err := os.OpenFile(p.Path(terminationLog), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintln(f, text)
}

// TerminationMessageIfNone reports why the container ends, unless something else was reported before.
func (p *Pod) TerminationMessageIfNone(text string) {
	if info, err := os.Stat(p.Path(terminationLog)); err == nil && info.Size() == 0 {
		p.TerminationMessage(text)
	}
}

// Exists reports whether a file exists.
func Exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// Getenv returns the value of a variable of the environment, "" if it is not set.
func (p *Pod) Getenv(name string) string {
	for i := len(p.Environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(p.Environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// LookPath finds a program in the PATH of the environment, as exec.LookPath does in that of the process.
func (p *Pod) LookPath(program string) (string, error) {
	if strings.Contains(program, "/") {
		return exec.LookPath(program)
	}
	var found error
	for _, dir := range filepath.SplitList(p.Getenv("PATH")) {
		file, err := exec.LookPath(filepath.Join(dir, program))
		if err == nil {
			return filepath.Abs(file)
		}
		if errors.Is(err, fs.ErrPermission) {
			found = err
		}
	}
	if found != nil {
		return "", found
	}
	return "", &exec.Error{Name: program, Err: exec.ErrNotFound}
}
