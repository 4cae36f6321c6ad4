package main

import (
	"context"
	"fmt"

	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// runScheduler returns when the context ends.
func runScheduler(ctx context.Context, o options) error {
	scheduler := scheduleroptions.NewOptions()
	if err := parseFlags("kube-scheduler", *scheduler.Flags, clientFlags(o, schedulerKubeconfigFile), o.schedulerArgs); err != nil {
		return err
	}
	config, instance, err := app.Setup(ctx, scheduler)
	if err != nil {
		return fmt.Errorf("setting up kube-scheduler: %w", err)
	}
	err = app.Run(ctx, config, instance)
	if ctx.Err() != nil {
		// Without leader election the scheduler returns an error for every end, including a requested one.
		return nil
	}
	return err
}
