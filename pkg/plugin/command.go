package plugin

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/component-base/version"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// NewCommand returns the command kubectl-minicluster, which kubectl runs as kubectl minicluster.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	return newCommand(&factory{config: genericclioptions.NewConfigFlags(true), streams: streams})
}

func newCommand(f *factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "minicluster",
		Short: "Work with MiniClusters: Flux clusters in Kubernetes",
		Long: `kubectl minicluster creates, inspects and scales MiniClusters, and runs Flux
commands in them. It needs no rights but those of the user.`,
		Example: `  kubectl minicluster create sample --image IMAGE --size 4
  kubectl minicluster status sample
  kubectl minicluster run sample -N4 hostname
  kubectl minicluster doctor sample`,
		Version:       version.Get().GitVersion,
		SilenceUsage:  true,
		SilenceErrors: true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl minicluster"},
	}
	cmd.SetIn(f.streams.In)
	cmd.SetOut(f.streams.Out)
	cmd.SetErr(f.streams.ErrOut)
	f.config.AddFlags(cmd.PersistentFlags())
	cmd.AddCommand(
		newGetCommand(f), newStatusCommand(f), newTopCommand(f), newCreateCommand(f), newScaleCommand(f),
		newConnectCommand(f), newRunCommand(f), newSubmitCommand(f), newJobsCommand(f), newLogsCommand(f),
		newDrainCommand(f), newUndrainCommand(f), newDoctorCommand(f),
		newSuspendCommand(f), newResumeCommand(f), newDumpCommand(f), newRestoreCommand(f), newLintCommand(f), newRenderCommand(f), newVersionCommand(f),
	)
	return cmd
}

// Explain adds the remedy to the error of a server that does not have the API.
func Explain(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsNotFound(err) || !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
		return err
	}
	if details := status.Status().Details; details.Group != v1alpha2.SchemeGroupVersion.Group {
		return err
	}
	return fmt.Errorf("%w: the server does not have %s: install the operator", err, v1alpha2.SchemeGroupVersion)
}

// newVersionCommand returns the command that prints the versions of the plugin and of the installed API.
func newVersionCommand(f *factory) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of the plugin and of the server",
		Example: `  kubectl minicluster version`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(f.streams.Out, "Client:     ", version.Get().GitVersion)
			s, err := f.session()
			if err != nil {
				return err
			}
			server, err := s.kube.Discovery().ServerVersion()
			if err != nil {
				return fmt.Errorf("reading the version of the server: %w", err)
			}
			fmt.Fprintln(f.streams.Out, "Kubernetes: ", server.GitVersion)
			for _, c := range s.controllers(cmd.Context()) {
				fmt.Fprintln(f.streams.Out, c)
			}
			return nil
		},
	}
}
