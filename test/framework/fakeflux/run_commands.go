package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

const (
	jobOptions = `nodes,N= gpus-per-task,g= exclusive,x time-limit,t= queue,q= bank,B= urgency= job-name= setopt,o= setattr,S= env=
		cwd= flags= output= error= input= label-io,l unbuffered,u quiet verbose,v watch wait requires=`
	runOptions   = jobOptions + " ntasks,n= nslots= cores-per-task,c= cores-per-slot="
	batchOptions = jobOptions + " ntasks= nslots,n= cores-per-task= cores-per-slot,c= wrap="
)

// specOf returns the job of a command line.
func specOf(o options) (jobSpec, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return jobSpec{}, err
	}
	argv := o.Args()
	s := jobSpec{
		Argv: argv, Env: os.Environ(), Cwd: cmp.Or(o.last("cwd"), cwd), Name: cmp.Or(o.last("job-name"), filepath.Base(argv[0])),
		Queue: o.last("queue"), Urgency: 16, Exclusive: o.has("exclusive"), Output: o.last("output"), Error: o.last("error"),
		Requires: o.last("requires"),
		Label:    o.has("label-io"), Waitable: slices.Contains(strings.Split(strings.Join(o.all("flags"), ","), ","), "waitable"),
	}
	for _, n := range []struct {
		name string
		into *int
	}{
		{"nodes", &s.Nodes}, {"ntasks", &s.Tasks}, {"nslots", &s.Tasks}, {"cores-per-task", &s.Cores}, {"cores-per-slot", &s.Cores}, {"urgency", &s.Urgency},
	} {
		if !o.has(n.name) {
			continue
		}
		v, err := strconv.Atoi(o.last(n.name))
		switch least := 1; {
		case n.name == "urgency" && v >= 0 && err == nil:
		case err != nil || v < least:
			return s, fmt.Errorf("--%s: %q is not a number of at least 1", n.name, o.last(n.name))
		}
		*n.into = v
	}
	switch {
	case s.Nodes > 0 && s.Tasks == 0: // whole nodes, one task each
		s.Tasks, s.Exclusive = s.Nodes, true
	case s.Nodes > max(s.Tasks, 1):
		return s, errors.New("node count must not be greater than task count")
	}
	if limit := o.last("time-limit"); limit != "" {
		if minutes, err := strconv.ParseFloat(limit, 64); err == nil {
			s.Limit = minutes * 60
		} else if d, err := parseDuration(limit); err == nil {
			s.Limit = d.Seconds()
		} else {
			return s, err
		}
	}
	for _, e := range o.all("env") {
		if strings.Contains(e, "=") {
			s.Env = append(s.Env, e)
		}
	}
	return s, nil
}

func submit(c *flux.Client, o options) (flux.JobID, error) {
	s, err := specOf(o)
	if err != nil {
		return 0, err
	}
	return submitSpec(c, s)
}

func submitSpec(c *flux.Client, s jobSpec) (flux.JobID, error) {
	var out struct {
		ID flux.JobID `json:"id"`
	}
	err := call(c, "fakeflux.submit", s, &out)
	return out.ID, err
}

// runCommand implements flux run, which attaches to the job and does not print its ID.
func runCommand(c *flux.Client, o options) (int, error) {
	id, err := submit(c, o)
	if err != nil {
		return 1, err
	}
	return attach(c, id, true, o.has("quiet"))
}

// submitCommand implements flux submit.
func submitCommand(c *flux.Client, o options) (int, error) {
	id, err := submit(c, o)
	if err == nil && !o.has("quiet") {
		fmt.Println(id)
	}
	if err != nil || !o.has("watch") && !o.has("wait") {
		return 0, err
	}
	return attach(c, id, o.has("watch"), o.has("quiet"))
}

