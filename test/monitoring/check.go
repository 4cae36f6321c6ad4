package monitoring

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"minicluster.internal/operator/test/framework/shippedqueries"
)

// checker validates queries against the documented metrics and their labels.
type checker struct {
	metrics map[string]shippedqueries.Metric
}

// newChecker returns a checker for the documented metrics. Metrics of recording rules are added with learn.
func newChecker(metrics map[string]shippedqueries.Metric) *checker {
	c := &checker{metrics: maps.Clone(metrics)}
	// A metric of Prometheus itself.
	c.metrics["up"] = shippedqueries.Metric{Type: "gauge"}
	// A metric of the API server of Kubernetes.
	c.metrics["aggregator_unavailable_apiservice"] = shippedqueries.Metric{Type: "gauge", Labels: []string{"name"}}
	return c
}

// learn adds the metric of a recording rule, with the labels of its result.
func (c *checker) learn(rule shippedqueries.Query) error {
	expression, err := parse(rule)
	if err != nil {
		return err
	}
	_, known := c.labelsOf(expression)
	c.metrics[rule.Record] = shippedqueries.Metric{Type: "gauge", Labels: known}
	return nil
}

func parse(q shippedqueries.Query) (parser.Expr, error) {
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(q.Expand(".*", ".*", "1m"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", q.Where, err)
	}
	return expression, nil
}

// scrapeLabels returns the labels that scraping adds to every metric; agentLabel is added to metrics of Flux.
func scrapeLabels() []string { return []string{"job", "instance", "namespace", "pod"} }

const agentLabel = "minicluster"

// find returns a metric by the name of one of its series, such as NAME_bucket of a histogram.
func (c *checker) find(series string) (shippedqueries.Metric, error) {
	if metric, known := c.metrics[series]; known {
		if metric.Type == "histogram" {
			return metric, fmt.Errorf("%s is a histogram: it has only _bucket, _sum and _count", series)
		}
		return c.scraped(series, metric), nil
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		base, cut := strings.CutSuffix(series, suffix)
		metric, known := c.metrics[base]
		if !cut || !known || metric.Type != "histogram" {
			continue
		}
		metric.Labels = slices.Clone(metric.Labels)
		if suffix == "_bucket" {
			metric.Labels = append(metric.Labels, "le")
		}
		return c.scraped(series, metric), nil
	}
	return shippedqueries.Metric{}, fmt.Errorf("metric %s does not exist", series)
}

func (c *checker) scraped(series string, metric shippedqueries.Metric) shippedqueries.Metric {
	if strings.Contains(series, ":") {
		return metric // recorded, not scraped
	}
	metric.Labels = append(slices.Clone(metric.Labels), scrapeLabels()...)
	if strings.HasPrefix(series, "flux_") || series == "up" {
		metric.Labels = append(metric.Labels, agentLabel)
	}
	return metric
}

// labelsOf returns the labels that the result of an expression can have, as far as aggregations determine them, and the
// problems with the metrics in it.
func (c *checker) labelsOf(expression parser.Expr) (problems []error, known []string) {
	switch e := expression.(type) {
	case *parser.VectorSelector:
		metric, err := c.find(e.Name)
		if err != nil {
			return []error{err}, nil
		}
		for _, m := range e.LabelMatchers {
			if m.Name != model.MetricNameLabel && !slices.Contains(metric.Labels, m.Name) {
				problems = append(problems, fmt.Errorf("%s has no label %s", e.Name, m.Name))
			}
		}
		return problems, metric.Labels
	case *parser.AggregateExpr:
		problems, known = c.labelsOf(e.Expr)
		problems = append(problems, missing(e.Grouping, known)...)
		if e.Without {
			return problems, slices.DeleteFunc(slices.Clone(known), func(l string) bool { return slices.Contains(e.Grouping, l) })
		}
		return problems, e.Grouping
	case *parser.BinaryExpr:
		left, ofLeft := c.labelsOf(e.LHS)
		right, ofRight := c.labelsOf(e.RHS)
		problems, known = slices.Concat(left, right), slices.Concat(ofLeft, ofRight)
		if e.VectorMatching != nil {
			problems = append(problems, missing(e.VectorMatching.MatchingLabels, known)...)
			problems = append(problems, missing(e.VectorMatching.Include, ofRight)...)
		}
		return problems, known
	case *parser.Call:
		return c.ofCall(e)
	}
	for child := range parser.ChildrenIter(expression) {
		if child, ok := child.(parser.Expr); ok {
			wrong, labels := c.labelsOf(child)
			problems, known = append(problems, wrong...), append(known, labels...)
		}
	}
	return problems, known
}

// ofCall also checks that functions are applied to metrics of a suitable type.
func (c *checker) ofCall(e *parser.Call) (problems []error, known []string) {
	for _, argument := range e.Args {
		wrong, labels := c.labelsOf(argument)
		problems, known = append(problems, wrong...), append(known, labels...)
		matrix, ok := argument.(*parser.MatrixSelector)
		if !ok {
			continue
		}
		selector, ok := matrix.VectorSelector.(*parser.VectorSelector)
		if !ok {
			continue
		}
		metric, err := c.find(selector.Name)
		counts := slices.Contains([]string{"rate", "irate", "increase"}, e.Func.Name)
		if err == nil && counts != (metric.Type != "gauge") {
			problems = append(problems, fmt.Errorf("%s of the %s %s", e.Func.Name, metric.Type, selector.Name))
		}
	}
	if e.Func.Name == "histogram_quantile" {
		if !slices.Contains(known, "le") {
			problems = append(problems, errors.New("histogram_quantile without the label le"))
		}
		known = slices.DeleteFunc(slices.Clone(known), func(l string) bool { return l == "le" })
	}
	return problems, known
}

func missing(wanted, known []string) []error {
	var problems []error
	for _, label := range wanted {
		if !slices.Contains(known, label) {
			problems = append(problems, fmt.Errorf("label %s does not exist", label))
		}
	}
	return problems
}

var inLegend = regexp.MustCompile(`\{\{\s*([a-zA-Z_]+)\s*\}\}`)

// check returns an error if a query cannot be parsed, uses a metric or a label that does not exist, or applies a
// function to a metric of the wrong type.
func (c *checker) check(q shippedqueries.Query) error {
	expression, err := parse(q)
	if err != nil {
		return err
	}
	problems, known := c.labelsOf(expression)
	for _, match := range inLegend.FindAllStringSubmatch(q.Legend, -1) {
		problems = append(problems, missing(match[1:], known)...)
	}
	for i, problem := range problems {
		problems[i] = fmt.Errorf("%s: %s: %w", q.Where, q.Text, problem)
	}
	return errors.Join(problems...)
}
