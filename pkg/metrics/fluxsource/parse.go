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

// errBrokerSilent is returned if the agent responds and its broker does not.
var errBrokerSilent = errors.New("its lead broker does not respond")

// parse reads the metrics that an agent serves. It returns the values of the table, in its order, and
// the time at which they were collected.
func parse(r io.Reader, metrics []metric) (values []float64, at time.Time, err error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("parsing the metrics of its agent: %w", err)
	}
	up, ok := number(families["flux_up"], "")
	if !ok {
		return nil, time.Time{}, errors.New("the response is not from an agent of a lead broker: metric flux_up is missing")
	}
	if up != 1 {
		return nil, time.Time{}, errBrokerSilent
	}
	values = make([]float64, len(metrics))
	for i, m := range metrics {
		if values[i], ok = number(families[m.family], m.state); !ok {
			// The agent has another version.
			values[i] = math.NaN()
		}
	}
	if seconds, ok := number(families["flux_last_update_timestamp_seconds"], ""); ok {
		at = time.UnixMilli(int64(seconds * 1000))
	}
	return values, at, nil
}

// number returns the value of the metric in a family that has no labels, or one label with a value.
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
