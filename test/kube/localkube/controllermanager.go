package main

import (
	"context"
	"fmt"

	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controlleroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"

	"minicluster.internal/operator/test/kube/pki"
)

// runControllerManager returns when the context ends.
func runControllerManager(ctx context.Context, o options) error {
	manager, err := controlleroptions.NewKubeControllerManagerOptions()
	if err != nil {
		return fmt.Errorf("creating the options of kube-controller-manager: %w", err)
	}
	known, disabled, aliases := app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()
	sets := manager.Flags(known, disabled, aliases)
	manager.ParsedFlags = &sets
	if err := parseFlags("kube-controller-manager", sets, controllerManagerFlags(o), o.controllerManagerArgs); err != nil {
		return err
	}
	config, err := manager.Config(ctx, known, disabled, aliases)
	if err != nil {
		return fmt.Errorf("checking the options of kube-controller-manager: %w", err)
	}
	return app.Run(ctx, config.Complete())
}

func controllerManagerFlags(o options) []string {
	return append(clientFlags(o, controllerManagerKubeconfigFile),
		"--root-ca-file="+o.pki(pki.CACertificate),
		"--service-account-private-key-file="+o.pki(pki.ServiceAccountKey),
		"--cluster-signing-cert-file="+o.pki(pki.CACertificate),
		"--cluster-signing-key-file="+o.pki(pki.CAKey),
		// With the default settings of autoscaling, a test of it would take ten minutes.
		"--horizontal-pod-autoscaler-sync-period=5s",
		"--horizontal-pod-autoscaler-downscale-stabilization=20s",
		"--horizontal-pod-autoscaler-cpu-initialization-period=5s",
		"--horizontal-pod-autoscaler-initial-readiness-delay=5s",
	)
}

// clientFlags returns the common flags of the scheduler and the controller manager. They run alone, so they elect no
// leader; they are not scraped, so they open no port; and they share a machine with the API server, so the usual
// limits on requests would only slow the tests down.
func clientFlags(o options, kubeconfig string) []string {
	return []string{
		"--kubeconfig=" + o.path(kubeconfig),
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	}
}
