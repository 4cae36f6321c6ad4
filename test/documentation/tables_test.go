package documentation_test

import (
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	controllerapp "minicluster.internal/operator/pkg/controller/app"
	metricsapp "minicluster.internal/operator/pkg/metrics/app"
)

// rows returns the cells of the table rows in a section of a page.
func rows(t *testing.T, name, heading string) [][]string {
	t.Helper()
	var all [][]string
	inside := false
	for line := range strings.Lines(read(t, name)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
			inside = line == heading
		case inside && strings.HasPrefix(line, "|"):
			cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			all = append(all, cells)
		}
	}
	require.NotEmpty(t, all, "%s has no table below %s", name, heading)
	return all
}

// column returns the names in one column of the tables in a section, from 0.
func column(t *testing.T, name, heading string, number int) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, cells := range rows(t, name, heading) {
		if number < len(cells) {
			maps.Copy(found, set("`([^`]+)`", cells[number]))
		}
	}
	return found
}

// same compares the names in a table with those in the code.
func same(t *testing.T, what, name string, documented, code map[string]bool) {
	t.Helper()
	assert.NotEmpty(t, documented, "%s: no table of %ss", name, what)
	for _, one := range slices.Sorted(maps.Keys(documented)) {
		assert.True(t, code[one], "%s: %s %s does not exist", name, what, one)
	}
	for _, one := range slices.Sorted(maps.Keys(code)) {
		assert.True(t, documented[one], "%s: %s %s is not documented", name, what, one)
	}
}

// source returns the Go files below a folder without their tests, as one text.
func source(t *testing.T, folder string) string {
	t.Helper()
	var text strings.Builder
	for _, name := range listed(t, folder+"/*.go") {
		if !strings.HasSuffix(name, "_test.go") {
			text.WriteString(read(t, name))
		}
	}
	return text.String()
}

// constants returns the values of the API's constants with a prefix that the controller uses.
func constants(t *testing.T, prefix string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	controller := source(t, "pkg/controller")
	declared := regexp.MustCompile(`(?m)^\s*(` + prefix + `\w+) += "(\w+)"`)
	for _, match := range declared.FindAllStringSubmatch(read(t, "pkg/apis/fluxframework/v1alpha2/conditions.go"), -1) {
		if regexp.MustCompile(`\b` + match[1] + `\b`).MatchString(controller) {
			found[match[2]] = true
		}
	}
	return found
}

// TestConditions compares the table of conditions and reasons with the constants.
func TestConditions(t *testing.T) {
	t.Parallel()
	same(t, "condition", concepts, column(t, concepts, "## Conditions", 0), constants(t, "Condition"))
	same(t, "reason", concepts, column(t, concepts, "## Conditions", 2), constants(t, "Reason"))
}

// TestEvents compares the table of events with the reasons that are written where events are sent. Other events have
// the reason of a condition.
func TestEvents(t *testing.T) {
	t.Parallel()
	documented := column(t, concepts, "## Events", 0)
	code := set(`EventType(?:Normal|Warning), "(\w+)"`, source(t, "pkg/controller"))
	maps.Copy(code, set(`(?m)^\s*Reason\w+ += "(\w+)"`, source(t, "pkg/controller/drain")))
	require.NotEmpty(t, code)
	for reason := range constants(t, "Reason") {
		if documented[reason] {
			code[reason] = true
		}
	}
	same(t, "event", concepts, documented, code)
}

// flagUsage matches a line of --help.
var flagUsage = regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)(?:.*\(default "?\[?([^\]")]+)\]?"?\))?`)

// flags returns the flags of a command, each with the default that --help prints for it.
func flags(command *cobra.Command) map[string]string {
	found := map[string]string{}
	command.InitDefaultVersionFlag()
	for _, match := range flagUsage.FindAllStringSubmatch(command.Flags().FlagUsages(), -1) {
		if match[1] != "help" {
			found["--"+match[1]] = match[2]
		}
	}
	return found
}

// documentedDefaults returns the defaults in a table of flags. A row of several flags has as many defaults.
func documentedDefaults(t *testing.T, name string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, cells := range rows(t, name, "## Flags") {
		names, values := strings.Split(cells[0], ", "), strings.Split(cells[1], ", ")
		if len(names) == 1 {
			values = []string{cells[1]}
		}
		for i, flag := range names {
			if len(names) == len(values) {
				found[strings.Trim(flag, "`")] = strings.Trim(values[i], "`")
			}
		}
	}
	return found
}

// TestFlagTables compares the tables of flags and their defaults with the programs. The table of the metrics API server
// may leave out flags that the controller has too.
func TestFlagTables(t *testing.T) {
	t.Parallel()
	controller, metrics := flags(controllerapp.NewCommand()), flags(metricsapp.NewCommand())
	for _, c := range []struct {
		page   string
		flags  map[string]string
		shared map[string]string
	}{{operations, controller, nil}, {metricsAPI, metrics, controller}} {
		documented, defaults := column(t, c.page, "## Flags", 0), documentedDefaults(t, c.page)
		code := map[string]bool{}
		for flag, value := range c.flags {
			_, shared := c.shared[flag]
			if shared && !documented[flag] {
				continue
			}
			code[flag] = true
			if written, ok := defaults[flag]; ok && value != "" && !shared {
				assert.Equal(t, value, written, "%s: the default of %s", c.page, flag)
			}
		}
		for flag := range documented {
			if strings.HasPrefix(flag, "--") {
				continue
			}
			delete(documented, flag)
		}
		same(t, "flag", c.page, documented, code)
	}
}

