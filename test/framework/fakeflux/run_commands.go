package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"minicluster.internal/operator/pkg/flux"
)

func jobOptions() []option {
	return []option{
		{"nodes", 'N', needsArgument}, {"ntasks", 'n', needsArgument}, {"nslots", 0, needsArgument},
		{"cores-per-task", 'c', needsArgument}, {"cores-per-slot", 0, needsArgument},
		{"gpus-per-task", 'g', needsArgument}, {"exclusive", 'x', noArgument}, {"time-limit", 't', needsArgument},
		{"queue", 'q', needsArgument}, {"bank", 'B', needsArgument}, {"urgency", 0, needsArgument}, {"job-name", 0, needsArgument},
		{"setopt", 'o', needsArgument}, {"setattr", 'S', needsArgument}, {"env", 0, needsArgument}, {"cwd", 0, needsArgument},
		{"flags", 0, needsArgument}, {"output", 0, needsArgument}, {"error", 0, needsArgument}, {"input", 0, needsArgument},
		{"label-io", 'l', noArgument}, {"unbuffered", 'u', noArgument}, {"quiet", 0, noArgument}, {"verbose", 'v', noArgument},
		{"watch", 0, noArgument}, {"wait", 0, noArgument}, {"requires", 0, needsArgument},
	}
}

// specOf makes a job of a command line.
func specOf(p parsedOptions, argv []string) (jobSpec, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return jobSpec{}, err
	}
	s := jobSpec{
		Argv: argv, Env: os.Environ(), Cwd: either(p.last("cwd"), cwd), Name: either(p.last("job-name"), filepath.Base(argv[0])),
		Queue: p.last("queue"), Urgency: 16, Exclusive: p.has("exclusive"), Output: p.last("output"), Error: p.last("error"),
		Requires: p.last("requires"),
		Label:    p.has("label-io"), Waitable: slices.Contains(strings.Split(strings.Join(p.given["flags"], ","), ","), "waitable"),
	}
	for _, n := range []struct {
		name string
		into *int
	}{
		{"nodes", &s.Nodes}, {"ntasks", &s.Tasks}, {"nslots", &s.Tasks}, {"cores-per-task", &s.Cores}, {"cores-per-slot", &s.Cores}, {"urgency", &s.Urgency},
	} {
		if !p.has(n.name) {
			continue
		}
		v, err := strconv.Atoi(p.last(n.name))
		switch least := 1; {
		case n.name == "urgency" && v >= 0 && err == nil:
		case err != nil || v < least:
			return s, fmt.Errorf("--%s: %q is not a number of at least 1", n.name, p.last(n.name))
		}
		*n.into = v
	}
	switch {
	case s.Nodes > 0 && s.Tasks == 0: // whole nodes, a task each
		s.Tasks, s.Exclusive = s.Nodes, true
	case s.Nodes > max(s.Tasks, 1):
		return s, errors.New("node count must not be greater than task count")
	}
	if limit := p.last("time-limit"); limit != "" {
		if minutes, err := strconv.ParseFloat(limit, 64); err == nil {
			s.Limit = minutes * 60
		} else if d, err := parseDuration(limit); err == nil {
			s.Limit = d.Seconds()
		} else {
			return s, err
		}
	}
	for _, e := range p.given["env"] {
		if strings.Contains(e, "=") {
			s.Env = append(s.Env, e)
		}
	}
	return s, nil
}

func submit(c *flux.Client, s jobSpec) (uint64, error) {
	var out struct {
		ID uint64 `json:"id"`
	}
	err := c.Call(context.Background(), "fakeflux.submit", flux.Leader, s, &out)
	return out.ID, err
}

// submitCommand is flux submit.
func submitCommand(args []string) (int, error) { return submitOrRun(args, false) }

// runCommand is flux run, which always watches and does not print the job's id.
func runCommand(args []string) (int, error) { return submitOrRun(args, true) }

