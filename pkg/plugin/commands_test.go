package plugin

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/exec"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// TestNumberOfArguments checks that a wrong number of arguments is answered with the form of the command.
func TestNumberOfArguments(t *testing.T) {
	const missing, many = "an argument is missing: use `kubectl minicluster ", "is one too many: use `kubectl minicluster "
	for line, want := range map[string]string{
		"scale": errNoName.Error(), "scale a": missing + "scale NAME SIZE", "scale a 2 3": `the argument "3" ` + many + "scale NAME SIZE",
		"dump": errNoName.Error(), "dump a": missing + "dump NAME FILE", "restore a": missing + "restore NAME FILE",
		"status": errNoName.Error(), "status a b": `the argument "b" ` + many + "status NAME", "suspend a b": many + "suspend NAME",
		"resume a 3": many + "resume NAME", "logs a b c": many + "logs NAME [JOBID]", "doctor a b": many + "doctor [NAME]", "top a b": many + "top [NAME]",
	} {
		_, _, err := command(t, "", strings.Fields(line)...)
		assert.ErrorContains(t, err, want, line)
	}
}

// TestExplain checks that the remedy is named if the server does not have the API, and only then.
func TestExplain(t *testing.T) {
	resource := v1alpha2.Resource("miniclusters")
	missing := apierrors.NewGenericServerResponse(http.StatusNotFound, "get", resource, "", "404 page not found", 0, true)
	assert.EqualError(t, Explain(fmt.Errorf("reading: %w", missing)), "reading: the server could not find the requested resource "+
		"(get miniclusters.flux-framework.org): the server does not have flux-framework.org/v1alpha2: install the operator")
	for _, err := range []error{apierrors.NewNotFound(resource, "sample"), io.EOF} {
		assert.Equal(t, err, Explain(err))
	}
}

// Everything after the name is passed to Flux in the lead pod.
func TestFluxCommands(t *testing.T) {
	const flux = "sample-0-abcde/sample: /opt/minicluster/bin/minicluster-agent flux -- "
	for line, want := range map[string]string{
		"run sample -N4 -n8 hostname -f":          "run -N4 -n8 hostname -f",
		"submit sample --cc=1-3 sleep 60":         "submit --cc=1-3 sleep 60",
		"jobs sample -a":                          "jobs -A -a",
		"drain sample 2-3 bad memory":             "resource drain 2-3 bad memory",
		"undrain sample 2-3":                      "resource undrain 2-3",
		"connect sample -- flux resource list -v": "env flux resource list -v",
		"connect sample":                          "env sh",
		"logs sample ƒ2oVyk":                      "job attach ƒ2oVyk",
	} {
		t.Run(line, func(t *testing.T) {
			mc := sample()
			f := newFixture(t, append(podsOf(jobOf(t, mc, 4, 4), 4), mc)...)
			f.executor.answers = map[string]string{want: "output"}
			assert.Equal(t, "output", f.must(strings.Fields(line)...))
			assert.Equal(t, []string{flux + want}, f.executor.asked)
		})
	}
}

// The exit code of a command in the pod is that of the plugin.
func TestExitCode(t *testing.T) {
	mc := sample()
	f := newFixture(t, append(podsOf(jobOf(t, mc, 4, 4), 4), mc)...)
	_, err := f.run("run", "sample", "none")
	var exit exec.CodeExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 127, exit.Code)
	_, err = newFixture(t, mc).run("run", "sample", "hostname")
	require.ErrorContains(t, err, "the lead pod of MiniCluster sample is not running")
	for _, args := range [][]string{{"run"}, {"run", "sample"}, {"status"}, {"drain", "sample"}} {
		_, err := f.run(args...)
		require.Error(t, err, args)
	}
}

