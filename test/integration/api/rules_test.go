package api_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/validation"
)

// TestRules checks that the schema of the CRD and the validator agree on what is valid, and that both name the field.
func TestRules(t *testing.T) {
	t.Parallel()
	const containers = "containers: [{command: hostname}]"
	name := func(name string) string { return "metadata: {name: " + name + "}\nspec: " }
	cases := []struct {
		name     string
		document string
		// says are parts of the error; empty if it is accepted.
		says []string
		// schemaOnly documents cannot be decoded.
		schemaOnly bool
	}{
		{name: "minimal", document: minimal},
		{name: "every size is equal", document: name("a") + "{size: 3, maxSize: 3, minSize: 3, " + containers + "}"},
		{name: "no size", document: name("a") + "{size: 0, " + containers + "}"},
		{name: "maxSize of 0 counts as unset", document: name("a") + "{size: 5, maxSize: 0, " + containers + "}"},
		{name: "longest name", document: name(strings.Repeat("a", 61)) + "{size: 10, " + containers + "}"},
		{name: "longest name with services", document: name(strings.Repeat("a", 54)) + "{services: [{name: a}], " + containers + "}"},
		{name: "a sidecar", document: name("a") + "{containers: [{runFlux: true}, {name: b, command: x, commands: {script: echo}}]}"},

		{name: "no spec", document: "metadata: {name: a}", says: []string{"spec: Required"}, schemaOnly: true},
		{name: "no containers", document: name("a") + "{}", says: []string{"spec.containers: Required"}, schemaOnly: true},
		{name: "empty containers", document: name("a") + "{containers: []}", says: []string{"spec.containers"}},
		{name: "name with a dot", document: name("a.b") + "{" + containers + "}", says: []string{"metadata.name must be an RFC 1035 label", "start with a letter"}},
		{name: "name with a digit first", document: name("1a") + "{" + containers + "}", says: []string{"metadata.name must be an RFC 1035 label"}},
		{name: "name too long for the size", document: name(strings.Repeat("a", 61)) + "{size: 11, " + containers + "}", says: []string{"metadata.name is too long", "shorten metadata.name"}},
		{name: "name too long for the maximum", document: name(strings.Repeat("a", 59)) + "{maxSize: 1001, " + containers + "}", says: []string{"metadata.name is too long"}},
		{name: "name too long for services", document: name(strings.Repeat("a", 55)) + "{services: [{name: a}], " + containers + "}", says: []string{"metadata.name is too long", "-services"}},
		{name: "negative size", document: name("a") + "{size: -1, " + containers + "}", says: []string{"spec.size", "greater than or equal to 0"}},
		{name: "maxSize below size", document: name("a") + "{size: 4, maxSize: 3, " + containers + "}", says: []string{"spec.maxSize", "raise spec.maxSize, lower spec.size"}},
		{name: "minSize above size", document: name("a") + "{size: 4, maxSize: 8, minSize: 5, " + containers + "}", says: []string{"spec.minSize", "lower spec.minSize or raise spec.size"}},
		{name: "minSize is the default of size", document: name("a") + "{minSize: 2, " + containers + "}"},
		{name: "minSize and maxSize without size", document: name("a") + "{minSize: 2, maxSize: 6, " + containers + "}"},
		{name: "maxSize below the default of size", document: name("a") + "{minSize: 3, maxSize: 2, " + containers + "}", says: []string{"spec.maxSize", "spec.minSize"}},
		{name: "name too long for minSize", document: name(strings.Repeat("a", 61)) + "{minSize: 11, " + containers + "}", says: []string{"metadata.name is too long"}},
		{name: "the largest sizes", document: name("a") + "{size: 100000, maxSize: 100000, minSize: 100000, " + containers + "}"},
		{name: "size above that of a Job", document: name("a") + "{size: 100001, " + containers + "}", says: []string{"spec.size", "Indexed Job"}},
		{name: "maxSize above that of a Job", document: name("a") + "{size: 2, maxSize: 200000, " + containers + "}", says: []string{"spec.maxSize"}},
		{name: "minSize above that of a Job", document: name("a") + "{minSize: 100001, " + containers + "}", says: []string{"spec.minSize"}},
		{name: "the largest deadline", document: name("a") + "{deadlineSeconds: 9223372036, " + containers + "}"},
		{name: "a deadline that overflows", document: name("a") + "{deadlineSeconds: 9223372037, " + containers + "}", says: []string{"spec.deadlineSeconds"}},
		{name: "a larger deadline", document: name("a") + "{deadlineSeconds: 9223372036854775807, " + containers + "}", says: []string{"spec.deadlineSeconds"}},
		{name: "a grace period that overflows", document: name("a") + "{pod: {terminationGracePeriodSeconds: 9223372037}, " + containers + "}", says: []string{"spec.pod.terminationGracePeriodSeconds"}},
		{name: "schedulers", document: name("a") + "{pod: {schedulerName: site.example/my_Scheduler.v2}, " + containers + "}"},
		{name: "a scheduler with a space", document: name("a") + "{pod: {schedulerName: my scheduler}, " + containers + "}", says: []string{"spec.pod.schedulerName"}},
		{name: "a scheduler with a tab at the end", document: name("a") + `{pod: {schedulerName: "a\t"}, ` + containers + "}", says: []string{"spec.pod.schedulerName"}},
		{name: "a long scheduler", document: name("a") + "{pod: {schedulerName: " + strings.Repeat("a", 64) + "}, " + containers + "}", says: []string{"spec.pod.schedulerName"}},
		{name: "labels", document: name("a") + "{jobLabels: {kueue.x-k8s.io/queue-name: a}, pod: {labels: {app: a, hpa-selector: b}}, " + containers + "}"},
		{name: "a label of the Job controller", document: name("a") + "{pod: {labels: {job-name: b}}, " + containers + "}", says: []string{"spec.pod.labels", "set by Kubernetes"}},
		{name: "a label of the Job controller with its prefix", document: name("a") + "{pod: {labels: {batch.kubernetes.io/job-completion-index: '0'}}, " + containers + "}", says: []string{"spec.pod.labels"}},
		{name: "a label of the controller", document: name("a") + "{pod: {labels: {flux-framework.org/headless-service: b}}, " + containers + "}", says: []string{"spec.pod.labels", "reserved for the controller"}},
		{name: "a reserved label of the Job", document: name("a") + "{jobLabels: {batch.kubernetes.io/job-name: b}, " + containers + "}", says: []string{"spec.jobLabels"}},
		{name: "a label of the controller on the Job", document: name("a") + "{jobLabels: {flux-framework.org/a: b}, " + containers + "}", says: []string{"spec.jobLabels"}},
		{name: "annotations of the Job", document: name("a") + "{jobAnnotations: {kueue.x-k8s.io/elastic-job: 'true'}, " + containers + "}"},
		{name: "an annotation of the controller on the Job", document: name("a") + "{jobAnnotations: {flux-framework.org/applied-size: '5'}, " + containers + "}", says: []string{"spec.jobAnnotations"}},
		{name: "opportunistic", document: name("a") + "{opportunistic: {weight: 3, reserve: {cpu: 30, memory: 10%, nvidia.com/gpu: '1'}}, " + containers + "}"},
		{name: "opportunistic with defaults", document: name("a") + "{opportunistic: {}, " + containers + "}"},
		{name: "a weight that is too large", document: name("a") + "{opportunistic: {weight: 1001}, " + containers + "}", says: []string{"spec.opportunistic.weight"}},
		{name: "autoscaling", document: name("a") + "{maxSize: 8, autoscaling: {minSize: 2, maxSize: 4, metric: CPU, cpuUtilization: 60, idleSeconds: 0}, " + containers + "}"},
		{name: "autoscaling with defaults", document: name("a") + "{autoscaling: {}, " + containers + "}"},
		{name: "bounds of autoscaling that cross", document: name("a") + "{autoscaling: {minSize: 3, maxSize: 2}, " + containers + "}", says: []string{"spec.autoscaling", "lower minSize or raise maxSize"}},
		{name: "an unknown metric of autoscaling", document: name("a") + "{autoscaling: {metric: Hope}, " + containers + "}", says: []string{"spec.autoscaling.metric"}},
		{name: "a CPU utilization with another metric", document: name("a") + "{autoscaling: {cpuUtilization: 60}, " + containers + "}", says: []string{"spec.autoscaling", "set metric to CPU or remove cpuUtilization"}},
		{name: "a window that is too long", document: name("a") + "{autoscaling: {idleSeconds: 3601}, " + containers + "}", says: []string{"spec.autoscaling.idleSeconds"}},
		{name: "hibernation", document: name("a") + "{suspend: true, archive: {path: /a/b.tar}, hibernation: {gracePeriodSeconds: 0, idleTimeoutSeconds: 60, scaleToZero: true, restartForChanges: WhenIdle}, " + containers + "}"},
		{name: "hibernation with a state directory", document: name("a") + "{flux: {state: {claimName: b}}, hibernation: {}, " + containers + "}"},
		{name: "hibernation that keeps nothing", document: name("a") + "{hibernation: {state: Discard}, " + containers + "}"},
		{name: "hibernation without something to keep the state in", document: name("a") + "{hibernation: {idleTimeoutSeconds: 60}, " + containers + "}",
			says: []string{"spec.hibernation", "set spec.archive.path or spec.flux.state"}},
		{name: "an unknown state of a hibernation", document: name("a") + "{hibernation: {state: Hope}, " + containers + "}", says: []string{"spec.hibernation.state"}},
		{name: "an unknown restart for changes", document: name("a") + "{hibernation: {state: Discard, restartForChanges: Often}, " + containers + "}",
			says: []string{"spec.hibernation.restartForChanges"}},
		{name: "not started, at size 0", document: name("a") + "{size: 0, minSize: 2, maxSize: 4, hibernation: {state: Discard, scaleToZero: true}, " + containers + "}"},
		{name: "restored from another", document: name("a") + "{restoreFrom: {name: b}, " + containers + "}"},
		{name: "wait for unreachable agents", document: name("a") + "{scaleDown: {onUnreachable: Wait}, " + containers + "}"},
		{name: "unknown choice for unreachable agents", document: name("a") + "{scaleDown: {onUnreachable: Hope}, " + containers + "}", says: []string{"spec.scaleDown.onUnreachable"}},
		{name: "users of a site", document: name("a") + "{users: [{name: alice, uid: 20417, gid: 2000, groups: [{name: climate, gid: 3100}]}, {name: bob, uid: 2147483647}], " + containers + "}"},
		{name: "a second root", document: name("a") + "{users: [{name: alice, uid: 0}], " + containers + "}", says: []string{"spec.users[0].uid"}},
		{name: "a group ID that is too large", document: name("a") + "{users: [{name: alice, gid: 2147483648}], " + containers + "}", says: []string{"spec.users[0].gid"}},
		{name: "a group of root", document: name("a") + "{users: [{name: alice, groups: [{name: wheel, gid: 0}]}], " + containers + "}", says: []string{"spec.users[0].groups[0].gid"}},
		{name: "fields of pods", document: name("a") + `{pod: {hostNetwork: true, stopSignal: SIGRTMIN+3, dnsConfig: {nameservers: [10.0.0.10], searches: [site.example], options: [{name: ndots, value: "2"}]},
  resourceClaims: [{name: gpus, resourceClaimTemplateName: two-gpus}],
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule}]},
  containers: [{command: hostname, resources: {claims: [{name: gpus}]}}]}`},
		{name: "a stop signal that does not exist", document: name("a") + "{pod: {stopSignal: QUIT}, " + containers + "}", says: []string{"spec.pod.stopSignal"}},
		{name: "no container runs Flux", document: name("a") + "{containers: [{name: a}, {name: b}]}", says: []string{"spec.containers", "set runFlux to true in one of them"}},
		{name: "two run Flux", document: name("a") + "{containers: [{runFlux: true}, {runFlux: true}]}", says: []string{"spec.containers", "exactly one"}},
		{name: "sidecar without a name", document: name("a") + "{containers: [{runFlux: true}, {command: b}]}", says: []string{"spec.containers", "set name"}},
		{name: "launcher and batch", document: name("a") + "{containers: [{command: a, launcher: true, batch: true}]}", says: []string{"spec.containers[0]", "launcher and batch exclude each other"}},
		{name: "command and script", document: name("a") + "{containers: [{command: a, commands: {script: b}}]}", says: []string{"spec.containers", "command and commands.script exclude each other"}},
		{name: "service without a name", document: name("a") + "{services: [{image: a}], " + containers + "}", says: []string{"spec.services[0]", "set name"}},
		{name: "service with a hook of Flux", document: name("a") + "{services: [{name: a, commands: {brokerPre: b}}], " + containers + "}", says: []string{"spec.services[0]", "remove commands.pre"}},
		{name: "service with the older hook", document: name("a") + "{services: [{name: a, preCommand: b}], " + containers + "}", says: []string{"spec.services[0]", "remove preCommand"}},
		{name: "host list and clusters", document: name("a") + "{flux: {bursting: {hostlist: 'a-[0-1]', clusters: [{name: b}]}}, " + containers + "}",
			says: []string{"spec.flux.bursting", "hostlist and clusters exclude each other"}},
		{name: "port", document: name("a") + "{containers: [{ports: [70000]}]}", says: []string{"spec.containers[0].ports[0]"}},
		{name: "quantity", document: name("a") + "{containers: [{resources: {limits: {cpu: much}}}]}", says: []string{"spec.containers[0].resources.limits.cpu"}, schemaOnly: true},
		{name: "restart policy", document: name("a") + "{pod: {restartPolicy: Always}, " + containers + "}", says: []string{"spec.pod.restartPolicy", "OnFailure"}},
		{name: "log level", document: name("a") + "{flux: {logLevel: 8}, " + containers + "}", says: []string{"spec.flux.logLevel"}},
		{name: "wrong type", document: name("a") + "{size: many, " + containers + "}", says: []string{"spec.size"}, schemaOnly: true},
	}
	n := newNamespace(t)
	for _, version := range versions() {
		for _, c := range cases {
			t.Run(version+"/"+c.name, func(t *testing.T) {
				_, err := n.tryCreate(version, c.document)
				if len(c.says) == 0 {
					require.NoError(t, err)
					require.NoError(t, n.miniclusters(version).Delete(t.Context(), object(t, version, c.document).GetName(), metav1.DeleteOptions{}))
				} else {
					require.True(t, apierrors.IsInvalid(err), "%v", err)
					for _, part := range c.says {
						require.ErrorContains(t, err, part)
					}
				}
				if c.schemaOnly {
					return
				}
				var mc v1alpha2.MiniCluster
				require.NoError(t, yaml.UnmarshalStrict([]byte(c.document), &mc))
				v1alpha2.SetDefaults(&mc)
				ours := validation.ValidateMiniCluster(&mc)
				assert.Equal(t, len(c.says) == 0, len(ours) == 0, "the validator returns: %v", ours)
			})
		}
	}
}

// TestSizesAreWritable checks that the schema never rejects a size that is out of bounds after creation, so that an
// autoscaler or an application sees how the controller corrects it.
func TestSizesAreWritable(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	name := strings.Repeat("a", 61)
	n.create("v1alpha2", "metadata: {name: "+name+"}\nspec: {size: 4, maxSize: 8, minSize: 2, containers: [{command: hostname}]}")
	for _, version := range versions() {
		for _, size := range []string{"100000", "9", "8", "1", "0"} {
			n.patch(version, name, "spec: {size: "+size+"}")
			n.patch(version, name, "spec: {replicas: "+size+"}", "scale")
			n.patch(version, name, "status: {size: 1}", "status")
			n.patch(version, name, "spec: {minSize: 50, maxSize: 3}")
		}
		for _, err := range []error{
			n.tryPatch(version, name, "spec: {size: -1}"),
			n.tryPatch(version, name, "spec: {replicas: -1}", "scale"),
		} {
			require.True(t, apierrors.IsInvalid(err), "%v", err)
			assert.ErrorContains(t, err, "greater than or equal to 0")
		}
	}
}
