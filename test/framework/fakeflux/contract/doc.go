// Package contract tests what this project expects of the program flux. The tests run against fakeflux and, where it is
// on PATH, against the real Flux. An expectation is added here before fakeflux changes.
package contract
