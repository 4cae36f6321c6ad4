package fluxsource

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// errBrokerSilent: the agent answers, its broker does not.
var errBrokerSilent = errors.New("its lead broker does not answer")

// parse reads the exposition of an agent: the values of the table, in its order, and
// when they were collected.
func parse(r io.Reader, metrics []metric) (values []float64, at time.Time, err error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("the agent's metrics can't be read: %w", err)
	}
	up, ok := number(families["flux_up"], "")
	if !ok {
		return nil, time.Time{}, errors.New("what answers is no agent of a lead broker: it has no metric flux_up")
	}
	if up != 1 {
		return nil, time.Time{}, errBrokerSilent
	}
	values = make([]float64, len(metrics))
	for i, m := range metrics {
		if values[i], ok = number(families[m.family], m.state); !ok {
			// An agent of another version than ours.
			values[i] = math.NaN()
		}
	}
	if seconds, ok := number(families["flux_last_update_timestamp_seconds"], ""); ok {
		at = time.UnixMilli(int64(seconds * 1000))
	}
	return values, at, nil
}

// number is the value of a family's metric without labels, or with one of that value.
func number(family *dto.MetricFamily, label string) (float64, bool) {
	for _, m := range family.GetMetric() {
		switch labels := m.GetLabel(); {
		case label == "" && len(labels) == 0, label != "" && len(labels) == 1 && labels[0].GetValue() == label:
			if gauge := m.GetGauge(); gauge != nil {
				return gauge.GetValue(), true
			}
			return m.GetUntyped().GetValue(), m.GetUntyped() != nil
		}
	}
	return 0, false
}
