package shippedqueries

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// Files of the dashboard and of the rules, from the root of the repository.
const (
	DashboardFile = "manifests/monitoring/dashboard.json"
	RulesFile     = "manifests/monitoring/rules.yaml"
)

// Query is a PromQL expression in the manifests.
type Query struct {
	// Where names the panel, variable or rule, for messages.
	Where string
	// Text is the expression as written. Expressions of a dashboard contain variables, see Expand.
	Text string
	// Legend is the legend of the result in a dashboard, with labels in {{}}.
	Legend string
	// Record and Alert are the name of the rule, if it is one.
	Record, Alert string
}

// rateInterval is the value of $__rate_interval: Grafana uses at least four times the scrape interval.
const rateInterval = "$__rate_interval"

// Expand replaces the variables of a dashboard: a regular expression for namespaces and one for names of
// MiniClusters, and a duration for rates.
func (q Query) Expand(namespace, miniCluster, interval string) string {
	return strings.NewReplacer("$namespace", namespace, "$minicluster", miniCluster, rateInterval, interval).Replace(q.Text)
}

// dashboard is the part of Grafana's format that is needed.
type dashboard struct {
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name  string          `json:"name"`
			Type  string          `json:"type"`
			Query json.RawMessage `json:"query"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	Title   string `json:"title"`
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	} `json:"targets"`
	// Panels are those of a collapsed row.
	Panels []panel `json:"panels"`
}

// DashboardQueries reads the queries of all panels and of the variables of a dashboard.
func DashboardQueries(text []byte) ([]Query, error) {
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("reading the dashboard: %w", err)
	}
	queries := panelQueries(d.Panels)
	for _, variable := range d.Templating.List {
		if variable.Type != "query" {
			continue
		}
		var query struct {
			Query string `json:"query"`
		}
		if err := json.Unmarshal(variable.Query, &query); err != nil {
			return nil, fmt.Errorf("reading variable %s of the dashboard: %w", variable.Name, err)
		}
		expression, err := labelValues(query.Query)
		if err != nil {
			return nil, fmt.Errorf("variable %s of the dashboard: %w", variable.Name, err)
		}
		queries = append(queries, Query{Where: "variable " + variable.Name, Text: expression})
	}
	return queries, nil
}

func panelQueries(panels []panel) []Query {
	var queries []Query
	for _, p := range panels {
		for _, target := range p.Targets {
			queries = append(queries, Query{Where: "panel " + p.Title, Text: target.Expr, Legend: target.LegendFormat})
		}
		queries = append(queries, panelQueries(p.Panels)...)
	}
	return queries
}

var ofLabel = regexp.MustCompile(`^label_values\((.+), ([a-z_]+)\)$`)

// labelValues converts a function of Grafana to PromQL.
func labelValues(query string) (string, error) {
	match := ofLabel.FindStringSubmatch(query)
	if match == nil {
		return "", fmt.Errorf("%q is not label_values(SELECTOR, LABEL)", query)
	}
	return fmt.Sprintf("count by (%s) (%s)", match[2], match[1]), nil
}

// RuleQueries reads the expressions of a PrometheusRule.
func RuleQueries(text []byte) ([]Query, error) {
	var rules struct {
		Spec struct {
			Groups []struct {
				Name  string `json:"name"`
				Rules []struct {
					Record string `json:"record"`
					Alert  string `json:"alert"`
					Expr   string `json:"expr"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		return nil, fmt.Errorf("reading the rules: %w", err)
	}
	var queries []Query
	for _, group := range rules.Spec.Groups {
		for _, rule := range group.Rules {
			queries = append(queries, Query{
				Where: "rule " + rule.Record + rule.Alert, Text: rule.Expr, Record: rule.Record, Alert: rule.Alert,
			})
		}
	}
	return queries, nil
}

// Queries reads all queries in the manifests below the root of the repository.
func Queries(root string) ([]Query, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(DashboardFile)))
	if err != nil {
		return nil, fmt.Errorf("reading the dashboard: %w", err)
	}
	queries, err := DashboardQueries(text)
	if err != nil {
		return nil, err
	}
	if text, err = os.ReadFile(filepath.Join(root, filepath.FromSlash(RulesFile))); err != nil {
		return nil, fmt.Errorf("reading the rules: %w", err)
	}
	rules, err := RuleQueries(text)
	return append(queries, rules...), err
}

// RuleGroups returns the rules of a PrometheusRule as a file for Prometheus.
func RuleGroups(text []byte) ([]byte, error) {
	var rules struct {
		Spec json.RawMessage `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		return nil, fmt.Errorf("reading the rules: %w", err)
	}
	groups, err := yaml.JSONToYAML(rules.Spec)
	if err != nil {
		return nil, fmt.Errorf("writing the rules: %w", err)
	}
	return groups, nil
}
