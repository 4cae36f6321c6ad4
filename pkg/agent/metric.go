package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"minicluster.internal/operator/pkg/agent/appmetric"
	"minicluster.internal/operator/pkg/agent/hooks"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/prepare"
)

// metricCommand is the subcommand with which an application sets a metric.
const metricCommand = "metric"

const metricUsage = `usage: minicluster-agent metric set [--expires 5m] NAME VALUE
       minicluster-agent metric unset NAME
`

// metric sets or removes a metric of the application. In the pod of a follower, it runs itself in the pod of the lead
// broker.
func (a *agent) metric(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet(metricCommand, flag.ContinueOnError)
	flags.SetOutput(a.Stderr)
	flags.Usage = func() { fmt.Fprint(a.Stderr, metricUsage) }
	expiry := flags.Duration("expires", appmetric.DefaultExpiry, "how long the value is served")
	local := flags.Bool("local", false, "do not run in another pod")
	wanted := map[string]int{"set": 2, "unset": 1}
	if len(args) == 0 || wanted[args[0]] == 0 {
		flags.Usage()
		return exitUsage
	}
	action := args[0]
	if err := flags.Parse(args[1:]); err != nil {
		return exitUsage
	}
	if flags.NArg() != wanted[action] {
		flags.Usage()
		return exitUsage
	}
	dir, now := a.File(pod.DirMetrics), time.Now()
	var err error
	if action == "set" {
		var value appmetric.Value
		if value, err = appmetric.Parse(flags.Arg(0), flags.Arg(1), *expiry, now); err == nil {
			err = appmetric.Set(dir, value, now)
		}
	} else {
		err = appmetric.Unset(dir, flags.Arg(0))
	}
	if errors.Is(err, appmetric.ErrNoDirectory) && !*local {
		return a.onLead(ctx, append([]string{action, "--local", "--expires", expiry.String()}, flags.Args()...))
	}
	if err != nil {
		fmt.Fprintln(a.Stderr, "minicluster-agent:", err)
		return 1
	}
	return 0
}

// onLead replaces this process by the same command in the pod of the lead broker, where the agent has the same path.
func (a *agent) onLead(ctx context.Context, args []string) int {
	self := a.SelfCommand(append([]string{metricCommand}, args...)...)
	o := prepare.Options{Root: a.PrepareRoot(), Environ: a.Environ}
	command, err := prepare.FluxCommand(ctx, a.Plan, o, append([]string{"exec", "--rank=0", "--"}, self...))
	if err == nil {
		err = command.Exec()
	}
	fmt.Fprintln(a.Stderr, "minicluster-agent:", err)
	return hooks.ExitNotStarted(err)
}
