package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// fill puts fields into a format of Python: {name:<8} and the like.
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
		width, _ := strconv.Atoi(m[3]) // none is 0
		if m[2] == ">" || m[2] == "" && number {
			return fmt.Sprintf("%*v", width, value)
		}
		return fmt.Sprintf("%-*v", width, value)
	})
	return out, bad
}

// jobInfo is a job as job-list tells of it.
type jobInfo struct {
	ID         uint64        `json:"id"`
	User       uint32        `json:"userid"`
	State      flux.JobState `json:"state"`
	Name       string        `json:"name"`
	Queue      string        `json:"queue"`
	Urgency    int           `json:"urgency"`
	Tasks      int           `json:"ntasks"`
	Nodes      int           `json:"nnodes"`
	Ranks      string        `json:"ranks"`
	Nodelist   string        `json:"nodelist"`
	Submitted  float64       `json:"t_submit"`
	Started    float64       `json:"t_run"`
	Ended      float64       `json:"t_inactive"`
	Result     int           `json:"result"`
	WaitStatus int           `json:"waitstatus"`
}

func listOfJobs(states []string) ([]jobInfo, error) {
	in := map[string]any{"max_entries": 0, "attrs": []string{"all"}}
	if states != nil {
		in["constraint"] = map[string]any{"states": states}
	}
	var out struct {
		Jobs []jobInfo `json:"jobs"`
	}
	return out.Jobs, ask("job-list.list", in, &out)
}

func (j jobInfo) fields() map[string]any {
	status, abbreviation := strings.ToUpper(j.State.String()), map[flux.JobState]string{jobSched: "S", jobRun: "R"}[j.State]
	result := ""
	if j.State == jobInactive {
		result = map[int]string{1: "COMPLETED", 2: "FAILED", 4: "CANCELED", 8: "TIMEOUT"}[j.Result]
		status = result
		abbreviation = map[int]string{1: "CD", 2: "F", 4: "CA", 8: "TO"}[j.Result]
	}
	name := strconv.Itoa(int(j.User))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	seconds := 0.0
	if j.Started > 0 {
		end := j.Ended
		if end == 0 {
			end = float64(time.Now().UnixMicro()) / 1e6
		}
		seconds = end - j.Started
	}
	nodes := any(j.Nodes)
	if j.Nodes == 0 {
		nodes = ""
	}
	id := flux.JobID(j.ID).String()
	return map[string]any{
		"id": id, "id.f58": id, "id.dec": strconv.FormatUint(j.ID, 10), "username": name, "userid": int(j.User), "name": j.Name, "queue": j.Queue,
		"status": status, "status_abbrev": abbreviation, "state": strings.ToUpper(j.State.String()), "result": result, "urgency": j.Urgency,
		"ntasks": j.Tasks, "nnodes": nodes, "ranks": j.Ranks, "nodelist": j.Nodelist, "returncode": j.WaitStatus >> 8,
		"waitstatus": j.WaitStatus, "runtime": fmt.Sprintf("%.3fs", seconds), "contextual_info": j.Nodelist, "contextual_time": fmt.Sprintf("%.3fs", seconds),
	}
}

// jobsCommand is flux jobs.
func jobsCommand(args []string) (int, error) {
	p, err := parseOptions(args, []option{
		{"all", 'a', noArgument}, {"A", 'A', noArgument}, {"filter", 'f', needsArgument}, {"no-header", 'n', noArgument}, {"suppress-header", 0, noArgument},
		{"format", 'o', needsArgument}, {"count", 'c', needsArgument}, {"user", 'u', needsArgument}, {"color", 0, mayHaveArgument},
	}, true)
	if err != nil {
		return 2, err
	}
	states := []string{"active"}
	if p.has("all") || len(p.others) > 0 {
		states = nil
	}
	if f := p.last("filter"); f != "" {
		states = strings.Split(strings.ToLower(f), ",")
	}
	list, err := listOfJobs(states)
	if err != nil {
		return 1, err
	}
	for _, text := range p.others {
		id, err := parseJobID(text)
		if err != nil {
			return 1, err
		}
		if !slices.ContainsFunc(list, func(j jobInfo) bool { return j.ID == id }) {
			return 1, fmt.Errorf("JobID %s unknown", text)
		}
	}
	format := either(p.last("format"), "{id.f58:>12} {username:<8.8} {name:<10.10} {status_abbrev:>2} {ntasks:>6} {nnodes:>6} {contextual_time:>8} {contextual_info}")
	if !p.has("format") && !p.has("no-header") && !p.has("suppress-header") {
		fmt.Println("       JOBID USER     NAME       ST NTASKS NNODES     TIME INFO")
	}
	for _, j := range list {
		if len(p.others) > 0 && !slices.ContainsFunc(p.others, func(text string) bool { id, err := parseJobID(text); return err == nil && id == j.ID }) {
			continue
		}
		line, err := fill(format, j.fields())
		if err != nil {
			return 1, err
		}
		fmt.Println(line)
	}
	return 0, nil
}

