package plugin

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// differences returns the fields of a valid document that flux-operator understands in another way. docs/operations.md
// has the whole list.
func differences(d *document) []string {
	var lines []string
	add := func(is bool, path, text string) {
		if is {
			lines = append(lines, path+": "+text)
		}
	}
	spec := &d.mc.Spec
	add(spec.MinSize > 0, "spec.minSize", "there, it is the quorum only; here, it is also the smallest size")
	add(spec.Network != nil && spec.Network.DisableAffinity && spec.Pod != nil && len(spec.Pod.NodeAffinity) > 0, "spec.network.disableAffinity",
		"there, it also drops spec.pod.nodeAffinity; here, the pods keep that")
	if spec.Pod != nil && spec.Pod.SecurityContext != nil {
		others := *spec.Pod.SecurityContext
		others.FSGroup = nil
		add(!equality.Semantic.DeepEqual(others, corev1.PodSecurityContext{}), "spec.pod.securityContext", "there, only fsGroup is used; here, all fields are")
	}
	for i := range spec.Containers {
		differencesOfContainer(&spec.Containers[i], fmt.Sprintf("spec.containers[%d]", i), i == d.mc.FluxContainerIndex(), add)
	}
	for i := range spec.Services {
		path := fmt.Sprintf("spec.services[%d]", i)
		add(spec.Services[i].Command != "", path+".command", "there, it is ignored; here, a shell runs it")
		differencesOfContainer(&spec.Services[i], path, true, add)
	}
	return lines
}

// differencesOfContainer adds the differences of a container. Of sidecars, it also names the missing command.
func differencesOfContainer(c *v1alpha2.MiniClusterContainer, path string, runsCommand bool, add func(is bool, path, text string)) {
	add(!runsCommand && c.Command == "", path+".command", "there, a sidecar without a command ends at once; here, it runs the entrypoint of its image")
	if c.LifeCycle != nil {
		add(c.LifeCycle.PostStartExec != "", path+".lifeCycle.postStartExec", "there, the text is the name of a program; here, a shell runs it")
		add(c.LifeCycle.PreStopExec != "", path+".lifeCycle.preStopExec", "there, the text is the name of a program; here, a shell runs it")
	}
}
