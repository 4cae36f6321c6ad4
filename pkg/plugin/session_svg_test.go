package plugin

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// sessionWidth is the number of columns of the recorded terminal.
const sessionWidth = 96

// TestSession records a session in a terminal and compares it with the picture in the documentation. The flag -update
// writes the picture.
func TestSession(t *testing.T) {
	mc := sample()
	broken := sample(
		condition(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonImagePullFailed, "0 of 4 pods are ready"),
		func(mc *v1alpha2.MiniCluster) { mc.Name, mc.UID, mc.Status.ReadySize = "train", "uid-of-train", 0 },
	)
	job := jobOf(t, broken, 4, 0)
	job.Name, job.UID = "train", "uid-of-train-job"
	objects := append(podsOf(jobOf(t, mc, 4, 4), 4), podsOf(job, 4, waiting("ImagePullBackOff", "not found"), func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses[0].Name = "train"
		pod.Spec.Containers[0].Image = "registry.example.com/team/train:v2"
	})...)
	objects = append(objects, jobOf(t, mc, 4, 4), job, mc, broken, autoscaler("on-queue"))
	f := newFixture(t, append(objects, controllerObjects(1)...)...)
	f.executor.answers = map[string]string{
		"resource list":     answers["resource list"],
		"jobs -A --stats-o": answers["jobs -A --stats-o"],
		"run -N2":           "task 0\ntask 1\n",
	}
	var recorded strings.Builder
	for _, line := range []string{
		"get", "status sample", "run sample -N2 sh -c 'echo task $FLUX_TASK_RANK'", "doctor train",
	} {
		fmt.Fprintf(&recorded, "\x1b[1m$ kubectl minicluster %s\x1b[0m\n", line)
		recorded.WriteString(f.record(strings.Fields(line)...) + "\n")
	}
	checkPicture(t, "kubectl-minicluster.svg", "A session with kubectl minicluster", recorded.String())
}

// TestTopPicture records what top shows of several MiniClusters and of one, and compares it with the picture in the
// documentation. The flag -update writes the picture.
func TestTopPicture(t *testing.T) {
	mc := sample(
		func(mc *v1alpha2.MiniCluster) { *mc.Spec.Size = 3 },
		condition(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonDraining, "draining to 3: rank 3 busy, job ƒ2oVyk has no time limit"),
	)
	objects := append(podsOf(jobOf(t, mc, 4, 4), 4), jobOf(t, mc, 4, 4), mc, autoscaler("on-queue"))
	for _, other := range []struct {
		name, reason string
		size, ready  int32
	}{
		{"ensemble", v1alpha2.ReasonReady, 8, 8},
		{"night", v1alpha2.ReasonHibernated, 0, 0},
		{"train", v1alpha2.ReasonImagePullFailed, 4, 0},
	} {
		ready := metav1.ConditionTrue
		if other.reason == v1alpha2.ReasonImagePullFailed {
			ready = metav1.ConditionFalse
		}
		objects = append(objects, sample(condition(v1alpha2.ConditionReady, ready, other.reason, ""), func(mc *v1alpha2.MiniCluster) {
			mc.Name, mc.UID = other.name, ""
			mc.Status.Size, mc.Status.ReadySize = other.size, other.ready
		}))
	}
	f := newFixture(t, objects...)
	f.executor.answers = answers
	var recorded strings.Builder
	for _, line := range []string{"top", "top sample"} {
		fmt.Fprintf(&recorded, "\x1b[1m$ kubectl minicluster %s\x1b[0m\n", line)
		recorded.WriteString(strings.TrimPrefix(f.record(append(strings.Fields(line), "--count=1")...), clearScreen) + "\n")
	}
	checkPicture(t, "top.svg", "Two updates of kubectl minicluster top", recorded.String())
}

// checkPicture compares the picture of a terminal with one of the documentation.
func checkPicture(t *testing.T, name, title, recorded string) {
	t.Helper()
	got := terminalSVG(title, strings.TrimSuffix(recorded, "\n"))
	path := filepath.Join("..", "..", "docs", "images", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update to create it")
	require.Equal(t, string(want), got, "run the test with -update, and check the picture")
}

// record runs a command in a terminal, whether it succeeds or not.
func (f *fixture) record(args ...string) string {
	f.Helper()
	text, err := f.tryOnTerminal(sessionWidth, 50, args...)
	if err != nil {
		text += "error: " + err.Error() + "\n"
	}
	return text
}

// terminalSVG draws the output of a terminal, with a title.
func terminalSVG(title, text string) string {
	const charWidth, lineHeight, margin = 8, 18, 12
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	width, height := sessionWidth*charWidth+2*margin, len(lines)*lineHeight+2*margin
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img">`+"\n", width, height)
	fmt.Fprintf(&out, "<title>%s</title>\n", title)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" rx="6" fill="#1e2430"/>`+"\n", width, height)
	out.WriteString(`<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13" fill="#d8dee9">` + "\n")
	for i, line := range lines {
		if line != "" {
			fmt.Fprintf(&out, `<text x="%d" y="%d">%s</text>`+"\n", margin, margin+(i+1)*lineHeight-5, spans(line))
		}
	}
	out.WriteString("</g>\n</svg>\n")
	return out.String()
}

// spans returns a line with the styles that its escape sequences set.
func spans(line string) string {
	styles := map[string]string{"1": `font-weight="bold"`, "31": `fill="#ff7b72"`, "32": `fill="#7ee787"`}
	var out strings.Builder
	open := false
	for line != "" {
		at := regexp.MustCompile("\x1b\\[([0-9]+)m").FindStringSubmatchIndex(line)
		if at == nil {
			out.WriteString(escapeXML(line))
			break
		}
		out.WriteString(escapeXML(line[:at[0]]))
		if style := styles[line[at[2]:at[3]]]; style != "" {
			fmt.Fprintf(&out, "<tspan %s>", style)
			open = true
		} else if open {
			out.WriteString("</tspan>")
			open = false
		}
		line = line[at[1]:]
	}
	return out.String()
}

// escapeXML returns a text for an SVG, with all its spaces.
func escapeXML(text string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(text))                 // a builder does not fail
	return strings.ReplaceAll(out.String(), " ", "\u00a0") // SVG joins spaces
}
