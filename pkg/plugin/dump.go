package plugin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// newDumpCommand returns the command that saves the state of Flux to a local file.
func newDumpCommand(f *factory) *cobra.Command {
	return &cobra.Command{
		Use:   "dump NAME FILE",
		Short: "Save the state of Flux to a local file",
		Long: `Save the state of a Flux instance, which consists of its jobs and the key-value store,
to a local file with flux dump, while the MiniCluster runs. - is the standard output.
The file is complete or does not change.`,
		Example:           `  kubectl minicluster dump sample sample.tar`,
		Args:              needArguments(2, 2),
		ValidArgsFunction: f.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.session()
			if err != nil {
				return err
			}
			return s.dump(cmd.Context(), args[0], args[1])
		},
	}
}

// newRestoreCommand returns the command that loads a saved state into the key-value store of Flux.
func newRestoreCommand(f *factory) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "restore NAME FILE",
		Short: "Load a saved state into the key-value store of Flux",
		Long: `Load a file of kubectl minicluster dump into a running MiniCluster with flux restore:
below a key, where flux kvs reads it. Nothing that the MiniCluster has is overwritten,
and no job is submitted. - is the standard input.

A new MiniCluster continues with the jobs of another one through
kubectl minicluster create --restore-from.`,
		Example:           `  kubectl minicluster restore sample sample.tar --key=before`,
		Args:              needArguments(2, 2),
		ValidArgsFunction: f.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.session()
			if err != nil {
				return err
			}
			return s.restore(cmd.Context(), args[0], args[1], key)
		},
	}
	cmd.Flags().StringVar(&key, "key", "restored", "Key of the directory in the key-value store.")
	return cmd
}

// dumpArguments are the arguments of flux that write an archive to the standard output.
func dumpArguments() []string { return []string{"dump", "--quiet", "-"} }

// restoreArguments are the arguments of flux that read an archive from the standard input.
func restoreArguments(key string) []string {
	return []string{"restore", "--quiet", "--key=" + key, "-"}
}

// dump writes the state of Flux to a file that gets its name when it is complete.
func (s *session) dump(ctx context.Context, name, file string) error {
	mc, lead, err := s.leadOf(ctx, name)
	if err != nil {
		return err
	}
	if file == "-" {
		return s.dumpTo(ctx, mc, lead, s.Out)
	}
	partial, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(partial.Name()) }()
	defer partial.Close()
	if err := s.dumpTo(ctx, mc, lead, partial); err != nil {
		return err
	}
	size, err := partial.Seek(0, io.SeekEnd)
	if err == nil {
		err = partial.Sync()
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := os.Rename(partial.Name(), file); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "minicluster/%s: %d bytes saved to %s\n", name, size, file)
	return nil
}

func (s *session) dumpTo(ctx context.Context, mc *v1alpha2.MiniCluster, lead *corev1.Pod, out io.Writer) error {
	return s.fluxStream(ctx, mc, lead, nil, out, dumpArguments()...)
}

// restore loads a file below a key.
func (s *session) restore(ctx context.Context, name, file, key string) error {
	in := s.In
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	mc, lead, err := s.leadOf(ctx, name)
	if err != nil {
		return err
	}
	if err := s.fluxStream(ctx, mc, lead, in, io.Discard, restoreArguments(key)...); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "minicluster/%s: restored below the key %s: see `kubectl minicluster connect %s -- flux kvs dir %s`\n", name, key, name, key)
	return nil
}

// fluxStream runs a flux command in the lead pod with streams. The error of a command that fails has its error output.
func (s *session) fluxStream(
	ctx context.Context, mc *v1alpha2.MiniCluster, lead *corev1.Pod, in io.Reader, out io.Writer, args ...string,
) error {
	var stderr bytes.Buffer
	err := s.executor.Execute(ctx, execution{
		pod: lead, container: mc.Name, command: fluxCommand(args...), stdin: in, stdout: out, stderr: &stderr,
	})
	if text := strings.TrimSpace(stderr.String()); err != nil && text != "" {
		return fmt.Errorf("flux %s: %s", args[0], text)
	}
	return err
}
