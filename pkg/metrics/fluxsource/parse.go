package fluxsource

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// errBrokerSilent is returned if the agent responds and its broker does not.
var errBrokerSilent = errors.New("its lead broker does not respond")

// Metrics of an agent that do not become metrics of the API.
const (
	familyUp      = "flux_up"
	familyUpdated = "flux_last_update_timestamp_seconds"
)

// familyApplication has the metrics that the application has set, by name. Their number and their values are limited
// here too, because the image of the pod belongs to a user.
const (
	familyApplication   = "flux_application_metric"
	maxApplication      = 16
	maxApplicationValue = 1e9
)

// numbers are the values of an agent.
type numbers struct {
	// values are those of the metrics of the table, NaN if the agent does not provide one.
	values []float64
	// application has the metrics of the application, nil for none.
	application map[string]float64
	// at is the time at which they were collected.
	at time.Time
}

// parser extracts values from the metrics that an agent serves in the text format of Prometheus. It supports only what
// agents use: metrics without labels or with one label, and no timestamps. A general parser takes ten times as long,
// which would be most of the CPU time of this process.
type parser struct {
	size int
	// index maps a family to the indexes of its values by the value of the label, "" for none.
	index map[string]map[string]int
}

func newParser(metrics []metric) *parser {
	p := &parser{size: len(metrics), index: map[string]map[string]int{}}
	for i, m := range metrics {
		if p.index[m.family] == nil {
			p.index[m.family] = map[string]int{}
		}
		p.index[m.family][m.state] = i
	}
	return p
}

// parse returns the values of all metrics in their order.
func (p *parser) parse(text []byte) (numbers, error) {
	out := numbers{values: make([]float64, p.size)}
	for i := range out.values {
		out.values[i] = math.NaN() // the agent may have another version
	}
	up, number := math.NaN(), 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		family, label, value, err := parseLine(line)
		if err != nil {
			return numbers{}, fmt.Errorf("parsing the metrics of its agent: line %d: %w", number, err)
		}
		switch {
		case string(family) == familyUp && len(label) == 0:
			up = value
		case string(family) == familyUpdated && len(label) == 0:
			out.at = time.UnixMilli(int64(value * 1000))
		case string(family) == familyApplication:
			out.addApplication(string(label), value)
		default:
			if i, known := p.index[string(family)][string(label)]; known {
				out.values[i] = value
			}
		}
	}
	switch {
	case math.IsNaN(up):
		return numbers{}, errors.New("the response is not from an agent of a lead broker: metric flux_up is missing")
	case up != 1:
		return numbers{}, errBrokerSilent
	}
	return out, nil
}

func (n *numbers) addApplication(name string, value float64) {
	if !(value >= 0 && value <= maxApplicationValue) || len(n.application) == maxApplication { // also true for NaN
		return
	}
	if n.application == nil {
		n.application = map[string]float64{}
	}
	n.application[name] = value
}

// parseLine splits a line into the name of the metric, the value of its label, and its value. Metrics with several
// labels have the label value "," , which no metric of the table has.
func parseLine(line []byte) (family, label []byte, value float64, err error) {
	end := bytes.IndexAny(line, "{ \t")
	if end <= 0 {
		return nil, nil, 0, errors.New("no value")
	}
	family, rest := line[:end], line[end:]
	if rest[0] == '{' {
		closing := bytes.LastIndexByte(rest, '}')
		if closing < 0 {
			return nil, nil, 0, errors.New("unterminated labels")
		}
		label, rest = labelValue(rest[1:closing]), rest[closing+1:]
	}
	value, err = strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("invalid value: %w", err)
	}
	return family, label, value, nil
}

// labelValue returns the value of the only label.
func labelValue(labels []byte) []byte {
	labels = bytes.TrimSuffix(bytes.TrimSpace(labels), []byte(","))
	if len(labels) == 0 {
		return nil
	}
	_, quoted, _ := bytes.Cut(labels, []byte("="))
	quoted = bytes.TrimSpace(quoted)
	if len(quoted) < 2 || quoted[0] != '"' || bytes.IndexByte(quoted[1:], '"') != len(quoted)-2 {
		return []byte(",")
	}
	return quoted[1 : len(quoted)-1]
}
