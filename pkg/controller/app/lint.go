package app

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"minicluster.internal/operator/pkg/controller/resources"
)

// fileFlags are the flags of the commands that read documents.
type fileFlags struct {
	files     []string
	namespace string
	server    string
}

// complete adds the common parts to a command that reads documents.
func (o *fileFlags) complete(cmd *cobra.Command, options *Options, run func(documents []document, environment resources.Environment) error) {
	cmd.Args = cobra.NoArgs
	cmd.SilenceUsage = true
	// Replaces the hook that configures the log: these commands print errors as plain text.
	cmd.PersistentPreRun = func(*cobra.Command, []string) {}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		environment, err := o.environment(options)
		if err != nil {
			return err
		}
		documents, err := readFiles(o.files, cmd.InOrStdin(), o.namespace)
		if err != nil {
			return err
		}
		return run(documents, environment)
	}
	fs := cmd.Flags()
	fs.StringSliceVarP(&o.files, "filename", "f", nil, "Files with MiniClusters, of one or more documents; - is the standard input.")
	fs.StringVarP(&o.namespace, "namespace", "n", "default", "Namespace of documents that do not set one.")
	fs.StringVar(&o.server, "kubernetes-version", "", "Kubernetes version to check against, for example 1.29. Unset: the newest.")
}

// hostPath is the storage class of volumes in directories of the nodes.
const hostPath = "hostpath"

// newLintCommand returns the command that reports problems of MiniClusters.
func newLintCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lint -f FILE",
		Short: "Checks MiniClusters without a cluster",
		Long: `lint reads MiniClusters of both API versions and says, field by field, what is
wrong with them and what will have no effect. It needs no Kubernetes cluster. It
ends with an error if a document is not valid.`,
		Example: `  minicluster-controller lint -f minicluster.yaml
  kubectl get miniclusters -A -o yaml | minicluster-controller lint -f -`,
	}
	(&fileFlags{}).complete(cmd, NewOptions(), func(documents []document, environment resources.Environment) error {
		return lint(cmd.OutOrStdout(), documents, environment)
	})
	return cmd
}

func lint(out io.Writer, documents []document, environment resources.Environment) error {
	wrong := 0
	for _, d := range documents {
		for _, problem := range d.problems {
			fmt.Fprintf(out, "%s: error: %s\n", d.where, problem)
		}
		if len(d.problems) > 0 {
			wrong++
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(d.mc.Spec.Volumes)) {
			flag := "a PersistentVolume, which only a controller with --persistent-volumes accepts for the driver " + d.mc.Spec.Volumes[name].Driver
			if d.mc.Spec.Volumes[name].StorageClass == hostPath {
				flag = "a directory of the nodes, which only a controller with --allow-hostpath-volumes accepts"
			}
			fmt.Fprintf(out, "%s: warning: spec.volumes[%s]: %s\n", d.where, name, flag)
		}
		for _, line := range resources.Warnings(d.mc, resources.NewFixed(d.mc)) {
			fmt.Fprintf(out, "%s: warning: %s\n", d.where, line)
		}
		for _, line := range resources.IneffectiveFields(d.mc, resources.NewFixed(d.mc), environment) {
			fmt.Fprintf(out, "%s: without effect: %s\n", d.where, line)
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d documents are not valid", wrong, len(documents))
	}
	return nil
}
