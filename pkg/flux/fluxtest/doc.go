// Package fluxtest is a stand-in for a Flux broker, for tests: it listens on a
// local socket and speaks the protocol of one.
//
// A [Broker] answers the requests that it has handlers for. An [Instance] adds
// the services of a small Flux instance and the state behind them: nodes that
// are online, drained and allocated, jobs and queues. Unit tests change this
// state directly. The program test/framework/fakeflux puts a scheduler,
// processes, followers and Flux's commands around it, for pods.
//
// The services must answer like Flux 0.88, or like 0.49 if [Config] says so: the contract tests of pkg/flux and
// test/framework/fakeflux run against this package and against a real Flux. Do not add behavior that is not part of a
// service of Flux: running and ending jobs belongs to the users of this package.
package fluxtest
