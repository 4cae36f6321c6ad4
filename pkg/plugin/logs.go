package plugin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

type logOptions struct {
	follow    bool
	all       bool
	container string
	tail      int64
}

// newLogsCommand returns the command that prints the log of the program, or the output of a job.
func newLogsCommand(f *factory) *cobra.Command {
	o := &logOptions{}
	cmd := &cobra.Command{
		Use:   "logs NAME [JOBID]",
		Short: "Print the log of the program, or the output of a job",
		Long: `Print the log of the lead pod, which has the output of the program of the
MiniCluster. With a job id, print the output of that Flux job.`,
		Example: `  kubectl minicluster logs sample --follow
  kubectl minicluster logs sample --all-ranks
  kubectl minicluster logs sample ƒ2oVyk`,
		Args:              needArguments(1, 2),
		ValidArgsFunction: f.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.session()
			if err != nil {
				return err
			}
			if len(args) == 2 {
				return s.runFlux(cmd.Context(), args[0], "job", "attach", args[1])
			}
			return s.logs(cmd.Context(), args[0], o)
		},
	}
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "Print new lines until the container ends.")
	cmd.Flags().BoolVar(&o.all, "all-ranks", false, "Print the logs of all pods, each line with the rank in front.")
	cmd.Flags().StringVarP(&o.container, "container", "c", "", "The container; by default the one that runs Flux.")
	cmd.Flags().Int64Var(&o.tail, "tail", -1, "Number of lines at the end of the log; -1 for all lines.")
	return cmd
}

func (s *session) logs(ctx context.Context, name string, o *logOptions) error {
	mc, err := s.miniCluster(ctx, name)
	if err != nil {
		return err
	}
	if !o.all {
		lead, err := s.leadPod(ctx, mc, false)
		if err != nil {
			return err
		}
		return s.copyLog(ctx, lead, mc, o, s.Out)
	}
	pods, err := s.pods(ctx, mc)
	if err != nil {
		return err
	}
	pods = slices.DeleteFunc(pods, func(pod corev1.Pod) bool { _, ok := resources.PodIndex(&pod); return !ok })
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		i, _ := resources.PodIndex(&a)
		j, _ := resources.PodIndex(&b)
		return int(i - j)
	})
	if !o.follow {
		for i := range pods {
			if err := s.copyLog(ctx, &pods[i], mc, o, &prefixWriter{out: s.Out, prefix: rankPrefix(&pods[i])}); err != nil {
				return err
			}
		}
		return nil
	}
	var group errgroup.Group
	var mu sync.Mutex
	for i := range pods {
		group.Go(func() error {
			return s.copyLog(ctx, &pods[i], mc, o, &prefixWriter{out: s.Out, prefix: rankPrefix(&pods[i]), mu: &mu})
		})
	}
	return group.Wait()
}

func rankPrefix(pod *corev1.Pod) string {
	index, _ := resources.PodIndex(pod)
	return fmt.Sprintf("%d: ", index)
}

func (s *session) copyLog(ctx context.Context, pod *corev1.Pod, mc *v1alpha2.MiniCluster, o *logOptions, out io.Writer) error {
	options := &corev1.PodLogOptions{Container: o.container, Follow: o.follow}
	if options.Container == "" {
		options.Container = mc.Name
	}
	if o.tail >= 0 {
		options.TailLines = &o.tail
	}
	log, err := s.kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).Stream(ctx)
	if err != nil {
		return fmt.Errorf("reading the log of pod %s: %w", pod.Name, err)
	}
	defer log.Close()
	if _, err := io.Copy(out, log); err != nil {
		return fmt.Errorf("reading the log of pod %s: %w", pod.Name, err)
	}
	if p, ok := out.(*prefixWriter); ok {
		return p.flush()
	}
	return nil
}

// prefixWriter writes whole lines, each with a prefix. Several of them may share the output and the mutex.
type prefixWriter struct {
	out     io.Writer
	prefix  string
	mu      *sync.Mutex
	pending []byte
}

func (w *prefixWriter) Write(data []byte) (int, error) {
	w.pending = append(w.pending, data...)
	for {
		advance, line, _ := bufio.ScanLines(w.pending, false)
		if advance == 0 {
			return len(data), nil
		}
		if err := w.line(line); err != nil {
			return 0, err
		}
		w.pending = w.pending[advance:]
	}
}

func (w *prefixWriter) line(line []byte) error {
	if w.mu != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
	}
	_, err := fmt.Fprintf(w.out, "%s%s\n", w.prefix, line)
	return err
}

// flush writes a last line that has no line end.
func (w *prefixWriter) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	line := w.pending
	w.pending = nil
	return w.line(line)
}