func submitOrRun(args []string, run bool) (int, error) {
	p, err := parseOptions(args, jobOptions(), false)
	if err != nil {
		return 2, err
	}
	if len(p.others) == 0 {
		return 1, errors.New("job command and arguments are missing")
	}
	s, err := specOf(p, p.others)
	if err != nil {
		return 1, err
	}
	c, err := connect()
	if err != nil {
		return 1, err
	}
	defer c.Close()
	id, err := submit(c, s)
	if err != nil {
		return 1, err
	}
	if !run && !p.has("quiet") {
		fmt.Println(flux.JobID(id))
	}
	switch {
	case run, p.has("watch"):
		return attach(c, id, true, p.has("quiet"))
	case p.has("wait"):
		return attach(c, id, false, p.has("quiet"))
	}
	return 0, nil
}

// attach follows a job to its end, which is the exit code.
func attach(c *flux.Client, id uint64, show, quiet bool) (int, error) {
	ctx := context.Background()
	s, err := c.Stream(ctx, "fakeflux.attach", flux.Leader, jobRequest{ID: id})
	if err != nil {
		return 1, err
	}
	defer s.Close()
	for {
		var a attached
		switch err := s.Next(ctx, &a); {
		case errors.Is(err, io.EOF):
			return 1, errors.New("the job did not end")
		case err != nil:
			return 1, err
		}
		for _, o := range a.Output {
			if show && o.Stream == "stdout" {
				fmt.Print(o.Data)
			} else if show {
				fmt.Fprint(os.Stderr, o.Data)
			}
		}
		if !a.Ended {
			continue
		}
		if a.Exception != "" {
			fmt.Fprintf(os.Stderr, "job.exception: %v: type=%s severity=0 %s\n", flux.JobID(id), a.Exception, a.Note)
		} else if a.Status != 0 && !quiet {
			fmt.Fprintf(os.Stderr, "%v: task(s) exited with exit code %d\n", flux.JobID(id), a.Status)
		}
		return a.Status, nil
	}
}

// batchCommand is flux batch: the script is the initial program of an instance
// of its own.
func batchCommand(args []string) (int, error) {
	options := jobOptions()
	for i := range options { // -n is of slots, not of tasks
		switch options[i].name {
		case "ntasks", "cores-per-task":
			options[i].short = 0
		case "nslots":
			options[i].short = 'n'
		case "cores-per-slot":
			options[i].short = 'c'
		}
	}
	p, err := parseOptions(args, append(options, option{"wrap", 0, needsArgument}), false)
	if err != nil {
		return 2, err
	}
	if len(p.others) == 0 {
		return 1, errors.New("a script is needed")
	}
	text, err := os.ReadFile(p.others[0])
	if err != nil {
		return 1, err
	}
	if !strings.HasPrefix(string(text), "#!") {
		return 1, fmt.Errorf("no #! at the beginning of %s, which does not appear to be a script", p.others[0])
	}
	s, err := specOf(p, p.others)
	if err != nil {
		return 1, err
	}
	if s.Nodes == 0 && s.Tasks == 0 {
		return 1, errors.New("number of slots to allocate must be specified")
	}
	copied, err := os.CreateTemp("", "flux-batch-")
	if err != nil {
		return 1, err
	}
	_, err = copied.Write(text)
	if err := errors.Join(err, copied.Chmod(0o755), copied.Close()); err != nil {
		return 1, err
	}
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	s.Argv = append([]string{self, "start", copied.Name()}, p.others[1:]...)
	s.Nested = true
	s.Output = either(s.Output, "flux-{{id}}.out")
	c, err := connect()
	if err != nil {
		return 1, err
	}
	defer c.Close()
	id, err := submit(c, s)
	if err == nil && !p.has("quiet") {
		fmt.Println(flux.JobID(id))
	}
	return 0, err
}

