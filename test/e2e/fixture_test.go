package e2e

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/user"
)

const pollInterval = 50 * time.Millisecond

// shared returns the node, which the test uses beside others, and a namespace for the test.
func shared(t *testing.T) (*node.Node, string) {
	t.Helper()
	t.Parallel()
	kube := suite.Node(t)
	return kube, clustertest.Namespace(t, kube.Cluster)
}

// apply applies documents like a user.
func apply(t *testing.T, kube *node.Node, namespace, documents string) {
	t.Helper()
	fixtureIn(t, kube, namespace).Apply(documents)
}

// deleteDocuments deletes applied documents, and waits for their deletion. It may be called after the end of the
// test.
func deleteDocuments(t *testing.T, kube *node.Node, documents string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), readyPatience)
	defer cancel()
	if _, err := kube.KubectlInput(ctx, strings.NewReader(documents), "delete", "--ignore-not-found", "--filename=-"); err != nil {
		t.Errorf("cleaning up: %v", err)
	}
}

// fixtureIn returns a fixture for a namespace with the patience for MiniClusters.
func fixtureIn(t *testing.T, kube *node.Node, namespace string) *user.Fixture {
	t.Helper()
	f := user.FixtureIn(t, kube.Cluster, namespace)
	f.Interval, f.Patience = pollInterval, readyPatience
	f.Report = func() string { return report(t, kube, namespace) }
	return f
}

// eventuallyPods waits until pods, in the order of their indexes, are in the expected state.
func eventuallyPods(t *testing.T, kube *node.Node, namespace, selector string, patience time.Duration, done func([]corev1.Pod) bool) []corev1.Pod {
	t.Helper()
	f := fixtureIn(t, kube, namespace)
	f.Patience = patience
	return f.WaitForPods(selector, done)
}

// report describes a namespace after a failed wait.
func report(t *testing.T, kube *node.Node, namespace string) string {
	t.Helper()
	// The context of the test may have ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
	defer cancel()
	var report strings.Builder
	for _, args := range [][]string{
		{"get", "miniclusters,jobs,pods,services,endpointslices,persistentvolumeclaims", "--output=wide"},
		{"get", "miniclusters", "--output=jsonpath={range .items[*].status.conditions[*]}{.type}={.status} {.reason}: {.message}{\"\\n\"}{end}"},
		{"get", "events", "--sort-by=.lastTimestamp"},
		{"logs", "--selector=app.kubernetes.io/name", "--all-containers", "--prefix", "--tail=30", "--ignore-errors"},
	} {
		output, err := kube.Kubectl(ctx, append(args, "--namespace="+namespace)...)
		fmt.Fprintf(&report, "$ kubectl %s\n%s", strings.Join(args, " "), output)
		if err != nil {
			fmt.Fprintln(&report, err)
		}
	}
	// Tests run concurrently, so the logs of the programs are omitted.
	for _, program := range []string{controllerName, "minicluster-metrics"} {
		log, err := kube.Kubectl(ctx, "logs", "--namespace="+systemNamespace, "--selector=app.kubernetes.io/name="+program, "--tail=-1", "--prefix")
		lines := slices.DeleteFunc(strings.SplitAfter(log, "\n"), func(line string) bool { return !strings.Contains(line, namespace) })
		fmt.Fprintf(&report, "%s of %s:\n%s", program, namespace, strings.Join(lines[max(0, len(lines)-40):], ""))
		if err != nil {
			fmt.Fprintln(&report, err)
		}
	}
	return report.String()
}

// areReady reports whether a number of pods exist and all of them are ready.
func areReady(number int) func([]corev1.Pod) bool {
	return func(pods []corev1.Pod) bool {
		return len(pods) == number && !slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return !isReady(pod) })
	}
}

func isReady(pod corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// execute runs a program in the default container of a pod.
func execute(t *testing.T, kube *node.Node, pod corev1.Pod, command ...string) string {
	t.Helper()
	output, err := kube.Exec(t.Context(), pod.Namespace, pod.Name, "", command...)
	require.NoError(t, err)
	return output
}

// eventuallyResolves waits until a name has these addresses, none for nil: the DNS server learns of changes with a
// delay.
func eventuallyResolves(t *testing.T, kube *node.Node, from corev1.Pod, name string, want ...string) {
	t.Helper()
	f := fixtureIn(t, kube, from.Namespace)
	f.Interval = 10 * pollInterval
	f.Eventually("the addresses of "+name, func(ctx context.Context) (string, error) {
		got, err := resolve(ctx, kube, from, name)
		if err == nil && !slices.Equal(want, got) {
			return fmt.Sprintf("they are %v, want %v", got, want), nil
		}
		return "", err
	})
}

// resolve queries the cluster's DNS in a pod and returns the addresses of a name.
func resolve(ctx context.Context, kube *node.Node, from corev1.Pod, name string) ([]string, error) {
	output, err := kube.Exec(ctx, from.Namespace, from.Name, "", "nslookup", "-type=a", name)
	if err != nil && strings.Contains(err.Error(), "exit code 1") && strings.Contains(output, "NXDOMAIN") {
		return nil, nil //nolint:nilerr // the name does not exist
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, output) // a DNS server may be too slow on a busy machine
	}
	// The first address is that of the DNS server.
	_, answer, found := strings.Cut(output, "\n\n")
	if !found {
		return nil, fmt.Errorf("no addresses in %s", output)
	}
	var addresses []string
	for _, match := range regexp.MustCompile(`(?m)^Address(?: \d+)?:\s+(\S+)`).FindAllStringSubmatch(answer, -1) {
		addresses = append(addresses, match[1])
	}
	return addresses, nil
}
