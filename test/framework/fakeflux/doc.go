// Command fakeflux replaces the program flux where there is no real Flux: in the
// pods of the end-to-end tests in CI. Tests of pods that start, stop, drain and
// fail need no more.
//
// The services of the broker and the state behind them are those of package
// fluxtest, which unit tests use as well. This program adds what makes an
// instance of them: the configuration, the certificate and the state machine of a
// broker, a scheduler, processes, followers, and Flux's commands.
//
// It is strict: it rejects the configurations, certificates and broker attributes that the real broker rejects.
// Followers connect to the lead over plain TCP and send the messages of a local socket; there is no overlay network
// and no CURVE. A job is a set of local processes on the host of the lead broker, whatever nodes are allocated to it.
//
// Its behavior must not change without the tests in ./contract, which also run
// against the real Flux.
package main
