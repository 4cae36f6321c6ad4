package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

const resourceOptions = "states,s= format,o= no-header,n skip-empty force,f update,u verbose,v"

func resourceDrain(c *flux.Client, o options) (int, error) {
	if o.NArg() == 0 {
		return 0, listNodes(c, o, true)
	}
	in := fluxtest.DrainRequest{Targets: o.Arg(0), Reason: strings.Join(o.Args()[1:], " ")}
	switch {
	case o.has("force"):
		in.Mode = "overwrite"
	case o.has("update"):
		in.Mode = "update"
	}
	return 0, call(c, "resource.drain", in, nil)
}

func resourceUndrain(c *flux.Client, o options) (int, error) {
	in := fluxtest.DrainRequest{Targets: o.Arg(0)}
	if o.has("force") {
		in.Mode = "force"
	}
	return 0, call(c, "resource.undrain", in, nil)
}

func resourceStatus(c *flux.Client, o options) (int, error) { return 0, listNodes(c, o, false) }

// schedStatus queries the resources of the scheduler and the names of the hosts.
func schedStatus(c *flux.Client) (flux.SchedStatus, map[uint32]string, error) {
	s, err := c.SchedStatus(context.Background())
	if err != nil {
		return s, nil, err
	}
	names, err := flux.ParseHosts(strings.Join(s.All.Hosts, ","))
	byRank := map[uint32]string{}
	for i, n := range s.All.Nodes {
		byRank[n.Rank] = names[i]
	}
	return s, byRank, err
}

// hostsOf returns the compact list of the names of ranks.
func hostsOf(names map[uint32]string, ranks flux.IDSet) string {
	var of []string
	for rank := range ranks.All() {
		of = append(of, names[rank])
	}
	return hostlist(of)
}

func listResources(c *flux.Client, o options) (int, error) {
	s, names, err := schedStatus(c)
	if err != nil {
		return 1, err
	}
	sets := map[string]flux.Resources{
		"all": s.All, "up": s.All.Without(s.Down), "down": s.Down, "allocated": s.Allocated, "free": s.Free(),
	}
	if !o.has("no-header") && !o.has("format") {
		fmt.Println("     STATE NNODES NCORES NGPUS NODELIST")
	}
	for state := range strings.SplitSeq(cmp.Or(o.last("states"), "free,allocated,down"), ",") {
		set, ok := sets[state]
		if !ok {
			return 1, fmt.Errorf("invalid resource state %s specified", state)
		}
		n := set.Totals()
		line, err := fill(cmp.Or(o.last("format"), "{state:>10} {nnodes:>6} {ncores:>6} {ngpus:>5} {nodelist}"), map[string]any{
			"state": state, "nnodes": n.Nodes, "ncores": n.Cores, "ngpus": n.GPUs, "ranks": set.Ranks().String(),
			"nodelist": hostsOf(names, set.Ranks()), "rlist": "",
		})
		if err != nil {
			return 1, err
		}
		fmt.Println(line)
	}
	return 0, nil
}

// nodeGroup is the key of nodes that are listed together.
type nodeGroup struct {
	state, reason, when string
	offline             bool
}

// listNodes implements flux resource status, and the list of drained nodes.
func listNodes(c *flux.Client, o options, drainedOnly bool) error {
	status, err := c.ResourceStatus(context.Background())
	if err != nil {
		return err
	}
	sched, names, err := schedStatus(c)
	if err != nil {
		return err
	}
	format, header := "{state:>12} {up:>2} {nnodes:>6} {nodelist}", "       STATEUP NNODES NODELIST"
	if drainedOnly {
		format, header = "{timestamp:<12} {state:<8} {reason:<30} {nodelist}", "TIME         STATE    REASON                         NODELIST"
	}
	if !o.has("no-header") && !o.has("format") {
		fmt.Println(header)
	}
	order, groups := groupNodes(status, sched.Allocated.Ranks(), o.last("states"))
	for _, g := range order {
		if drainedOnly && !strings.HasPrefix(g.state, "drain") {
			continue
		}
		ranks, state, mark := groups[g], g.state, "✔"
		if g.offline {
			state, mark = state+"*", "✗"
		}
		line, err := fill(cmp.Or(o.last("format"), format), map[string]any{
			"state": state, "up": mark, "nnodes": ranks.Count(), "ranks": ranks.String(), "reason": g.reason,
			"nodelist": hostsOf(names, ranks), "timestamp": g.when,
		})
		if err != nil {
			return err
		}
		fmt.Println(line)
	}
	return nil
}

// groupNodes groups nodes by state; states may restrict it to some.
func groupNodes(s flux.ResourceStatus, busy flux.IDSet, states string) ([]nodeGroup, map[nodeGroup]flux.IDSet) {
	var order []nodeGroup
	groups := map[nodeGroup]flux.IDSet{}
	add := func(rank uint32, g nodeGroup) {
		g.offline = s.Offline.Contains(rank)
		if states == "online" {
			if g.offline {
				return
			}
			g.state, g.reason, g.when = states, "", ""
		}
		if states != "" && !slices.Contains(strings.Split(states, ","), g.state) {
			return
		}
		if !slices.Contains(order, g) {
			order = append(order, g)
		}
		groups[g] = groups[g].Union(flux.IDs(rank))
	}
	for rank := range s.Online.Union(s.Offline).Without(s.DrainedRanks()).All() {
		add(rank, nodeGroup{state: "avail"})
	}
	for _, d := range s.Drained {
		for rank := range d.Ranks.All() {
			g := nodeGroup{state: "drained", reason: d.Reason, when: d.Since.UTC().Format("Jan02 15:04")}
			if busy.Contains(rank) {
				g.state = "draining"
			}
			add(rank, g)
		}
	}
	return order, groups
}

// localCores returns the cores of this machine that this process may use.
func localCores() flux.IDSet { return flux.IDRange(0, uint32(runtime.NumCPU()-1)) }

// encodeR implements flux R encode.
func encodeR(o options) (code int, err error) {
	hosts := o.last("hosts")
	if hosts == "" {
		if hosts, err = os.Hostname(); err != nil {
			return 1, err
		}
	}
	names, err := flux.ParseHosts(hosts)
	cores, err1 := flux.ParseIDSet(o.last("cores"))
	gpus, err2 := flux.ParseIDSet(o.last("gpus"))
	ranks, err3 := flux.ParseIDSet(o.last("ranks"))
	if err := errors.Join(err, err1, err2, err3); err != nil {
		return 1, err
	}
	switch {
	case o.has("local"):
		cores = localCores()
	case cores.Empty() && gpus.Empty():
		cores = flux.IDs(0)
	}
	if ranks.Empty() {
		ranks = flux.IDRange(0, uint32(len(names)-1))
	}
	var nodes []flux.NodeResources
	for rank := range ranks.All() {
		nodes = append(nodes, flux.NodeResources{Rank: rank, Cores: cores, GPUs: gpus})
	}
	text, err := json.Marshal(fluxtest.EncodeR(nodes, []string{hostlist(names)}))
	if err != nil {
		return 1, err
	}
	fmt.Println(string(text))
	return 0, nil
}
