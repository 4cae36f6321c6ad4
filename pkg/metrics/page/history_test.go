package page

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestSteps(t *testing.T) {
	var s steps[int]
	at := begin
	for i := range 5000 {
		s.set(at, at.Add(-window), i/2)
		at = at.Add(5 * time.Second)
	}
	// Every second value equals the previous one, so 720 intervals have 360 entries, and one for the start of the hour.
	assert.LessOrEqual(t, len(s), 361)
	assert.LessOrEqual(t, s[0].at, at.Add(-window).UnixMilli())
	assert.Equal(t, 4999/2, s[len(s)-1].value)
	assert.Less(t, cap(s), 4*len(s), "a finished MiniCluster takes no memory")
	for range 5000 {
		at = at.Add(5 * time.Second)
		s.set(at, at.Add(-window), 7)
	}
	assert.Len(t, s, 1, "a constant value takes one entry")
}

// TestIdle checks that a record is taken each minute without readers, and that a reader gets a new one.
func TestIdle(t *testing.T) {
	w := newWorld(t)
	assert.True(t, w.due(), "the first record")
	w.after(0)
	w.elapsed.Add(int64(5 * time.Second))
	assert.False(t, w.due(), "the page has no readers")
	w.elapsed.Add(int64(54 * time.Second))
	assert.True(t, w.due())
	w.read(t.Context())
	assert.Equal(t, w.at(), w.recorded, "the last record was old")
	for range 24 {
		w.elapsed.Add(int64(5 * time.Second))
		assert.True(t, w.due(), "the page has a reader")
	}
	before := w.recorded
	w.after(0)
	w.elapsed.Add(int64(6 * time.Second))
	assert.False(t, w.due())
	w.read(t.Context())
	assert.NotEqual(t, before, w.recorded)
	assert.Equal(t, w.at().Add(-6*time.Second), w.recorded, "the last record is good enough")
	assert.True(t, w.due())
}

// TestHistory checks that the history of a recreated MiniCluster starts with its creation.
func TestHistory(t *testing.T) {
	w := newWorld(t)
	mc := cluster("ns", "mc", 1, 4)
	w.put(t, mc)
	w.say("ns/mc", 3, 1, 2, 9)
	w.after(0)
	w.put(t, resized(mc, 3))
	w.after(5 * time.Second)
	of := w.ordered[0]
	assert.Equal(t, steps[sizes]{
		{at: begin.UnixMilli(), value: sizes{size: 1, demanded: 3, fitting: 9, minimum: 1, maximum: 4}},
		{at: begin.UnixMilli() + 5000, value: sizes{size: 3, demanded: 3, fitting: 9, minimum: 1, maximum: 4}},
	}, of.history)
	again := cluster("ns", "mc", 2, 4)
	again.UID = "another"
	w.put(t, again)
	delete(w.numbers, "ns/mc/size_demanded")
	w.after(5 * time.Second)
	assert.Len(t, w.ordered[0].history, 1)
	assert.Equal(t, []string{"No size_demanded: its agent does not answer <in time>"}, w.ordered[0].state.notes)
	assert.Equal(t, unknown, w.ordered[0].demanded)
	assert.Equal(t, "Re-created with size 2", w.changes["ns"][len(w.changes["ns"])-1].text)
}

func TestChanges(t *testing.T) {
	base := cluster("ns", "mc", 4, 8)
	with := func(kind string, on bool, reason, message string) *v1alpha2.MiniCluster {
		mc := base.DeepCopy()
		set(mc, kind, on, reason, message)
		return mc
	}
	for name, c := range map[string]struct {
		now     *v1alpha2.MiniCluster
		want    string
		warning bool
	}{
		"nothing":     {base, "", false},
		"size":        {resized(base, 6), "Requested size changed from 4 to 6", false},
		"rejected":    {with("ScalingLimited", true, "AboveMaximum", "9 is above 8"), "Size not granted (AboveMaximum): 9 is above 8", true},
		"granted":     {with("ScalingLimited", false, "WithinBounds", ""), "", false},
		"draining":    {with("Progressing", true, "Draining", "ranks 2-3 run 1 job"), "Progressing (Draining): ranks 2-3 run 1 job", false},
		"resizing":    {with("Progressing", true, "Resizing", "3 of 4"), "", false},
		"image":       {with("Progressing", true, "ImagePullFailed", "no such image"), "Progressing (ImagePullFailed): no such image", true},
		"not ready":   {with("Ready", false, "NotReady", ""), "", false},
		"invalid":     {with("Accepted", false, "Invalid", "spec.size"), "Not Accepted (Invalid): spec.size", true},
		"complete":    {with("Complete", true, "Complete", ""), "Complete", false},
		"failed":      {with("Failed", true, "Failed", "exit code 1"), "Failed: exit code 1", true},
		"suspended":   {with("Suspended", true, "Suspended", ""), "Suspended", false},
		"no change":   {with("Suspended", false, "NotSuspended", ""), "", false},
		"other thing": {with("Nice", true, "Weather", ""), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := changed(base, c.now, begin)
			if c.want == "" {
				assert.Empty(t, got)
				return
			}
			assert.Equal(t, []change{{at: begin, namespace: "ns", name: "mc", text: c.want, warning: c.warning}}, got)
		})
	}
}

