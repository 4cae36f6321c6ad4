// Package agent is the process in the pods of a MiniCluster: it starts, supervises
// and stops the Flux broker, runs the user's hooks and commands, and tells the Job
// by its exit code how they ended.
//
// Its parts are subcommands of one program, see Main. What they do is told by the
// plan (package plan); files, users and the command line of the broker are the work
// of package prepare, children that of package process.
package agent
