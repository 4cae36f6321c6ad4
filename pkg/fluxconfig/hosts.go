package fluxconfig

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Hosts returns the host list of the whole Flux instance, by rank: the maximum of this MiniCluster, and the hosts of
// the clusters that burst from or to it. It is the same in every cluster of the instance and does not change with the
// size; brokers of missing hosts are offline.
//
// The order is the lead's hosts, then those of spec.flux.bursting.clusters.
func Hosts(mc *v1alpha2.MiniCluster, p Params) (Hostlist, error) {
	p = p.withDefaults(mc)
	if err := p.check(); err != nil {
		return Hostlist{}, err
	}
	bursting := v1alpha2.Bursting{}
	if mc.Spec.Flux != nil && mc.Spec.Flux.Bursting != nil {
		bursting = *mc.Spec.Flux.Bursting
	}
	hosts, field, err := instanceHosts(bursting, p)
	if err != nil {
		return Hostlist{}, err
	}
	if err := checkHosts(hosts, field, bursting, p); err != nil {
		return Hostlist{}, err
	}
	return hosts, nil
}

// instanceHosts also returns the field that the list comes from.
func instanceHosts(bursting v1alpha2.Bursting, p Params) (Hostlist, string, error) {
	if bursting.Hostlist != "" {
		const field = "spec.flux.bursting.hostlist"
		if len(bursting.Clusters) > 0 {
			return Hostlist{}, "", fieldErrorf(field, "must not be set together with clusters")
		}
		hosts, err := ParseHostlist(bursting.Hostlist)
		if err != nil {
			return Hostlist{}, "", &FieldError{Field: field, Err: err}
		}
		return hosts, field, nil
	}
	hosts, field, err := leadHosts(bursting.LeadBroker, p)
	if err != nil {
		return Hostlist{}, "", &FieldError{Field: field, Err: err}
	}
	var clusters []Hostlist
	for i, c := range bursting.Clusters {
		field = fmt.Sprintf("spec.flux.bursting.clusters[%d]", i)
		// A default must not depend on the current size, since the list never changes.
		name, size := c.Name, c.Size
		if name == "" {
			name = "burst-" + strconv.Itoa(i)
		}
		if size == 0 {
			size = p.MaximumSize
		}
		more, err := NumberedHosts(name+"-", 0, int(size))
		if err != nil {
			return Hostlist{}, "", &FieldError{Field: field, Err: err}
		}
		clusters = append(clusters, more)
	}
	return hosts.Append(clusters...), field, nil
}

// leadHosts returns the hosts of the cluster with rank 0: this one, or its parent.
func leadHosts(lead *v1alpha2.LeadBroker, p Params) (Hostlist, string, error) {
	if lead == nil {
		hosts, err := NumberedHosts(p.Name+"-", 0, int(p.MaximumSize))
		return hosts, "metadata.name", err
	}
	const field = "spec.flux.bursting.leadBroker"
	if lead.Name == "" || lead.Size < 1 {
		return Hostlist{}, field, errors.New("name and size (at least 1) must be set")
	}
	hosts, err := NumberedHosts(lead.Name+"-", 0, int(lead.Size))
	return hosts, field, err
}

// checkHosts rejects a list with which brokers would not start, or would have unexpected ranks.
func checkHosts(hosts Hostlist, field string, bursting v1alpha2.Bursting, p Params) error {
	if n := hosts.Count(); n > MaxHostRange {
		return fieldErrorf(field, "%d hosts in all: must be at most %d", n, MaxHostRange)
	}
	if err := hosts.CheckNames(); err != nil {
		return &FieldError{Field: field, Err: err}
	}
	if host, ok := hosts.Duplicate(); ok {
		return fieldErrorf(field, "host %s is in the list more than once, which moves the ranks of others", host)
	}
	for _, index := range []int32{0, p.MaximumSize - 1} {
		host := fmt.Sprintf("%s-%d", p.Name, index)
		if _, ok := hosts.Index(host); !ok {
			return fieldErrorf(field, "host %s of this MiniCluster is not in the list %s", host, abbreviate(hosts.String()))
		}
	}
	own := p.Name + "-0"
	rank, _ := hosts.Index(own)
	switch {
	case bursting.LeadBroker == nil && rank != 0:
		return fieldErrorf(field, "the first host must be %s, the lead broker, and is %s", own, hosts.First())
	case bursting.LeadBroker != nil && rank == 0:
		return fieldErrorf(field, "the first host must be the lead broker elsewhere, and is %s", own)
	}
	return nil
}

// ownRanks maps the pods of a cluster to ranks, nil where no host of another
// cluster is in the list. A host that is not in the list has no rank.
func ownRanks(hosts Hostlist, bursting *v1alpha2.Bursting, p Params) plan.RankMap {
	if bursting == nil {
		return nil
	}
	var ranks plan.RankMap
	for index := range p.MaximumSize {
		if rank, ok := hosts.Index(fmt.Sprintf("%s-%d", p.Name, index)); ok {
			ranks = ranks.Add(index, int32(rank))
		}
	}
	return ranks
}

// hostEntries returns the entries of [bootstrap] hosts for a list. Only the lead of another cluster needs more than
// its name: the address to connect to.
func hostEntries(hosts Hostlist, lead *v1alpha2.LeadBroker) ([]Host, error) {
	if lead == nil {
		return []Host{{Host: hosts.String()}}, nil
	}
	connect, err := leadURI(lead)
	if err != nil {
		return nil, err
	}
	return []Host{
		{Host: hosts.First(), Connect: connect},
		{Host: hosts.Rest().String()},
	}, nil
}

func leadURI(lead *v1alpha2.LeadBroker) (string, error) {
	port := lead.Port
	if port == 0 {
		port = v1alpha2.DefaultBrokerPort
	}
	if port < 1 || port > 65535 {
		return "", fieldErrorf("spec.flux.bursting.leadBroker.port", "%d: must be 1 to 65535", port)
	}
	if ip, err := netip.ParseAddr(lead.Address); err == nil && ip.Is6() && ip.Zone() == "" {
		return fmt.Sprintf("tcp://[%s]:%d", ip, port), nil
	}
	if err := checkDomainName(lead.Address); err != nil {
		return "", fieldErrorf("spec.flux.bursting.leadBroker.address", "%q is not an IP address or a host name: %w", abbreviate(lead.Address), err)
	}
	return fmt.Sprintf("tcp://%s:%d", lead.Address, port), nil
}
