package plugin

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

// newRunCommand returns the command that runs a Flux job and shows its output.
func newRunCommand(f *factory) *cobra.Command {
	return fluxSubcommand(f, &cobra.Command{
		Use:   "run NAME [FLAGS OF flux run] COMMAND [ARGUMENT...]",
		Short: "Run a job and show its output",
		Long: `Run a job in a MiniCluster with flux run, and show its output. Everything after
the name is passed to flux run. The exit code is that of the job. A MiniCluster that
hibernates is woken first; --wake=false before the name prevents that.`,
		Example: `  kubectl minicluster run sample -N4 -n8 hostname`,
	}, 1, "run")
}

// newSubmitCommand returns the command that submits a Flux job.
func newSubmitCommand(f *factory) *cobra.Command {
	return fluxSubcommand(f, &cobra.Command{
		Use:   "submit NAME [FLAGS OF flux submit] COMMAND [ARGUMENT...]",
		Short: "Submit a job and print its id",
		Long: `Submit a job to a MiniCluster with flux submit. Everything after the name is
passed to flux submit: --watch shows the output of the job, --cc=1-10 submits it
ten times. A MiniCluster that hibernates is woken first; --wake=false before the name
prevents that.`,
		Example: `  kubectl minicluster submit sample -N2 sleep 60
  kubectl minicluster submit --wake=false sample hostname`,
	}, 1, "submit")
}

// newJobsCommand returns the command that lists Flux jobs.
func newJobsCommand(f *factory) *cobra.Command {
	return fluxSubcommand(f, &cobra.Command{
		Use:     "jobs NAME [FLAGS OF flux jobs]",
		Short:   "List jobs",
		Long:    `List the jobs of a MiniCluster with flux jobs: -a includes jobs that have ended.`,
		Example: `  kubectl minicluster jobs sample -a`,
	}, 0, "jobs", "-A")
}

// newDrainCommand returns the command that drains ranks.
func newDrainCommand(f *factory) *cobra.Command {
	return fluxSubcommand(f, &cobra.Command{
		Use:   "drain NAME RANKS [REASON...]",
		Short: "Drain ranks: no new job starts on them",
		Long: `Drain ranks with flux resource drain. Running jobs end, and no new job starts on
the ranks. RANKS is a set such as 3 or 2-5.`,
		Example: `  kubectl minicluster drain sample 3 bad memory`,
	}, 1, "resource", "drain")
}

// newUndrainCommand returns the command that undrains ranks.
func newUndrainCommand(f *factory) *cobra.Command {
	return fluxSubcommand(f, &cobra.Command{
		Use:     "undrain NAME RANKS",
		Short:   "Undrain ranks: jobs may start on them again",
		Example: `  kubectl minicluster undrain sample 3`,
	}, 1, "resource", "undrain")
}

// fluxSubcommand completes a command that passes its arguments, after the name of the MiniCluster, to a flux command.
// least is the number of further arguments that it needs.
func fluxSubcommand(f *factory, cmd *cobra.Command, least int, flux ...string) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := needName(cmd, args); err != nil {
			return err
		}
		if len(args) <= least {
			_, usage, _ := strings.Cut(cmd.Use, "NAME ")
			return errors.New("missing arguments after the name: " + usage)
		}
		return nil
	}
	cmd.ValidArgsFunction = f.completeNames
	cmd.DisableFlagsInUseLine = true
	// Flags after the name belong to Flux.
	cmd.Flags().SetInterspersed(false)
	wakes := false
	if flux[0] == "run" || flux[0] == "submit" {
		cmd.Flags().BoolVar(&wakes, "wake", true, "Wake a MiniCluster that hibernates, and wait until it is ready.")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := f.session()
		if err != nil {
			return err
		}
		if wakes {
			if err := s.awake(cmd.Context(), args[0]); err != nil {
				return err
			}
		}
		return s.runFlux(cmd.Context(), args[0], append(append([]string{}, flux...), args[1:]...)...)
	}
	return cmd
}

// newConnectCommand returns the command that opens a shell in the lead pod.
func newConnectCommand(f *factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "connect NAME [-- COMMAND [ARGUMENT...]]",
		Short: "Open a shell that is connected to Flux",
		Long: `Open a shell in the lead pod as the user of the broker, with the environment of
Flux. With a command, run that instead.`,
		Example: `  kubectl minicluster connect sample
  kubectl minicluster connect sample -- flux resource list`,
		Args:              needName,
		ValidArgsFunction: f.completeNames,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := f.session()
		if err != nil {
			return err
		}
		if len(args) > 1 {
			return s.runFlux(cmd.Context(), args[0], append([]string{"env"}, args[1:]...)...)
		}
		mc, lead, err := s.leadOf(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		// bash where the image has it. The first argument after the script is its name.
		const shell = `if command -v bash >/dev/null; then exec bash -i; fi; exec sh -i`
		command := fluxCommand("env", "sh", "-c", shell)
		if !isTerminal(s.In) {
			command = fluxCommand("env", "sh")
			return s.executor.Execute(cmd.Context(), execution{
				pod: lead, container: mc.Name, command: command, stdin: s.In, stdout: s.Out, stderr: s.ErrOut,
			})
		}
		return s.terminal(cmd.Context(), execution{pod: lead, container: mc.Name, command: command})
	}
	return cmd
}