// attach follows a job to its end and returns its exit code.
func attach(c *flux.Client, id flux.JobID, show, quiet bool) (int, error) {
	ctx := context.Background()
	s, err := c.Stream(ctx, "fakeflux.attach", flux.Leader, fluxtest.RaiseRequest{ID: id})
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
			fmt.Fprintf(os.Stderr, "job.exception: %v: type=%s severity=0 %s\n", id, a.Exception, a.Note)
		} else if a.Status != 0 && !quiet {
			fmt.Fprintf(os.Stderr, "%v: task(s) exited with exit code %d\n", id, a.Status)
		}
		return a.Status, nil
	}
}

// batchCommand implements flux batch: the script is the initial program of a nested instance.
func batchCommand(c *flux.Client, o options) (int, error) {
	text, err := os.ReadFile(o.Arg(0))
	if err != nil {
		return 1, err
	}
	if !strings.HasPrefix(string(text), "#!") {
		return 1, fmt.Errorf("no #! at the beginning of %s, which does not appear to be a script", o.Arg(0))
	}
	s, err := specOf(o)
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
	s.Argv = append([]string{self, "start", copied.Name()}, o.Args()[1:]...)
	s.Nested = true
	s.Output = cmp.Or(s.Output, "flux-{{id}}.out")
	id, err := submitSpec(c, s)
	if err == nil && !o.has("quiet") {
		fmt.Println(id)
	}
	return 0, err
}

// cancelCommand implements flux cancel.
func cancelCommand(c *flux.Client, o options) (int, error) {
	if o.NArg() == 0 {
		states, ok := map[string]flux.JobState{
			"": flux.JobActive, "active": flux.JobActive, "run": flux.JobRun, "running": flux.JobRun, "pending": flux.JobPending,
		}[strings.ToLower(o.last("states"))]
		if !ok || !o.has("all") && !o.has("user") && !o.has("states") {
			return 1, errors.New("job ids are missing")
		}
		count, err := c.CancelAll(context.Background(), states, o.last("message"))
		if err == nil && !o.has("quiet") {
			fmt.Fprintf(os.Stderr, "flux-cancel: Canceled %d jobs (0 errors)\n", count)
		}
		return 0, err
	}
	for _, text := range o.Args() {
		id, err := parseJobID(text)
		if err == nil {
			err = c.Raise(context.Background(), id, "cancel", o.last("message"))
		}
		if err != nil {
			return 1, err
		}
	}
	return 0, nil
}

func jobAttach(c *flux.Client, o options) (int, error) { return follow(c, o, true) }

func jobStatus(c *flux.Client, o options) (int, error) { return follow(c, o, false) }

func jobWaitEvent(c *flux.Client, o options) (int, error) {
	if o.Arg(1) != "clean" {
		return 1, fmt.Errorf("event %s is not supported", o.Arg(1))
	}
	_, err := follow(c, o, false)
	return 0, err
}

// follow follows the job in the first argument to its end.
func follow(c *flux.Client, o options, show bool) (int, error) {
	id, err := parseJobID(o.Arg(0))
	if err != nil {
		return 1, err
	}
	return attach(c, id, show, o.has("quiet"))
}

func jobWait(c *flux.Client, o options) (int, error) {
	if !o.has("all") {
		code, err := follow(c, o, false)
		return min(code, 1), err
	}
	var out struct {
		Failures []string `json:"failures"`
	}
	if err := call(c, "fakeflux.wait-all", struct{}{}, &out); err != nil {
		return 1, err
	}
	for _, f := range out.Failures {
		fmt.Fprintln(os.Stderr, f)
	}
	return min(len(out.Failures), 1), nil
}

func jobLast(c *flux.Client, _ options) (int, error) {
	list, err := listOfJobs(c, nil)
	if err != nil || len(list) == 0 {
		return 1, err
	}
	fmt.Println(slices.MaxFunc(list, func(a, b *fluxtest.Job) int { return cmp.Compare(a.ID, b.ID) }).ID)
	return 0, nil
}