// schedSets are the answer of resource.sched-status.
type schedSets struct {
	All       jsonR `json:"all"`
	Down      jsonR `json:"down"`
	Allocated jsonR `json:"allocated"`
}

// resourceSets are the nodes by state, as flux resource list has them.
func resourceSets() (map[string]resourceSet, error) {
	var s schedSets
	if err := ask("resource.sched-status", nil, &s); err != nil {
		return nil, err
	}
	all, err1 := s.All.decode()
	down, err2 := s.Down.decode()
	allocated, err3 := s.Allocated.decode()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	up := all.only(func(rank int) bool { _, is := down[rank]; return !is })
	free := resourceSet{}
	for rank, n := range up {
		n.cores = slices.DeleteFunc(slices.Clone(n.cores), func(core int) bool { return slices.Contains(allocated[rank].cores, core) })
		if len(n.cores) > 0 {
			free[rank] = n
		}
	}
	return map[string]resourceSet{"all": all, "up": up, "down": down, "allocated": allocated, "free": free}, nil
}

// resourceCommand is flux resource.
func resourceCommand(args []string) (int, error) {
	if len(args) == 0 {
		return 1, errors.New("usage: flux resource list|status|drain|undrain")
	}
	p, err := parseOptions(args[1:], []option{
		{"states", 's', needsArgument}, {"format", 'o', needsArgument}, {"no-header", 'n', noArgument}, {"skip-empty", 0, noArgument},
		{"force", 'f', noArgument}, {"update", 'u', noArgument}, {"verbose", 'v', noArgument},
	}, true)
	if err != nil {
		return 2, err
	}
	switch args[0] {
	case "list":
		return 0, listResources(p)
	case "status":
		return 0, resourceStates(p, false)
	case "drain":
		if len(p.others) == 0 {
			return 0, resourceStates(p, true)
		}
		in := drainRequest{Targets: p.others[0], Reason: strings.Join(p.others[1:], " ")}
		switch {
		case p.has("force"):
			in.Mode = "overwrite"
		case p.has("update"):
			in.Mode = "update"
		}
		return 0, ask("resource.drain", in, nil)
	case "undrain":
		if len(p.others) == 0 {
			return 2, errors.New("targets are missing")
		}
		in := drainRequest{Targets: p.others[0]}
		if p.has("force") {
			in.Mode = "force"
		}
		return 0, ask("resource.undrain", in, nil)
	}
	return 2, fmt.Errorf("flux resource %s is not known here", args[0])
}

func listResources(p parsedOptions) error {
	sets, err := resourceSets()
	if err != nil {
		return err
	}
	format := either(p.last("format"), "{state:>10} {nnodes:>6} {ncores:>6} {ngpus:>5} {nodelist}")
	if !p.has("no-header") && !p.has("format") {
		fmt.Println("     STATE NNODES NCORES NGPUS NODELIST")
	}
	for state := range strings.SplitSeq(either(p.last("states"), "free,allocated,down"), ",") {
		set, ok := sets[state]
		if !ok {
			return fmt.Errorf("invalid resource state %s specified", state)
		}
		line, err := fill(format, map[string]any{
			"state": state, "nnodes": len(set), "ncores": set.cores(), "ngpus": set.gpus(), "nodelist": set.hostlist(), "ranks": formatIDs(set.ranks()), "rlist": "",
		})
		if err != nil {
			return err
		}
		fmt.Println(line)
	}
	return nil
}

// nodeGroup is ranks that are in the same state, and drained for the same reason.
type nodeGroup struct {
	state, reason, when string
	offline             bool
	ranks               []int
}

// resourceStates is flux resource status, and the list of what is drained.
func resourceStates(p parsedOptions, drainedOnly bool) error {
	c, err := connect()
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.ResourceStatus(context.Background())
	if err != nil {
		return err
	}
	sets, err := resourceSets()
	if err != nil {
		return err
	}
	format := "{state:>12} {up:>2} {nnodes:>6} {nodelist}"
	header := "       STATEUP NNODES NODELIST"
	if drainedOnly {
		format, header = "{timestamp:<12} {state:<8} {reason:<30} {nodelist}", "TIME         STATE    REASON                         NODELIST"
	}
	if !p.has("no-header") && !p.has("format") {
		fmt.Println(header)
	}
	for _, g := range groupNodes(s, sets["allocated"], p.last("states")) {
		if drainedOnly && !strings.HasPrefix(g.state, "drain") {
			continue
		}
		mark := "✔"
		if g.offline {
			mark = "✗"
			g.state += "*"
		}
		set := sets["all"].only(func(rank int) bool { return slices.Contains(g.ranks, rank) })
		line, err := fill(either(p.last("format"), format), map[string]any{
			"state": g.state, "up": mark, "nnodes": len(g.ranks), "ranks": formatIDs(g.ranks), "reason": g.reason, "nodelist": set.hostlist(), "timestamp": g.when,
		})
		if err != nil {
			return err
		}
		fmt.Println(line)
	}
	return nil
}