// documentedRights returns "verb resource" for each right in a table. Remarks about names and namespaces are left out;
// a row without a resource continues the row above it.
func documentedRights(t *testing.T, name, heading string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	resources := ""
	for _, cells := range rows(t, name, heading) {
		if cells[0] == "resource" || strings.HasPrefix(cells[0], "---") {
			continue
		}
		if cells[0] != "" {
			resources = regexp.MustCompile("`| *\\([^)]*\\)| in .*").ReplaceAllString(cells[0], "")
		}
		verbs := regexp.MustCompile(` of [^,;]*`).ReplaceAllString(cells[1], "")
		for _, resource := range strings.Split(resources, ",") {
			for _, verb := range regexp.MustCompile(`[,;]`).Split(verbs, -1) {
				if verb = strings.TrimSpace(verb); verb != "" {
					found[verb+" "+strings.TrimSpace(resource)] = true
				}
			}
		}
	}
	return found
}

// rights returns "verb resource" for each right in manifests of roles.
func rights(t *testing.T, names ...string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, name := range names {
		for _, document := range strings.Split(read(t, name), "\n---\n") {
			var role rbacv1.ClusterRole
			require.NoError(t, yaml.Unmarshal([]byte(document), &role), name)
			for _, rule := range role.Rules {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						found[verb+" "+resource] = true
					}
				}
			}
		}
	}
	return found
}

// TestRights compares the tables of rights with the roles in the manifests.
func TestRights(t *testing.T) {
	t.Parallel()
	same(t, "right", operations, documentedRights(t, operations, "## Rights"),
		rights(t, "manifests/rbac/controller-role.yaml", "manifests/persistent-volumes/role.yaml", "manifests/nodes/role.yaml"))
	same(t, "right", metricsAPI, documentedRights(t, metricsAPI, "## Rights of the metrics API server"),
		rights(t, "manifests/metrics/rbac/role.yaml"))
}

// registered returns the project's metrics that the packages below a folder register: the full name, or the program's
// part of it as the namespace.
func registered(t *testing.T, folder string) map[string]bool {
	t.Helper()
	text := strings.Join(strings.Fields(source(t, folder)), " ")
	found := set(`(?:NewDesc|desc)\( ?"(minicluster_[a-z_]+)"`, text)
	for _, match := range regexp.MustCompile(`Namespace: "(minicluster[a-z_]*)", Name: "([a-z_]+)"`).FindAllStringSubmatch(text, -1) {
		found[match[1]+"_"+match[2]] = true
	}
	return found
}

// ownMetrics returns the names in a table that are metrics of the project.
func ownMetrics(names map[string]bool) map[string]bool {
	own := maps.Clone(names)
	maps.DeleteFunc(own, func(name string, _ bool) bool { return !strings.HasPrefix(name, "minicluster_") })
	return own
}

// TestMetricTables compares the tables of metrics with what the programs register. Metrics of libraries are found in
// the source of the libraries.
func TestMetricTables(t *testing.T) {
	t.Parallel()
	named := column(t, operations, "## Metrics", 0)
	same(t, "metric", operations, ownMetrics(named), registered(t, "pkg/controller"))

	ofMetrics := column(t, metricsAPI, "## Metrics of the server", 0)
	maps.Copy(ofMetrics, column(t, opportunistic, "## Metrics", 0))
	same(t, "metric", metricsAPI+" and "+opportunistic, ownMetrics(ofMetrics), registered(t, "pkg/metrics"))

	flux := column(t, operations, "## Health and metrics of Flux", 0)
	maps.DeleteFunc(flux, func(name string, _ bool) bool { return strings.HasPrefix(name, "/") })
	same(t, "metric of Flux", operations, flux, set(`(?m)^# TYPE ([a-z_]+) `, read(t, "pkg/agent/serve/testdata/metrics.txt")))

	libraries := librarySource(t)
	for name := range named {
		if strings.HasPrefix(name, "minicluster_") {
			continue
		}
		// The source of a library contains the last part of the name as a literal.
		short := regexp.MustCompile(`^(workqueue|rest_client|kubernetes)_`).ReplaceAllString(name, "")
		assert.True(t, strings.Contains(libraries, `"`+name+`"`) || strings.Contains(libraries, `"`+short+`"`),
			"%s: metric %s does not exist", operations, name)
	}
}

// librarySource returns the source of the packages that register metrics of libraries.
func librarySource(t *testing.T) string {
	t.Helper()
	const base = "k8s.io/component-base/metrics/prometheus/"
	command := exec.CommandContext(t.Context(), "go", "list", "-f", "{{range .GoFiles}}{{$.Dir}}/{{.}}\n{{end}}",
		base+"workqueue", base+"restclient", base+"version", base+"clientgo/leaderelection", "github.com/prometheus/client_golang/prometheus")
	command.Dir = root
	out, err := command.Output()
	require.NoError(t, err)
	var text strings.Builder
	for _, file := range strings.Fields(string(out)) {
		text.WriteString(readFile(t, file))
	}
	return text.String()
}

// TestTargetTable compares the table of make targets with the Makefile.
func TestTargetTable(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for name := range column(t, contributing, "## Targets", 0) {
		if target, ok := strings.CutPrefix(name, "make "); ok {
			documented[target] = true
		}
	}
	code := set(`(?m)^([a-z0-9-]+):.*## `, read(t, "Makefile"))
	delete(code, "help")
	same(t, "make target", contributing, documented, code)
}

// TestAlertTable compares the table of alerts with the rules.
func TestAlertTable(t *testing.T) {
	t.Parallel()
	same(t, "alert", operations, column(t, operations, "### Alerts", 0),
		set(`(?m)^ +- alert: (\w+)`, read(t, "manifests/monitoring/rules.yaml")))
}
