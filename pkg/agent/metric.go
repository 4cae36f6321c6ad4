package agent

import (
	"flag"
	"fmt"
	"time"

	"minicluster.internal/operator/pkg/agent/appmetric"
	"minicluster.internal/operator/pkg/agent/pod"
)

// metricCommand is the subcommand with which an application sets a metric.
const metricCommand = "metric"

const metricUsage = `usage: minicluster-agent metric set [--expires 5m] NAME VALUE
       minicluster-agent metric unset NAME
`

// metric sets or removes a metric of the application. It works in the pod of the lead broker only: Flux does not let
// followers run commands there.
func (a *agent) metric(args []string) int {
	flags := flag.NewFlagSet(metricCommand, flag.ContinueOnError)
	flags.SetOutput(a.Stderr)
	flags.Usage = func() { fmt.Fprint(a.Stderr, metricUsage) }
	expiry := flags.Duration("expires", appmetric.DefaultExpiry, "how long the value is served")
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
	if err != nil {
		fmt.Fprintln(a.Stderr, "minicluster-agent:", err)
		return 1
	}
	return 0
}