func TestScale(t *testing.T) {
	apply := func(f *fixture, mod func(mc *v1alpha2.MiniCluster, size int32)) {
		f.flux.PrependReactor("update", "miniclusters", func(action clienttesting.Action) (bool, runtime.Object, error) {
			scale, ok := action.(clienttesting.UpdateAction).GetObject().(*autoscalingv1.Scale)
			if !ok {
				return false, nil, nil
			}
			mc := sample()
			mc.Generation, mc.Status.ObservedGeneration = 3, 3
			mod(mc, scale.Spec.Replicas)
			return true, scale, f.flux.Tracker().Update(v1alpha2.SchemeGroupVersion.WithResource("miniclusters"), mc, "team")
		})
	}
	t.Run("granted", func(t *testing.T) {
		f := newFixture(t, sample())
		apply(f, func(mc *v1alpha2.MiniCluster, size int32) {
			mc.Spec.Size, mc.Status.Size, mc.Status.ReadySize = &size, size, size
		})
		assert.Equal(t, "minicluster/sample: size 3 requested\nminicluster/sample: size 3, 3 ready\n", f.must("scale", "sample", "3"))
	})
	t.Run("rejected", func(t *testing.T) {
		f := newFixture(t, sample())
		apply(f, func(mc *v1alpha2.MiniCluster, _ int32) {
			condition(v1alpha2.ConditionScalingLimited, metav1.ConditionTrue, v1alpha2.ReasonAboveMaximum, "size 9 was rejected")(mc)
		})
		_, err := f.run("scale", "sample", "9")
		require.EqualError(t, err, "size 9 was rejected")
	})
	t.Run("draining", func(t *testing.T) {
		f := newFixture(t, sample())
		apply(f, func(mc *v1alpha2.MiniCluster, size int32) {
			mc.Spec.Size = &size
			condition(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonDraining, "draining to 3")(mc)
			mc.Status.Conditions[2].ObservedGeneration = 3
		})
		out, err := f.run("scale", "sample", "3", "--timeout=300ms")
		require.ErrorContains(t, err, "does not have size 3 after 300ms")
		assert.Equal(t, "minicluster/sample: size 3 requested\n", out)
		assert.Equal(t, "minicluster/sample: draining to 3\n", f.err.String())
	})
	for _, size := range []string{"-1", "x", "5000000000"} {
		_, err := newFixture(t, sample()).run("scale", "--", "sample", size)
		require.ErrorContains(t, err, "must be a number of pods")
	}
}

const profiles = `
apiVersion: flux-framework.org/v1alpha2
kind: MiniCluster
metadata: {name: small, labels: {site: here}}
spec: {size: 2, maxSize: 4, containers: [{image: site/flux, resources: {limits: {cpu: "2"}}}]}
---
apiVersion: flux-framework.org/v1alpha2
kind: MiniCluster
metadata: {name: large}
spec: {size: 64, containers: [{image: site/flux}]}
`

func TestCreate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "profiles.yaml")
	require.NoError(t, os.WriteFile(file, []byte(profiles), 0o600))
	f := newFixture(t)
	out := f.must("create", "hello", "--image=flux", "--size=2", "--cpu=1", "--gpu=nvidia.com/gpu=1", "--dry-run=client", "-o", "yaml", "--", "echo", "it's here")
	assert.Contains(t, out, "command: echo 'it'\\''s here'\n")
	assert.Contains(t, out, "nvidia.com/gpu: \"1\"\n")
	assert.NotContains(t, out, "interactive")
	out = f.must("create", "mine", "--profile-file="+file, "--profile=small", "--max-size=8", "--dry-run=client", "-o", "yaml")
	assert.Contains(t, f.must("create", "mine", "--image=flux", "--restore-from=old", "--dry-run=client", "-o", "yaml"), "restoreFrom:\n    name: old\n")
	for _, want := range []string{"size: 2\n", "maxSize: 8\n", "image: site/flux\n", "site: here\n", "interactive: true\n"} {
		assert.Contains(t, out, want)
	}
	assert.Equal(t, "minicluster.flux-framework.org/mine created (dry run)\n", f.must("create", "mine", "--image=flux", "--dry-run=client"))
	list, err := f.flux.FluxFrameworkV1alpha2().MiniClusters("team").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, list.Items)
	assert.Equal(t, "minicluster.flux-framework.org/mine created\n", f.must("create", "mine", "--image=flux", "--size=3"))
	mc, err := f.flux.FluxFrameworkV1alpha2().MiniClusters("team").Get(t.Context(), "mine", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, int32(3), *mc.Spec.Size)

	for want, args := range map[string][]string{
		"--image: name the image":                 {"create", "x"},
		"--cpu: \"many\"":                         {"create", "x", "--image=flux", "--cpu=many"},
		"--gpu: \"1\": must be RESOURCE=NUMBER":   {"create", "x", "--image=flux", "--gpu=1"},
		"spec.maxSize":                            {"create", "x", "--image=flux", "--size=4", "--max-size=2"},
		"metadata.name":                           {"create", "X_1", "--image=flux"},
		"--dry-run: \"all\"":                      {"create", "x", "--image=flux", "--dry-run=all"},
		"has no MiniCluster \"huge\", only small": {"create", "x", "--profile-file=" + file, "--profile=huge"},
		"has 2 profiles, name one of small":       {"create", "x", "--profile-file=" + file},
		"put -- between":                          {"create", "x", "--image=flux", "hostname"},
		"--profile-file: name the file":           {"create", "x", "--profile=small"},
		"add --wait, or remove --timeout":         {"create", "x", "--image=flux", "--timeout=1m"},
		"--timeout limits the wait":               {"scale", "x", "3", "--wait=false", "--timeout=1m"},
		"--timeout: -1m0s: must not be negative":  {"suspend", "x", "--timeout=-1m"},
	} {
		_, err := f.run(args...)
		require.ErrorContains(t, err, want)
	}
}

