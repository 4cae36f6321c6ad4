package main

import (
	"cmp"
	"context"
	"fmt"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// queueCommand is a subcommand of flux queue.
func queueCommand(c *flux.Client, what string, o options) error {
	in := fluxtest.QueueRequest{All: o.has("all"), Reason: o.last("message"), Name: cmp.Or(o.Arg(0), o.last("queue"))}
	show := !o.has("quiet")
	var err error
	switch what {
	case "start", "stop":
		in.Start = what == "start"
		err = call(c, "job-manager.queue-start", in, nil)
	case "enable", "disable":
		in.Enable = what == "enable"
		in.Reason = cmp.Or(in.Reason, "disabled by administrator")
		err = call(c, "job-manager.queue-enable", in, nil)
	case "status":
	case "idle":
		var out struct {
			Pending int `json:"pending"`
		}
		err = call(c, "job-manager.idle", struct{}{}, &out)
		if err == nil && show && out.Pending > 0 {
			fmt.Printf("%d jobs\n", out.Pending)
		}
		return err
	}
	if err != nil || !show {
		return err
	}
	return printQueues(c, what, in.Name)
}

func printQueues(c *flux.Client, what, name string) error {
	queues, err := c.Queues(context.Background())
	if err != nil {
		return err
	}
	for _, q := range queues {
		if name != "" && q.Name != name {
			continue
		}
		prefix := ""
		if q.Name != "" {
			prefix = q.Name + ": "
		}
		if what == "status" || what == "enable" || what == "disable" {
			if q.Enabled {
				fmt.Println(prefix + "Job submission is enabled")
			} else {
				fmt.Println(prefix + "Job submission is disabled: " + q.DisableReason)
			}
		}
		if what == "status" || what == "start" || what == "stop" {
			text := "Scheduling is started"
			if !q.Started {
				text = "Scheduling is stopped"
				if q.StopReason != "" {
					text += ": " + q.StopReason
				}
			}
			fmt.Println(prefix + text)
		}
	}
	return nil
}
