// Package agent is the process in the pods of a MiniCluster: it starts, supervises and stops the Flux broker, runs the
// user's hooks and commands, and reports their result to the Job with its exit code.
//
// It is one program with subcommands, see Run. The plan (package plan) says what they do. This package has the main
// flow only; the work is done by the packages below it:
//
//	prepare    files, users, environment and command line of the broker
//	hooks      the user's shell commands around Flux
//	supervise  the broker: start, restart, stop, exit code of the pod
//	initial    the initial program of the lead broker, which runs the user's program
//	archive    saving and restoring the content of the instance
//	hibernate  the record that keeps a lead of a cluster that hibernates from running jobs
//	serve      health, metrics and the requests of the controller over HTTP
//	sidecar    containers beside Flux
//	reaper     child processes
//	shutdown   the request of Kubernetes to stop, and the grace period
//	pod        what all of them know: plan, environment, files that the containers of a pod share
//
// None of them imports a Kubernetes library: the agent runs in every pod and has to stay small.
package agent
