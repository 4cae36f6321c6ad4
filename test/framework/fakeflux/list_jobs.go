package main

import (
	"cmp"
	"context"
	"fmt"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// fill formats fields with a format of Python, such as {name:<8}.
func fill(format string, fields map[string]any) (string, error) {
	var bad error
	pattern := regexp.MustCompile(`(?:[?+]+:)?\{([a-z_.0-9]*)(?:![a-zA-Z])?(?::([<>]?)(\d*)(?:\.\d+)?[a-z]?(?:::[^}]*)?)?\}`)
	out := pattern.ReplaceAllStringFunc(format, func(match string) string {
		m := pattern.FindStringSubmatch(match)
		value, ok := fields[m[1]]
		if !ok {
			bad = fmt.Errorf("unknown format field: %s", m[1])
			return ""
		}
		_, number := value.(int)
		width, _ := strconv.Atoi(m[3]) // empty is 0
		if m[2] == ">" || m[2] == "" && number {
			return fmt.Sprintf("%*v", width, value)
		}
		return fmt.Sprintf("%-*v", width, value)
	})
	return out, bad
}

func listOfJobs(c *flux.Client, states []string) ([]*fluxtest.Job, error) {
	in := map[string]any{"max_entries": 0, "attrs": []string{"all"}}
	if states != nil {
		in["constraint"] = map[string]any{"states": states}
	}
	var out struct {
		Jobs []*fluxtest.Job `json:"jobs"`
	}
	return out.Jobs, call(c, "job-list.list", in, &out)
}

// jobFields are the fields of a job in the formats of flux jobs.
func jobFields(j *fluxtest.Job) map[string]any {
	state := strings.ToUpper(j.State.String())
	status, short, result := state, map[flux.JobState]string{flux.JobSched: "S", flux.JobRun: "R"}[j.State], ""
	if j.State == flux.JobInactive {
		result = map[int]string{1: "COMPLETED", 2: "FAILED", 4: "CANCELED", 8: "TIMEOUT"}[j.Result]
		short = map[int]string{1: "CD", 2: "F", 4: "CA", 8: "TO"}[j.Result]
		status = result
	}
	name := strconv.Itoa(int(j.UserID))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	runtime := "0.000s"
	if j.Started > 0 {
		end := j.Ended
		if end == 0 {
			end = fluxtest.Now()
		}
		runtime = fmt.Sprintf("%.3fs", end-j.Started)
	}
	waitStatus := any("")
	if j.WaitStatus != nil {
		waitStatus = *j.WaitStatus
	}
	nodes := any(j.Nodes)
	if j.Nodes == 0 {
		nodes = ""
	}
	id := j.ID.String()
	return map[string]any{
		"id": id, "id.f58": id, "id.dec": strconv.FormatUint(uint64(j.ID), 10), "username": name, "userid": int(j.UserID),
		"name": j.Name, "queue": j.Queue, "status": status, "status_abbrev": short, "state": state, "result": result,
		"urgency": *j.Urgency, "ntasks": j.Tasks, "nnodes": nodes, "ranks": j.Ranks.String(), "nodelist": j.Nodelist,
		"returncode": j.ExitCode(), "waitstatus": waitStatus, "runtime": runtime, "contextual_info": j.Nodelist,
		"contextual_time": runtime,
	}
}

const jobsOptions = "all,a A,A stats-only filter,f= no-header,n suppress-header format,o= count,c= user,u= color?"

// jobsCommand implements flux jobs.
func jobsCommand(c *flux.Client, o options) (int, error) {
	if o.has("stats-only") {
		return printStatistics(c)
	}
	states := []string{"active"}
	if o.has("all") || o.NArg() > 0 {
		states = nil
	}
	if f := o.last("filter"); f != "" {
		states = strings.Split(strings.ToLower(f), ",")
	}
	list, err := listOfJobs(c, states)
	if err != nil {
		return 1, err
	}
	var ids []flux.JobID
	for _, text := range o.Args() {
		id, err := parseJobID(text)
		if err == nil && !slices.ContainsFunc(list, func(j *fluxtest.Job) bool { return j.ID == id }) {
			err = fmt.Errorf("JobID %s unknown", text)
		}
		if err != nil {
			return 1, err
		}
		ids = append(ids, id)
	}
	format := cmp.Or(o.last("format"), "{id.f58:>12} {username:<8.8} {name:<10.10} {status_abbrev:>2} {ntasks:>6} {nnodes:>6} "+
		"{contextual_time:>8} {contextual_info}")
	if !o.has("format") && !o.has("no-header") && !o.has("suppress-header") {
		fmt.Println("       JOBID USER     NAME       ST NTASKS NNODES     TIME INFO")
	}
	for _, j := range list {
		if len(ids) > 0 && !slices.Contains(ids, j.ID) {
			continue
		}
		line, err := fill(format, jobFields(j))
		if err != nil {
			return 1, err
		}
		fmt.Println(line)
	}
	return 0, nil
}

// printStatistics is flux jobs --stats-only, which counts every job that did not succeed as failed, and fails if no job
// is active.
func printStatistics(c *flux.Client) (int, error) {
	stats, err := c.JobStats(context.Background())
	if err != nil {
		return 1, err
	}
	n := stats.States
	fmt.Printf("%d running, %d completed, %d failed, %d pending, %d inactive purged\n",
		n.Run+n.Cleanup, stats.Successful, stats.Failed+stats.TimedOut+stats.Canceled, n.Depend+n.Priority+n.Sched, stats.Purged)
	if n.Depend+n.Priority+n.Sched+n.Run+n.Cleanup == 0 {
		return 1, nil
	}
	return 0, nil
}
