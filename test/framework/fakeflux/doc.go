// Command fakeflux takes the place of the program flux where no real Flux can
// be had: in the pods of the end-to-end tests in CI. It exists so that pods can
// be seen to come, go, drain and fail.
//
// It is strict: it reads broker.toml and the certificate, refuses what the real
// broker refuses, and knows no broker attribute that the real one doesn't know.
// Followers announce themselves to the lead over plain TCP by DNS name; there is
// no overlay network and no CURVE. A job is a set of local processes beside the
// lead broker, whatever nodes it was given.
//
// What it does is pinned by the tests in ./contract, which also run against the
// real Flux.
package main
