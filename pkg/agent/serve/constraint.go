package serve

import (
	"encoding/json"
	"fmt"
	"strings"

	"minicluster.internal/operator/pkg/flux"
)

// matcher finds the ranks of a resource set that match a constraint of RFC 31, like the scheduler does. A rank may
// match while it is down.
type matcher struct {
	resources flux.Resources
	all       flux.IDSet
	hosts     map[string]uint32 // made at the first lookup of a name
	names     int               // number of host names in all constraints so far
	known     map[string]match  // results by constraint
}

// match is the result of a constraint.
type match struct {
	ranks flux.IDSet
	err   error
}

// maxDepth limits the nesting of a constraint, and [flux.MaxNodes] the number of host names of all constraints
// together: users who may submit jobs must not be able to keep the agent of the lead busy.
const maxDepth = 64

func newMatcher(r flux.Resources) *matcher {
	return &matcher{resources: r, all: r.Ranks(), known: map[string]match{}}
}

// match returns the ranks that match a constraint. An unreadable one is an error.
func (m *matcher) match(constraint json.RawMessage) (flux.IDSet, error) {
	result, ok := m.known[string(constraint)]
	if !ok {
		result.ranks, result.err = m.meet(constraint, maxDepth)
		m.known[string(constraint)] = result
	}
	return result.ranks, result.err
}

func (m *matcher) meet(constraint json.RawMessage, depth int) (flux.IDSet, error) {
	if depth == 0 {
		return flux.IDSet{}, fmt.Errorf("constraint: nested more than %d levels deep", maxDepth)
	}
	var operation map[string]json.RawMessage
	if err := json.Unmarshal(constraint, &operation); err != nil {
		return flux.IDSet{}, fmt.Errorf("constraint: %w", err)
	}
	if len(operation) > 1 {
		return flux.IDSet{}, fmt.Errorf("constraint: %d operators instead of one", len(operation))
	}
	for operator, values := range operation {
		return m.apply(operator, values, depth)
	}
	return m.all, nil
}

func (m *matcher) apply(operator string, values json.RawMessage, depth int) (flux.IDSet, error) {
	switch operator {
	case "and", "or", "not":
		var operands []json.RawMessage
		if err := json.Unmarshal(values, &operands); err != nil {
			return flux.IDSet{}, fmt.Errorf("constraint: values of %s: %w", operator, err)
		}
		return m.combine(operator, operands, depth)
	case "properties", "hostlist", "ranks":
	default:
		return flux.IDSet{}, fmt.Errorf("constraint: unknown operator %.40q", operator)
	}
	var texts []string
	if err := json.Unmarshal(values, &texts); err != nil {
		return flux.IDSet{}, fmt.Errorf("constraint: values of %s: %w", operator, err)
	}
	out := flux.IDSet{}
	if operator == "properties" {
		out = m.all // all properties must match; one of the others
	}
	for _, text := range texts {
		switch operator {
		case "properties":
			out = out.Intersect(m.having(text))
		case "hostlist":
			hosts, err := m.parseHosts(text)
			if err != nil {
				return flux.IDSet{}, err
			}
			out = out.Union(m.named(hosts...))
		case "ranks":
			ranks, err := flux.ParseIDSet(text)
			if err != nil {
				return flux.IDSet{}, fmt.Errorf("constraint: ranks: %w", err)
			}
			out = out.Union(ranks.Intersect(m.all))
		}
	}
	return out, nil
}

// parseHosts parses a host list, unless there were too many names before. A list that cannot be parsed may have cost as
// much as one with the maximum of names.
func (m *matcher) parseHosts(text string) ([]string, error) {
	if m.names > flux.MaxNodes {
		return nil, fmt.Errorf("constraint: more than %d host names", flux.MaxNodes)
	}
	hosts, err := flux.ParseHosts(text)
	if err != nil {
		m.names += flux.MaxNodes / errorShare
		return nil, fmt.Errorf("constraint: %w", err)
	}
	if m.names += len(hosts); m.names > flux.MaxNodes {
		return nil, fmt.Errorf("constraint: more than %d host names", flux.MaxNodes)
	}
	return hosts, nil
}

// errorShare is how many host lists with errors are read.
const errorShare = 4

// combine computes and, or, and the negation of and. All ranks match an operator without operands, except for not.
func (m *matcher) combine(operator string, operands []json.RawMessage, depth int) (flux.IDSet, error) {
	both, either := m.all, flux.IDSet{}
	for _, operand := range operands {
		ranks, err := m.meet(operand, depth-1)
		if err != nil {
			return flux.IDSet{}, err
		}
		both, either = both.Intersect(ranks), either.Union(ranks)
	}
	switch {
	case operator == "not":
		return m.all.Without(both), nil
	case operator == "or" && len(operands) > 0:
		return either, nil
	}
	return both, nil
}

// having returns the ranks with a property, or without it if it starts with ^. The name of a host is a property of
// it.
func (m *matcher) having(property string) flux.IDSet {
	name, negated := strings.CutPrefix(property, "^")
	ranks, ok := m.resources.Properties[name]
	if ranks = ranks.Intersect(m.all); !ok {
		ranks = m.named(name)
	}
	if negated {
		return m.all.Without(ranks)
	}
	return ranks
}

// named returns the ranks of hosts.
func (m *matcher) named(hosts ...string) flux.IDSet {
	if m.hosts == nil {
		m.hosts = map[string]uint32{}
		var names []string
		for _, piece := range m.resources.Hosts {
			more, err := flux.ParseHosts(piece)
			if err != nil || len(names)+len(more) > len(m.resources.Nodes) {
				break // not a list of these ranks
			}
			names = append(names, more...)
		}
		for i, name := range names {
			m.hosts[name] = m.resources.Nodes[i].Rank
		}
	}
	var ranks []uint32
	for _, host := range hosts {
		if rank, ok := m.hosts[host]; ok {
			ranks = append(ranks, rank)
		}
	}
	return flux.IDs(ranks...)
}
