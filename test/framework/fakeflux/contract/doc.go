// Package contract holds what a program must do to pass for flux, as far as this
// project relies on it. Its tests run against fakeflux always, and against the
// real Flux too when there is one on PATH.
package contract