// TestChangesAreBounded checks the bounds of the number of changes per namespace, of their length and of their age.
func TestChangesAreBounded(t *testing.T) {
	w := newWorld(t)
	long := string(make([]rune, 3*maxText))
	w.addChanges(change{at: w.at(), namespace: "quiet", name: "mc", text: cut(long)})
	for range 10 * maxChanges {
		w.elapsed.Add(int64(time.Second))
		w.addChanges(change{at: w.at(), namespace: "busy", name: "mc", text: "x"})
	}
	assert.Len(t, w.changes["busy"], maxChanges)
	assert.Len(t, []rune(w.changes["quiet"][0].text), maxText+1)
	all := func(string) bool { return true }
	latest := w.latestChanges(all, 10)
	assert.Len(t, latest, 10)
	assert.Equal(t, w.at(), latest[0].at)
	w.after(window - 5*time.Second)
	assert.Len(t, w.changes["busy"], 5)
	assert.NotContains(t, w.changes, "quiet")
}

func TestOutline(t *testing.T) {
	over := spanOf(begin, begin.Add(10*time.Minute), window, chartSteps)
	at := func(minutes int) int64 { return begin.Add(time.Duration(minutes) * time.Minute).UnixMilli() }
	points := []point{{at(-60), 5}, {at(0), 10}, {at(5), math.NaN()}, {at(7), math.NaN()}, {at(8), 20}}
	y := func(v float64) float64 { return 100 - v }
	assert.Equal(t, "M46 90H239M354.8 80H432", outline(over, points, y, math.NaN()), "a gap for unknown values")
	assert.Equal(t, "M46 100V90H239V100ZM354.8 100V80H432V100Z", outline(over, points, y, 100))
	assert.Empty(t, outline(over, nil, y, math.NaN()))
}

func TestThin(t *testing.T) {
	over := spanOf(begin, begin.Add(window), window, sparkSteps)
	var points []point
	for i := range 720 {
		points = append(points, point{over.from.UnixMilli() + int64(i)*5000, float64(i % 7)})
	}
	thinned := thin(over, points)
	assert.InDelta(t, 130, len(thinned), 2)
	assert.Equal(t, points[719], thinned[len(thinned)-1], "the current value is included")
}

func TestAxes(t *testing.T) {
	over := spanOf(begin, begin.Add(2*time.Hour), window, chartSteps)
	assert.Equal(t, window, over.to.Sub(over.from))
	line := func(values ...float64) []series {
		var s series
		for i, v := range values {
			s.add(over.from.UnixMilli()+int64(i), v)
		}
		return []series{s}
	}
	texts := func(c chart) (texts []string) {
		for _, y := range c.Y {
			texts = append(texts, y.Text)
		}
		return texts
	}
	assert.Equal(t, []string{"0", "50", "100", "150", "200"}, texts(newChart("", "", unitCores, over, line(184))))
	assert.Equal(t, []string{"0", "0.1", "0.2", "0.3"}, texts(newChart("", "", unitCores, over, line(.25))))
	assert.Equal(t, []string{"0", "1"}, texts(newChart("", "", unitPods, over, line(0))))
	assert.Equal(t, []string{"0", "1", "2", "3"}, texts(newChart("", "", unitPods, over, line(3))))
	assert.Equal(t, []string{"-20", "0", "20", "40"}, texts(newChart("", "", unitPods, over, line(-15, 40))), "overcommitted")
	memory := newChart("", "", unitBytes, over, line(480<<30))
	assert.Equal(t, "GiB", memory.Unit)
	assert.Equal(t, []string{"0", "200", "400", "600"}, texts(memory))
	x := over.ticks()
	assert.Equal(t, []string{"10:00", "10:10", "10:20", "10:30", "10:40", "10:50"}, []string{x[0].Text, x[1].Text, x[2].Text, x[3].Text, x[4].Text, x[5].Text})
}