// groupNodes puts nodes together by state; states may narrow it to some.
func groupNodes(s flux.ResourceStatus, busy resourceSet, states string) []*nodeGroup {
	var groups []*nodeGroup
	add := func(rank uint32, state, reason, when string) {
		offline := s.Offline.Contains(rank)
		if states == "online" {
			if offline {
				return
			}
			state = states
		}
		if states != "" && !slices.Contains(strings.Split(states, ","), state) {
			return
		}
		i := slices.IndexFunc(groups, func(g *nodeGroup) bool {
			return g.state == state && g.reason == reason && g.offline == offline
		})
		if i < 0 {
			i = len(groups)
			groups = append(groups, &nodeGroup{state: state, reason: reason, when: when, offline: offline})
		}
		groups[i].ranks = append(groups[i].ranks, int(rank))
	}
	for rank := range s.Online.Union(s.Offline).Without(s.DrainedRanks()).All() {
		add(rank, "avail", "", "")
	}
	for _, d := range s.Drained {
		for rank := range d.Ranks.All() {
			state := "drained"
			if _, is := busy[int(rank)]; is {
				state = "draining"
			}
			if states == "online" {
				d.Reason = ""
			}
			add(rank, state, d.Reason, d.Since.UTC().Format("Jan02 15:04"))
		}
	}
	return groups
}

// queueCommand is flux queue.
func queueCommand(args []string) (int, error) {
	if len(args) == 0 {
		return 1, errors.New("usage: flux queue start|stop|enable|disable|status|idle")
	}
	p, err := parseOptions(args[1:], []option{
		{"all", 'a', noArgument}, {"quiet", 0, noArgument}, {"verbose", 'v', noArgument}, {"nocheckpoint", 0, noArgument},
		{"message", 'm', needsArgument}, {"timeout", 't', needsArgument}, {"queue", 'q', needsArgument},
	}, true)
	if err != nil {
		return 2, err
	}
	in := map[string]any{"all": p.has("all"), "reason": p.last("message")}
	name := p.last("queue")
	if len(p.others) > 0 {
		name = p.others[0]
	}
	if name != "" {
		in["name"] = name
	}
	show := !p.has("quiet")
	switch args[0] {
	case "start", "stop":
		in["start"] = args[0] == "start"
		err = ask("job-manager.queue-start", in, nil)
	case "enable", "disable":
		in["enable"] = args[0] == "enable"
		if args[0] == "disable" {
			in["reason"] = either(p.last("message"), "disabled by administrator")
		}
		err = ask("job-manager.queue-enable", in, nil)
	case "status":
	case "idle":
		var out struct {
			Pending int `json:"pending"`
		}
		err = ask("job-manager.idle", struct{}{}, &out)
		if err == nil && show && out.Pending > 0 {
			fmt.Printf("%d jobs\n", out.Pending)
		}
		return 0, err
	default:
		return 2, fmt.Errorf("flux queue %s is not known here", args[0])
	}
	if err != nil || !show {
		return 0, err
	}
	return 0, printQueues(args[0], name)
}

func printQueues(what, name string) error {
	c, err := connect()
	if err != nil {
		return err
	}
	defer c.Close()
	queues, err := c.Queues(context.Background())
	if err != nil {
		return err
	}
	for _, q := range queues {
		if name != "" && q.Name != name {
			continue
		}
		prefix := ""
		if q.Name != "" {
			prefix = q.Name + ": "
		}
		if what == "status" || what == "enable" || what == "disable" {
			if q.Enabled {
				fmt.Println(prefix + "Job submission is enabled")
			} else {
				fmt.Println(prefix + "Job submission is disabled: " + q.DisableReason)
			}
		}
		if what == "status" || what == "start" || what == "stop" {
			text := "Scheduling is started"
			if !q.Started {
				text = "Scheduling is stopped"
				if q.StopReason != "" {
					text += ": " + q.StopReason
				}
			}
			fmt.Println(prefix + text)
		}
	}
	return nil
}
