package fluxtest

import (
	"slices"
	"strings"
	"syscall"

	"minicluster.internal/operator/pkg/flux"
)

func (i *Instance) resourceStatus(*Request) (any, error) {
	s := &i.State
	together := map[Drain]flux.IDSet{}
	for rank, d := range s.Drained {
		together[d] = together[d].Union(flux.IDs(rank))
	}
	drained := map[string]Drain{}
	for d, ranks := range together {
		drained[ranks.String()] = d
	}
	out := map[string]any{
		"R": s.encode(s.Resources), "drain": drained,
		"online": s.Online, "offline": s.All().Without(s.Online), "exclude": s.Exclude,
	}
	if !i.old {
		out["torpid"] = s.Torpid
	}
	return out, nil
}

func (i *Instance) schedStatus(*Request) (any, error) {
	s := &i.State
	var allocated flux.Resources
	for _, job := range s.Jobs {
		allocated.Nodes = append(allocated.Nodes, job.Alloc.Nodes...)
	}
	return map[string]any{
		"all":       s.encode(s.Resources.On(s.All().Without(s.Exclude))),
		"down":      s.encode(s.Resources.On(s.Down())),
		"allocated": EncodeR(allocated.Nodes, s.Hostnames(allocated.Ranks())),
	}, nil
}

// DrainRequest is the payload of resource.drain and resource.undrain. Targets are ranks or names of hosts.
type DrainRequest struct {
	Targets string `json:"targets"`
	Reason  string `json:"reason,omitempty"`
	Mode    string `json:"mode,omitempty"`
}

func (i *Instance) drainRequest(r *Request) (ranks flux.IDSet, in DrainRequest, err error) {
	if in, err = Decode[DrainRequest](r); err != nil {
		return ranks, in, err
	}
	if ranks, err = flux.ParseIDSet(in.Targets); err != nil {
		for name := range strings.SplitSeq(in.Targets, ",") {
			rank := slices.Index(i.State.Hosts, name)
			if rank < 0 {
				return ranks, in, Fail(syscall.EINVAL, "failed to decode hostlist or idset %s", in.Targets)
			}
			ranks = ranks.Union(flux.IDs(uint32(rank)))
		}
	}
	if last, any := ranks.Max(); !any || int(last) >= len(i.State.Hosts) {
		return ranks, in, Fail(syscall.EINVAL, "idset is empty or out of range")
	}
	if excluded := ranks.Intersect(i.State.Exclude); !excluded.Empty() {
		return ranks, in, Fail(syscall.EINVAL, "drain of excluded rank(s) %s", excluded)
	}
	return ranks, in, nil
}

func (i *Instance) drain(r *Request) (any, error) {
	ranks, in, err := i.drainRequest(r)
	if err != nil {
		return nil, err
	}
	if already := ranks.Intersect(i.State.DrainedRanks()); in.Mode == "" && !already.Empty() {
		return nil, Fail(syscall.EEXIST, "rank(s) %s already drained", already)
	}
	now := Now()
	for rank := range ranks.All() {
		if old := i.State.Drained[rank]; old.Reason == "" || in.Mode == "overwrite" {
			i.State.Drained[rank] = Drain{now, in.Reason}
		}
	}
	return nil, nil
}

func (i *Instance) undrain(r *Request) (any, error) {
	ranks, in, err := i.drainRequest(r)
	if err != nil {
		return nil, err
	}
	lenient := in.Mode == "force" || in.Mode == "update" && !i.old
	if other := ranks.Without(i.State.DrainedRanks()); !other.Empty() && !lenient {
		return nil, Fail(syscall.EINVAL, "rank(s) %s not drained", other)
	}
	for rank := range ranks.All() {
		delete(i.State.Drained, rank)
	}
	return nil, nil
}
