package documentation_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/versions/results"
)

// TestVersionsTable compares the table of the tested releases of Kubernetes in the README with the record of the runs.
func TestVersionsTable(t *testing.T) {
	t.Parallel()
	record, err := results.Load(root + "/" + results.File)
	require.NoError(t, err)
	assert.Contains(t, read(t, "README.md"), record.Table(), "run make versions, which writes both")
}

// firstMatch returns the first group of an expression in a file.
func firstMatch(t *testing.T, file, expression string) string {
	t.Helper()
	found := regexp.MustCompile(expression).FindStringSubmatch(read(t, file))
	require.NotNil(t, found, "%s has nothing that matches %s", file, expression)
	return found[1]
}

// minor returns the first two numbers of a version, without its v.
func minor(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// TestVersionsAgree checks that files name the same versions of Kubernetes, Flux, Go, containerd and the product. The
// first place of each group is where the version comes from.
func TestVersionsAgree(t *testing.T) {
	t.Parallel()
	releases := results.Releases()
	newest := releases[len(releases)-1]
	untested, err := strconv.Atoi(strings.TrimPrefix(minor(releases[0]), "1."))
	require.NoError(t, err)
	untested--
	kubernetes := firstMatch(t, "test/kube/go.mod", `k8s\.io/kubernetes (v\S+)`)
	containerd := firstMatch(t, "test/kube/go.mod", `containerd/containerd/v2 (v\S+)`)
	golang := minor(firstMatch(t, "go.mod", `(?m)^go (\S+)`))
	chart := firstMatch(t, "charts/minicluster/Chart.yaml", `(?m)^version: (\S+)`)
	since := minor(firstMatch(t, "charts/minicluster/Chart.yaml", `kubeVersion: ">=([^"]+)"`))
	flux := regexp.MustCompile(`(?m)^\| (0\.\d+)\.\d+ \|`).FindAllStringSubmatch(read(t, "README.md"), -1)
	require.NotEmpty(t, flux, "the table of versions of Flux in README.md")
	fluxRange := flux[len(flux)-1][1] + " to " + flux[0][1]

	var matrix []string
	for _, release := range releases {
		matrix = append(matrix, `"`+minor(release)+`"`)
	}
	assert.Equal(t, kubernetes, newest, "the newest tested release is that of test/kube")
	for file, texts := range map[string][]string{
		"README.md": {
			"Go " + golang, "Kubernetes " + since + " or later accepts", "for Flux " + fluxRange,
			"Kubernetes 1.27 to 1." + strconv.Itoa(untested) + " are not tested",
		},
		".github/workflows/versions.yml": {"kubernetes: [" + strings.Join(matrix, ", ") + "]"},
		"docs/operations.md": {
			"Tested: Kubernetes " + kubernetes[1:], "kubelet " + kubernetes[1:], "containerd " + minor(containerd),
			"| " + since + " and later |", "| Flux | " + fluxRange + ";",
		},
		"docs/agent.md":                   {"works with " + flux[len(flux)-1][1] + " (2023) to " + flux[0][1]},
		"docs/design.md":                  {"every Flux from " + fluxRange},
		"docs/development.md":             {"flux-core " + fluxRange},
		"docs/install.md":                 {"Go " + golang},
		"pkg/agent/prepare/doc.go":        {"Flux " + fluxRange},
		"pkg/agent/prepare/version.go":    {flux[len(flux)-1][1] + " or later is needed"},
		"charts/minicluster/Chart.yaml":   {"appVersion: v" + chart},
		"docs/releases/v" + chart + ".md": {"# MiniCluster operator v" + chart, "minicluster-" + chart + ".tgz", "Kubernetes " + minor(newest)},
	} {
		for _, text := range texts {
			assert.Contains(t, strings.Join(strings.Fields(read(t, file)), " "), strings.Join(strings.Fields(text), " "), file)
		}
	}
}

// TestReleasedVersions checks that the changelog has a section for unreleased changes or for the version of the chart,
// and that the security policy names the supported versions as soon as a version has been released.
func TestReleasedVersions(t *testing.T) {
	t.Parallel()
	changelog := read(t, "CHANGELOG.md")
	released := regexp.MustCompile(`(?m)^## \[(\d\S*)\] - \d{4}-\d{2}-\d{2}$`).FindStringSubmatch(changelog)
	chart := firstMatch(t, "charts/minicluster/Chart.yaml", `(?m)^version: (\S+)`)
	if released == nil {
		assert.Contains(t, changelog, "\n## [Unreleased]\n")
		return
	}
	assert.Equal(t, released[1], chart, "the version of the chart is the last one of CHANGELOG.md")
	assert.NotContains(t, read(t, "SECURITY.md"), "No version has been released")
}
