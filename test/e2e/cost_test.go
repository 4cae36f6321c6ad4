package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/test/framework/cluster/clustertest"
)

const (
	// Limits of the cost of the agent in a pod.
	startBudget  = time.Second
	memoryBudget = 15 // MiB
	// busy is the additional time of a start while other tests keep the machine busy: the limit only detects an agent
	// that waits.
	busy = 30

	// clockTick is the unit of times in /proc/PID/stat; see proc(5), sysconf(_SC_CLK_TCK). It is the same everywhere.
	clockTick = 10 * time.Millisecond
)

// plainFlux are pods that run Flux without the agent.
const plainFlux = `
apiVersion: batch/v1
kind: Job
metadata: {name: plain}
spec:
  completions: 3
  parallelism: 3
  completionMode: Indexed
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers:
        - name: flux
          image: ` + fluxImage + `
          command: [flux, start, sleep, inf]
          readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1}
`

// TestCost compares pods with and without the agent: the delay of the start of Flux, and the memory.
func TestCost(t *testing.T) {
	kube := suite.Node(t)
	namespace := clustertest.Namespace(t, kube.Cluster)
	apply(t, kube, namespace, plainFlux)
	plain := eventuallyPods(t, kube, namespace, "job-name=plain", readyPatience, areReady(3))
	ours := start(t, kube, namespace, "flux-sample", 3, interactive("flux-sample", 3))

	without, with := untilFlux(t, plain), untilFlux(t, ours)
	own := timeBetween(t, ours, processInfo.isAgent, processInfo.isFlux)
	t.Logf("from the start of a pod to that of its broker: %v without the agent, %v with it; %v of this after the init container",
		without, with, own)
	// The rest is due to the kubelet: one more container, and the delay until it notices that the init container has
	// ended.
	assert.LessOrEqual(t, own, busy*startBudget)

	var memory []int
	for _, pod := range ours {
		sum := 0
		for _, p := range processesOf(t, pod) {
			if p.isAgent() {
				sum += p.residentKiB
			}
		}
		require.NotZero(t, sum, "the agent runs in %s", pod.Name)
		memory = append(memory, sum)
	}
	slices.Sort(memory)
	t.Logf("resident memory of the agent's processes: %v KiB", memory)
	assert.LessOrEqual(t, memory[len(memory)/2], memoryBudget<<10)
}

// untilFlux returns the time between the start of a pod's first process and that of its broker.
func untilFlux(t *testing.T, pods []corev1.Pod) time.Duration {
	t.Helper()
	return timeBetween(t, pods, func(processInfo) bool { return true }, processInfo.isFlux)
}

// timeBetween returns the time between the starts of two processes, the first ones of their kind in a pod. It uses
// the fastest pod: the delays of the others are due to this machine.
func timeBetween(t *testing.T, pods []corev1.Pod, from, to func(processInfo) bool) time.Duration {
	t.Helper()
	var times []time.Duration
	for _, pod := range pods {
		processes := processesOf(t, pod)
		times = append(times, firstStart(t, processes, to)-firstStart(t, processes, from))
	}
	return slices.Min(times)
}

func firstStart(t *testing.T, processes []processInfo, kind func(processInfo) bool) time.Duration {
	t.Helper()
	var starts []time.Duration
	for _, p := range processes {
		if kind(p) {
			starts = append(starts, p.started)
		}
	}
	require.NotEmpty(t, starts, "%v", processes)
	return slices.Min(starts)
}

// processInfo is a process as this machine sees it, including those in containers.
type processInfo struct {
	name        string
	arguments   string
	started     time.Duration // since the boot of the machine
	residentKiB int
}

func (p processInfo) isAgent() bool { return strings.HasPrefix(p.arguments, agent) }

func (p processInfo) isFlux() bool { return p.name == "flux" }

// processesOf returns the processes of a pod by their cgroup.
func processesOf(t *testing.T, pod corev1.Pod) []processInfo {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	require.NoError(t, err)
	var processes []processInfo
	for _, file := range files {
		cgroups, err := os.ReadFile(file)
		// Processes start and end concurrently.
		if err != nil || !bytes.Contains(cgroups, fmt.Appendf(nil, "/pod%s/", pod.UID)) {
			continue
		}
		if p, ok := readProcess(filepath.Dir(file)); ok {
			processes = append(processes, p)
		}
	}
	return processes
}

func readProcess(dir string) (processInfo, bool) {
	stat, statErr := os.ReadFile(filepath.Join(dir, "stat"))
	status, statusErr := os.ReadFile(filepath.Join(dir, "status"))
	arguments, argumentsErr := os.ReadFile(filepath.Join(dir, "cmdline"))
	if statErr != nil || statusErr != nil || argumentsErr != nil {
		return processInfo{}, false
	}
	// The name is in parentheses and may contain anything; field 22 is the start time.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	resident := regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if open < 0 || len(fields) < 20 || resident == nil {
		return processInfo{}, false
	}
	ticks, ticksErr := strconv.Atoi(fields[22-3])
	memory, memoryErr := strconv.Atoi(string(resident[1]))
	return processInfo{
		name:        string(stat[open+1 : end]),
		arguments:   strings.ReplaceAll(string(arguments), "\x00", " "),
		started:     time.Duration(ticks) * clockTick,
		residentKiB: memory,
	}, ticksErr == nil && memoryErr == nil
}