// TestCreateWaits checks that create waits with --wait only, prints why, and that --timeout ends the wait.
func TestCreateWaits(t *testing.T) {
	f := newFixture(t)
	f.flux.PrependReactor("create", "miniclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
		mc := sample(condition(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonNotReady, "0 of 4 pods are ready"),
			condition(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonNotReady, "pods are pending"))
		mc.Status.Conditions[2].ObservedGeneration = mc.Generation
		return true, mc, f.flux.Tracker().Create(v1alpha2.SchemeGroupVersion.WithResource("miniclusters"), mc, "team")
	})
	out, err := f.run("create", "sample", "--image=flux", "--wait", "--timeout=300ms")
	require.EqualError(t, err, "MiniCluster sample is not ready after 300ms; it continues: see `kubectl minicluster status sample`")
	assert.Equal(t, "minicluster.flux-framework.org/sample created\n", out)
	assert.Equal(t, "minicluster/sample: pods are pending\n", f.err.String())

	f.flux.PrependReactor("create", "miniclusters", func(clienttesting.Action) (bool, runtime.Object, error) { return true, sample(), nil })
	f.must("create", "sample", "--image=flux")
	assert.Empty(t, f.err.String(), "it does not wait")
}

func TestPrefixWriter(t *testing.T) {
	var out bytes.Buffer
	w := &prefixWriter{out: &out, prefix: "3: "}
	for _, part := range []string{"a", "b\nc\n\n", "d"} {
		n, err := io.WriteString(w, part)
		require.NoError(t, err)
		assert.Len(t, part, n)
	}
	require.NoError(t, w.flush())
	require.NoError(t, w.flush())
	assert.Equal(t, "3: ab\n3: c\n3: \n3: d\n", out.String())
}

func TestLogs(t *testing.T) {
	mc := sample()
	f := newFixture(t, append(podsOf(jobOf(t, mc, 2, 2), 2), mc)...)
	assert.Equal(t, "fake logs", f.must("logs", "sample"))
	assert.Equal(t, "0: fake logs\n1: fake logs\n", f.must("logs", "sample", "--all-ranks"))
	assert.ElementsMatch(t, []string{"0: fake logs", "1: fake logs"}, strings.Split(strings.TrimSpace(f.must("logs", "sample", "--all-ranks", "-f")), "\n"))
}

// Each subcommand has an example, and each example runs.
func TestExamples(t *testing.T) {
	root := NewCommand(genericiooptions.NewTestIOStreamsDiscard())
	for _, cmd := range append(root.Commands(), root) {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		require.NotEmpty(t, cmd.Example, cmd.Name())
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			t.Run(strings.TrimSpace(line), func(t *testing.T) { runExample(t, strings.TrimSpace(line)) })
		}
	}
}

// runExample runs an example where the MiniCluster sample and the files that examples name exist.
func runExample(t *testing.T, line string) {
	t.Helper()
	words, ok := strings.CutPrefix(line, "kubectl minicluster ")
	require.True(t, ok, line)
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"minicluster.yaml": sound, "examples/minicluster.yaml": sound, "profiles.yaml": profiles, "sample.tar": "archive",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	args := strings.Fields(words)
	mc := sample(archived)
	objects := append(podsOf(jobOf(t, mc, 4, 4), 4), jobOf(t, mc, 4, 4))
	if args[0] != "create" {
		objects = append(objects, mc)
	}
	f := newFixture(t, append(objects, controllerObjects(1)...)...)
	f.in.WriteString(sound)
	f.executor.answers = map[string]string{"": ""}
	f.controls()
	f.scales()
	if args[0] == "top" {
		args = append(args, "--count=1")
	}
	f.must(args...)
}

// scales plays the controller: it grants each size at once.
func (f *fixture) scales() {
	f.flux.PrependReactor("update", "miniclusters", func(action clienttesting.Action) (bool, runtime.Object, error) {
		scale, ok := action.(clienttesting.UpdateAction).GetObject().(*autoscalingv1.Scale)
		if !ok {
			return false, nil, nil
		}
		mc := sample(func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Size, mc.Status.Size, mc.Status.ReadySize = &scale.Spec.Replicas, scale.Spec.Replicas, scale.Spec.Replicas
		})
		return true, scale, f.flux.Tracker().Update(v1alpha2.SchemeGroupVersion.WithResource("miniclusters"), mc, "team")
	})
}
