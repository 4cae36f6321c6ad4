// Package contract tests what this project expects of the program flux. The tests run against fakeflux and, where it
// is on PATH, against the real Flux. Add an expectation here before you change fakeflux.
package contract
