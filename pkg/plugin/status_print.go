package plugin

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// painter colors words. It changes nothing where the output is not a terminal.
type painter bool

// painterFor returns the painter of an output. The variable NO_COLOR turns colors off.
func painterFor(out io.Writer) painter { return painter(isLive(out) && os.Getenv("NO_COLOR") == "") }

func (p painter) paint(code int, text string) string {
	if !p {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, text)
}

func (p painter) good(text string) string    { return p.paint(32, text) }
func (p painter) problem(text string) string { return p.paint(31, text) }
func (p painter) title(text string) string   { return p.paint(1, text) }

// text returns the report for a screen.
func (r *report) text(p painter, on screen) string {
	var out bytes.Buffer
	r.print(&out, p)
	return on.wrap(out.String())
}

// print writes the report.
func (r *report) print(out io.Writer, p painter) {
	mc := r.mc
	line := func(name, format string, args ...any) {
		fmt.Fprintf(out, "  %-12s%s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(out, "%s  %s, age %s\n", p.title("MiniCluster "+mc.Namespace+"/"+mc.Name), r.state(p), age(mc.CreationTimestamp.Time))
	line("Size", "%d requested, %d exist, %d ready; bounds %s, quorum %s", requested(mc), mc.Status.Size, mc.Status.ReadySize, bounds(mc), quorum(mc))
	for _, text := range r.scaling() {
		line("Scaled by", "%s", text)
	}
	if h := mc.Status.Hibernation; h != nil {
		line("Hibernates", "%s", hibernation(h))
	}
	if r.lead != nil {
		line("Lead", "%s on node %s", r.lead.Name, cmp.Or(r.lead.Spec.NodeName, "<none>"))
	}
	if r.flux.err != nil {
		line("Flux", "unknown: %v", r.flux.err)
	} else {
		ranks, cores := r.flux.ranks, r.flux.cores
		line("Ranks", "%d busy, %d idle or drained, %d offline of %d", ranks["allocated"], max(ranks["up"]-ranks["allocated"], 0), ranks["down"], ranks["all"])
		line("Cores", "%d of %d in use", cores["allocated"], cores["up"])
		line("Jobs", "%s", r.flux.jobs)
	}
	fmt.Fprintln(out, "  Conditions")
	for _, c := range sortConditions(mc.Status.Conditions) {
		mark := " "
		if isProblem(c) {
			mark = p.problem("!")
		}
		fmt.Fprintf(out, "  %s %s=%s %s: %s\n", mark, c.Type, c.Status, c.Reason, c.Message)
	}
	if stale := mc.Generation - mc.Status.ObservedGeneration; stale > 0 {
		fmt.Fprintf(out, "  %s the controller has not seen the last change yet: check that it runs with `kubectl minicluster doctor %s`\n", p.problem("!"), mc.Name)
	}
	fmt.Fprintf(out, "  Next\n    %s\n", strings.Join(r.next(), "\n    "))
}

func (r *report) state(p painter) string {
	text := state(r.mc)
	if text == v1alpha2.ReasonReady || text == v1alpha2.ReasonComplete {
		return p.good(text)
	}
	if hasProblem(r.mc) {
		return p.problem(text)
	}
	return text
}

func requested(mc *v1alpha2.MiniCluster) int32 {
	if mc.Spec.Size != nil {
		return *mc.Spec.Size
	}
	return max(mc.Spec.MinSize, 1)
}

// quorum returns how many brokers have to be online before the program starts.
func quorum(mc *v1alpha2.MiniCluster) string {
	if mc.Spec.MinSize > 0 {
		return fmt.Sprint(mc.Spec.MinSize)
	}
	return "the size"
}

// scaling describes who changes the size.
func (r *report) scaling() []string {
	if r.scalers.err != nil {
		return []string{fmt.Sprintf("unknown: %v", r.scalers.err)}
	}
	var lines []string
	for _, hpa := range r.scalers.of(r.mc) {
		smallest := int32(1)
		if hpa.Spec.MinReplicas != nil {
			smallest = *hpa.Spec.MinReplicas
		}
		text := fmt.Sprintf("hpa/%s between %d and %d, which asks for %d", hpa.Name, smallest, hpa.Spec.MaxReplicas, hpa.Status.DesiredReplicas)
		for _, c := range hpa.Status.Conditions {
			if c.Status == corev1.ConditionFalse && c.Type != "ScalingLimited" {
				text += fmt.Sprintf("; %s: %s", c.Reason, c.Message)
			}
		}
		lines = append(lines, text)
	}
	if len(lines) == 0 {
		return []string{"spec.size; there is no autoscaler"}
	}
	return lines
}

// isProblem reports whether a condition says that something is wrong.
func isProblem(c metav1.Condition) bool {
	switch c.Type {
	case v1alpha2.ConditionFailed, v1alpha2.ConditionScalingLimited:
		return c.Status == metav1.ConditionTrue
	case v1alpha2.ConditionHibernated:
		return c.Status == metav1.ConditionFalse && c.Reason == v1alpha2.ReasonSaveFailed
	case v1alpha2.ConditionAccepted:
		return c.Status == metav1.ConditionFalse
	case v1alpha2.ConditionReady:
		return c.Status == metav1.ConditionFalse && !slices.Contains([]string{
			v1alpha2.ReasonNotReady, v1alpha2.ReasonComplete, v1alpha2.ReasonSuspended, v1alpha2.ReasonPulling, v1alpha2.ReasonResizing,
		}, c.Reason)
	}
	return false
}

// sortConditions returns the conditions with the problems first.
func sortConditions(conditions []metav1.Condition) []metav1.Condition {
	return slices.SortedStableFunc(slices.Values(conditions), func(a, b metav1.Condition) int {
		switch left, right := isProblem(a), isProblem(b); {
		case left == right:
			return 0
		case left:
			return -1
		}
		return 1
	})
}

// next returns what the user may want to do now.
func (r *report) next() []string {
	name := r.mc.Name
	switch {
	case r.mc.Status.Finished():
		return []string{"kubectl minicluster logs " + name, "kubectl delete minicluster " + name}
	case stopped(r.mc):
		return []string{"kubectl minicluster resume " + name}
	case hasProblem(r.mc), r.leadErr != nil:
		return []string{"kubectl minicluster doctor " + name}
	case r.mc.Spec.Interactive:
		return []string{"kubectl minicluster run " + name + " hostname", "kubectl minicluster connect " + name}
	}
	return []string{"kubectl minicluster logs " + name + " --follow"}
}
