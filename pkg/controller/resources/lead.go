package resources

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// tolerationFields is the number of fields of a toleration in an annotation.
const tolerationFields = 5

// HasLeadPlacement reports whether the pod of the lead broker differs from the others.
func HasLeadPlacement(mc *v1alpha2.MiniCluster) bool { return len(leadAnnotations(mc)) > 0 }

// leadAnnotations returns spec.lead in the form that an admission policy can read: its language has no parser of
// JSON. Neither keys nor values of labels contain the separators. All pods have the annotations, because they have
// one template.
func leadAnnotations(mc *v1alpha2.MiniCluster) map[string]string {
	lead := mc.Spec.Lead
	if lead == nil || LeadElsewhere(mc) {
		return nil
	}
	annotations := map[string]string{}
	var selector, tolerations []string
	for _, key := range slices.Sorted(maps.Keys(lead.NodeSelector)) {
		selector = append(selector, key+"="+lead.NodeSelector[key])
	}
	for i := range lead.Tolerations {
		tolerations = append(tolerations, formatToleration(&lead.Tolerations[i]))
	}
	if len(selector) > 0 {
		annotations[v1alpha2.AnnotationLeadNodeSelector] = strings.Join(selector, ",")
	}
	if len(tolerations) > 0 {
		annotations[v1alpha2.AnnotationLeadTolerations] = strings.Join(tolerations, ",")
	}
	return annotations
}

func formatToleration(t *corev1.Toleration) string {
	seconds := ""
	if t.TolerationSeconds != nil {
		seconds = strconv.FormatInt(*t.TolerationSeconds, 10)
	}
	return fmt.Sprintf("%s|%s|%s|%s|%s", t.Key, t.Operator, t.Value, t.Effect, seconds)
}

// parseToleration is the inverse of formatToleration. What it cannot parse is a toleration that no pod has.
func parseToleration(text string) corev1.Toleration {
	fields := append(strings.Split(text, "|"), make([]string, tolerationFields)...)
	t := corev1.Toleration{
		Key: fields[0], Operator: corev1.TolerationOperator(fields[1]), Value: fields[2], Effect: corev1.TaintEffect(fields[3]),
	}
	if seconds, err := strconv.ParseInt(fields[4], 10, 64); err == nil {
		t.TolerationSeconds = &seconds
	}
	return t
}

// LeadPlaced reports whether the pod of a lead broker was created with what its annotations request.
func LeadPlaced(pod *corev1.Pod) bool {
	for text := range annotationItems(pod, v1alpha2.AnnotationLeadNodeSelector) {
		key, value, _ := strings.Cut(text, "=")
		if got, set := pod.Spec.NodeSelector[key]; !set || got != value {
			return false
		}
	}
	for text := range annotationItems(pod, v1alpha2.AnnotationLeadTolerations) {
		wanted := parseToleration(text)
		same := func(t corev1.Toleration) bool { return equality.Semantic.DeepEqual(t, wanted) }
		if !slices.ContainsFunc(pod.Spec.Tolerations, same) {
			return false
		}
	}
	return true
}

// annotationItems returns the items of a comma-separated annotation.
func annotationItems(pod *corev1.Pod, key string) func(yield func(string) bool) {
	value := pod.Annotations[key]
	if value == "" {
		return func(func(string) bool) {}
	}
	return strings.SplitSeq(value, ",")
}

// CopyLeadPlacement copies what LeadPlaced reads, for pods with the annotations.
func CopyLeadPlacement(to, from *corev1.Pod) {
	for _, key := range []string{v1alpha2.AnnotationLeadNodeSelector, v1alpha2.AnnotationLeadTolerations} {
		if value := from.Annotations[key]; value != "" {
			to.Annotations[key] = value
			to.Spec.NodeSelector, to.Spec.Tolerations = from.Spec.NodeSelector, from.Spec.Tolerations
		}
	}
}

// BuildLeadPod returns a pod of a Job as the Job controller creates it for index 0.
func BuildLeadPod(job *batchv1.Job) *corev1.Pod {
	template := job.Spec.Template.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.GenerateName, pod.Namespace = job.Name+"-0-", job.Namespace
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[batchv1.JobCompletionIndexAnnotation] = "0"
	return pod
}
