package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"minicluster.internal/operator/pkg/fluxconfig"
)

// node are the resources of a rank: the ids of its cores and GPUs.
type node struct {
	host        string
	cores, gpus []int
}

// resourceSet is an R (RFC 20): what ranks there are, and what they have.
type resourceSet map[int]node

type jsonR struct {
	Version   int        `json:"version"`
	Execution jsonRLites `json:"execution"`
}

type jsonRLites struct {
	Lites      []jsonRLite `json:"R_lite"`
	StartTime  float64     `json:"starttime"`
	Expiration float64     `json:"expiration"`
	Nodelist   []string    `json:"nodelist"`
}

type jsonRLite struct {
	Rank     string            `json:"rank"`
	Children map[string]string `json:"children"`
}

func parseR(text []byte) (resourceSet, error) {
	var r jsonR
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("resource: R: %w", err)
	}
	return r.decode()
}

func (r jsonR) decode() (resourceSet, error) {
	if r.Version != 1 {
		return nil, fmt.Errorf("resource: R: invalid version %d", r.Version)
	}
	set := resourceSet{}
	for _, lite := range r.Execution.Lites {
		ranks, err1 := parseIDs(lite.Rank)
		cores, err2 := parseIDs(lite.Children["core"])
		gpus, err3 := parseIDs(lite.Children["gpu"])
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("resource: R: %w", err)
		}
		for _, rank := range ranks {
			set[rank] = node{cores: cores, gpus: gpus}
		}
	}
	hosts, err := fluxconfig.ParseHostlist(strings.Join(r.Execution.Nodelist, ","))
	if err != nil {
		return nil, fmt.Errorf("resource: R: nodelist: %w", err)
	}
	if hosts.Count() != len(set) {
		return nil, fmt.Errorf("resource: R: %d ranks and %d hosts", len(set), hosts.Count())
	}
	ranks := set.ranks()
	for i, name := range hosts.All() {
		n := set[ranks[i]]
		n.host = name
		set[ranks[i]] = n
	}
	return set, nil
}

func (s resourceSet) ranks() []int { return slices.Sorted(maps.Keys(s)) }

func (s resourceSet) cores() (n int) {
	for _, node := range s {
		n += len(node.cores)
	}
	return n
}

func (s resourceSet) gpus() (n int) {
	for _, node := range s {
		n += len(node.gpus)
	}
	return n
}

func (s resourceSet) only(keep func(rank int) bool) resourceSet {
	part := resourceSet{}
	for rank, n := range s {
		if keep(rank) {
			part[rank] = n
		}
	}
	return part
}

// hostlist is the hosts of the set in the order of ranks.
func (s resourceSet) hostlist() string {
	var names []string
	for _, rank := range s.ranks() {
		names = append(names, s[rank].host)
	}
	list, err := fluxconfig.ParseHostlist(strings.Join(names, ","))
	if err != nil {
		return strings.Join(names, ",")
	}
	return list.String()
}

// encode writes R, ranks with equal resources together.
func (s resourceSet) encode() jsonR {
	r := jsonR{Version: 1, Execution: jsonRLites{Lites: []jsonRLite{}, Nodelist: []string{}}}
	if len(s) == 0 {
		return r
	}
	alike := map[string][]int{}
	for _, rank := range s.ranks() {
		key := formatIDs(s[rank].cores) + ";" + formatIDs(s[rank].gpus)
		alike[key] = append(alike[key], rank)
	}
	for _, key := range slices.Sorted(maps.Keys(alike)) {
		cores, gpus, _ := strings.Cut(key, ";")
		lite := jsonRLite{Rank: formatIDs(alike[key]), Children: map[string]string{"core": cores}}
		if gpus != "" {
			lite.Children["gpu"] = gpus
		}
		r.Execution.Lites = append(r.Execution.Lites, lite)
	}
	slices.SortFunc(r.Execution.Lites, func(a, b jsonRLite) int { return strings.Compare(a.Rank, b.Rank) })
	r.Execution.Nodelist = []string{s.hostlist()}
	return r
}

// localCores are those of this machine that this process may use.
func localCores() []int { return firstIDs(runtime.NumCPU()) }

func firstIDs(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i
	}
	return ids
}

// nestedR is the environment variable by which the instance of a batch job gets
// its resources.
const nestedR = "FAKEFLUX_R"

// loadResources reads R of the instance, as rank 0 does. Without one, every host
// is like this one.
func loadResources(c config) (resourceSet, error) {
	if text := os.Getenv(nestedR); text != "" {
		return parseR([]byte(text))
	}
	if c.resourcePath == "" {
		set := resourceSet{}
		for rank, h := range c.hosts {
			set[rank] = node{host: h.name, cores: localCores()}
		}
		return set, nil
	}
	text, err := os.ReadFile(c.resourcePath)
	if err != nil {
		return nil, fmt.Errorf("resource.path: %w", err)
	}
	set, err := parseR(text)
	if err != nil {
		return nil, err
	}
	if len(c.hosts) > len(set) {
		return nil, fmt.Errorf("resource: Number of hosts (%d) is greater than node count (%d)", len(c.hosts), len(set))
	}
	if len(c.hosts) < len(set) {
		return nil, fmt.Errorf("resource: Number of hosts (%d) is less than node count (%d)", len(c.hosts), len(set))
	}
	byHost := map[string]node{}
	for _, n := range set {
		byHost[n.host] = n
	}
	for rank, h := range c.hosts { // ranks are those of the brokers
		n, ok := byHost[h.name]
		if !ok {
			return nil, fmt.Errorf("resource: Host %s not found in resources", h.name)
		}
		set[rank] = n
	}
	return set, nil
}

// encodeR is flux R encode.
func encodeR(args []string) (int, error) {
	if len(args) == 0 || args[0] != "encode" {
		return 1, errors.New("only encode is known here")
	}
	p, err := parseOptions(args[1:], []option{
		{"local", 'l', noArgument}, {"hosts", 'H', needsArgument}, {"ranks", 'r', needsArgument},
		{"cores", 'c', needsArgument}, {"gpus", 'g', needsArgument}, {"property", 'p', needsArgument},
	}, true)
	if err != nil {
		return 1, err
	}
	hosts, err := fluxconfig.ParseHostlist(p.last("hosts"))
	if err != nil {
		return 1, err
	}
	one := node{}
	cores, err1 := parseIDs(p.last("cores"))
	gpus, err2 := parseIDs(p.last("gpus"))
	ranks, err3 := parseIDs(p.last("ranks"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return 1, err
	}
	one.cores, one.gpus = cores, gpus
	if p.has("local") {
		one.cores = localCores()
	} else if len(cores)+len(gpus) == 0 {
		one.cores = []int{0}
	}
	if hosts.Count() == 0 {
		name, err := os.Hostname()
		if err != nil {
			return 1, err
		}
		if hosts, err = fluxconfig.ParseHostlist(name); err != nil {
			return 1, err
		}
	}
	set := resourceSet{}
	for rank, name := range hosts.All() {
		if len(ranks) > rank {
			rank = ranks[rank]
		}
		one.host = name
		set[rank] = one
	}
	text, err := json.Marshal(set.encode())
	if err != nil {
		return 1, err
	}
	fmt.Println(string(text))
	return 0, nil
}

// now is the time as Flux writes it, in seconds.
func now() float64 { return float64(time.Now().UnixMicro()) / 1e6 }
