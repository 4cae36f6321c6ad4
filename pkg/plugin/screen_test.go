package plugin

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// terminal opens a pseudo terminal. The returned function closes the program's side and returns what it has written.
func terminal(t *testing.T, width, height uint16) (*os.File, func() string) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	fd := int(control.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}))
	written := make(chan string)
	go func() {
		var all bytes.Buffer
		_, _ = io.Copy(&all, control) // ends with an error when the other side is closed
		written <- strings.ReplaceAll(all.String(), "\r\n", "\n")
	}()
	return program, func() string {
		require.NoError(t, program.Close())
		text := <-written
		require.NoError(t, control.Close())
		return text
	}
}

// onTerminal runs a command in a terminal, and returns what it shows.
func (f *fixture) onTerminal(width, height uint16, args ...string) string {
	f.Helper()
	text, err := f.tryOnTerminal(width, height, args...)
	require.NoError(f, err)
	return text
}

func (f *fixture) tryOnTerminal(width, height uint16, args ...string) (string, error) {
	f.Helper()
	f.Setenv("TERM", "xterm")
	out, end := terminal(f.T, width, height)
	streams := genericiooptions.IOStreams{In: f.in, Out: out, ErrOut: f.err}
	cmd := newCommand(&factory{
		config: genericclioptions.NewConfigFlags(true), streams: streams,
		test: &session{IOStreams: streams, kube: f.kube, flux: f.flux, namespace: "team", executor: f.executor},
	})
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(f.Context())
	return end(), err
}

// troubled is a MiniCluster with a long message.
func troubled(t *testing.T) *fixture {
	mc := sample(
		condition(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonImagePullFailed,
			"0 of 4 pods are ready; the image registry.example.com/team/application:v1.2.3 can't be pulled: not found; check the name of the image"),
		func(mc *v1alpha2.MiniCluster) { mc.Status.ReadySize = 0 },
	)
	f := newFixture(t, append(podsOf(jobOf(t, mc, 4, 0), 4), mc, autoscaler("on-queue"))...)
	f.executor.answers = answers
	return f
}

// No line is longer than the terminal, and nothing is lost.
func TestStatusInTerminal(t *testing.T) {
	whole := strings.Fields(troubled(t).must("status", "sample"))
	for _, width := range []uint16{60, 80, 120} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			text := troubled(t).onTerminal(width, 50, "status", "sample")
			for line := range strings.Lines(text) {
				assert.LessOrEqual(t, visible(strings.TrimSuffix(line, "\n")), int(width), line)
			}
			assert.Contains(t, text, "\x1b[31mImagePullFailed\x1b[0m")
			assert.Equal(t, whole, strings.Fields(escape.ReplaceAllString(text, "")))
		})
	}
	t.Setenv("NO_COLOR", "1")
	assert.NotContains(t, troubled(t).onTerminal(80, 24, "status", "sample"), "\x1b")
}

// An update fits on the screen, so that the screen does not scroll.
func TestTopInTerminal(t *testing.T) {
	for _, size := range [][2]uint16{{60, 10}, {80, 24}, {120, 50}} {
		text := troubled(t).onTerminal(size[0], size[1], "top", "sample", "--count=1")
		text, found := strings.CutPrefix(text, clearScreen)
		require.True(t, found)
		assert.Less(t, strings.Count(text, "\n"), int(size[1]), text)
		assert.Equal(t, size[1] == 10, strings.Contains(text, " more lines)"), text)
	}
	t.Setenv("NO_COLOR", "1")
	text := troubled(t).onTerminal(80, 24, "top", "sample", "--count=1")
	assert.NotContains(t, strings.TrimPrefix(text, clearScreen), "\x1b")
}

// cpu returns the CPU time of this process: unlike time, it does not depend on other processes.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Of many MiniClusters, those with problems are on the screen.
func TestTopOfMany(t *testing.T) {
	const many = 500
	objects := make([]runtime.Object, 0, many)
	for i := range many {
		mc := sample(func(mc *v1alpha2.MiniCluster) {
			mc.Name, mc.UID = fmt.Sprintf("cluster-%03d", i), ""
			if i%100 == 99 {
				condition(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonUnschedulable, "no node")(mc)
			}
		})
		objects = append(objects, mc)
	}
	f := newFixture(t, objects...)
	begin := cpu(t)
	text := f.onTerminal(60, 24, "top", "--count=1")
	assert.Less(t, cpu(t)-begin, 10*time.Second)
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(text, clearScreen), "\n"), "\n")
	require.Len(t, lines, 23)
	assert.Contains(t, lines[0], "500 MiniClusters\x1b[0m, 5 with problems, 2000 of 2000 pods ready")
	for _, line := range lines[2:7] {
		assert.Contains(t, line, "Unschedulable")
	}
	assert.Equal(t, "(480 more)", lines[22])
	assert.Regexp(t, `^\S+Z clusters=500 problems=5 size=2000 ready=2000\n$`, f.must("top", "--count=1"))
}

func TestWrap(t *testing.T) {
	on := screen{width: 30}
	assert.Equal(t, "short\n", on.wrap("short\n"))
	assert.Equal(t, "  Lead        aaaaaaaaaa\n              bbbbbbbbbbbb\n", on.wrap("  Lead        aaaaaaaaaa bbbbbbbbbbbb\n"))
	long := strings.Repeat("x", 40)
	assert.Equal(t, long+"\n", on.wrap(long+"\n"), "a word that is too long is not broken")
	assert.Equal(t, long+" "+long+"\n", screen{}.wrap(long+" "+long+"\n"), "no terminal")
}