// proxyCommand is flux proxy, for a broker on this machine.
func proxyCommand(args []string) (int, error) {
	p, err := parseOptions(args, []option{{"force", 'f', noArgument}, {"nohup", 'n', noArgument}, {"reconnect", 0, noArgument}}, false)
	if err != nil {
		return 1, errors.Unwrap(err)
	}
	if len(p.others) == 0 {
		return 1, errors.New("usage: flux proxy URI [COMMAND]")
	}
	uri, argv := p.others[0], []string{shell()}
	if len(p.others) > 1 { // words are not kept apart
		argv = append(argv, "-c", strings.Join(p.others[1:], " "))
	}
	if err := os.Setenv("FLUX_URI", uri); err != nil {
		return 1, err
	}
	client, err := connect()
	if err != nil {
		return 1, err
	}
	client.Close()
	c := exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := c.Run(); c.ProcessState == nil {
		return 1, err
	}
	return exitCode(c.ProcessState), nil
}

// cancelCommand is flux cancel.
func cancelCommand(args []string) (int, error) {
	p, err := parseOptions(args, []option{
		{"all", 0, noArgument}, {"user", 'u', needsArgument}, {"states", 'S', needsArgument}, {"quiet", 'q', noArgument},
		{"dry-run", 'n', noArgument}, {"message", 'm', needsArgument},
	}, true)
	if err != nil {
		return 2, err
	}
	if p.has("all") || len(p.others) == 0 && (p.has("user") || p.has("states")) {
		states := flux.JobActive
		switch strings.ToLower(p.last("states")) {
		case "run", "running":
			states = flux.JobRun
		case "pending":
			states = flux.JobPending
		}
		var out struct {
			Count int `json:"count"`
		}
		in := map[string]any{"dry_run": p.has("dry-run"), "userid": uint32(anyUser), "states": states, "severity": 0, "type": "cancel", "note": p.last("message")}
		if err := ask("job-manager.raiseall", in, &out); err != nil {
			return 1, err
		}
		if !p.has("quiet") {
			fmt.Fprintf(os.Stderr, "flux-cancel: Canceled %d jobs (0 errors)\n", out.Count)
		}
		return 0, nil
	}
	if len(p.others) == 0 {
		return 1, errors.New("job ids are missing")
	}
	for _, text := range p.others {
		id, err := parseJobID(text)
		if err != nil {
			return 1, err
		}
		if err := ask("job-manager.raise", jobRequest{ID: id, Type: "cancel", Note: p.last("message")}, nil); err != nil {
			return 1, err
		}
	}
	return 0, nil
}

// jobCommand is flux job, of which the commands that wait are known.
func jobCommand(args []string) (int, error) {
	if len(args) == 0 {
		return 1, errors.New("usage: flux job attach|last|status|wait [JOB]")
	}
	p, err := parseOptions(args[1:], []option{
		{"all", 'a', noArgument}, {"verbose", 'v', mayHaveArgument}, {"quiet", 'q', noArgument},
	}, true)
	if err != nil {
		return 1, errors.Unwrap(err)
	}
	switch {
	case args[0] == "wait" && p.has("all"):
		var out struct {
			Failures []string `json:"failures"`
		}
		if err := ask("fakeflux.wait-all", struct{}{}, &out); err != nil {
			return 1, err
		}
		for _, f := range out.Failures {
			fmt.Fprintln(os.Stderr, f)
		}
		return min(len(out.Failures), 1), nil
	case args[0] == "last":
		list, err := listOfJobs(nil)
		if err != nil || len(list) == 0 {
			return 1, err
		}
		last := slices.MaxFunc(list, func(a, b jobInfo) int { return int(a.Submitted*1e6) - int(b.Submitted*1e6) })
		fmt.Println(flux.JobID(last.ID))
		return 0, nil
	case slices.Contains([]string{"attach", "wait", "status"}, args[0]) && len(p.others) == 1,
		args[0] == "wait-event" && len(p.others) == 2 && p.others[1] == "clean":
		id, err := parseJobID(p.others[0])
		if err != nil {
			return 1, err
		}
		c, err := connect()
		if err != nil {
			return 1, err
		}
		defer c.Close()
		code, err := attach(c, id, args[0] == "attach", p.has("quiet"))
		switch args[0] {
		case "wait":
			code = min(code, 1)
		case "wait-event":
			code = 0
		}
		return code, err
	}
	return 1, fmt.Errorf("flux job %s is not known here", strings.Join(args, " "))
}
