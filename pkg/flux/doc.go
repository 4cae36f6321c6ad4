// Package flux is a client of a Flux broker's local socket.
//
// It speaks RFC 3 messages over the stream socket of the local connector,
// without cgo and without libflux, and imports nothing but the standard
// library, so that a program that uses it stays small and static.
//
// A [Client] is one connection. Any number of goroutines may call it at once:
// every request carries a tag of its own, and a response is handed to the
// request that it answers. [Client.Call] and [Client.Stream] reach any service;
// the methods beside them, one file each, are the calls that this project
// needs, and their comments name the service.
//
// Flux's documents that this package follows: RFC 3 (messages), RFC 6 (remote
// procedure calls), RFC 20 (resource sets), RFC 22 (sets of numbers) and
// RFC 27 (what a scheduler reports).
// What is sent and what is understood holds for Flux 0.49 to 0.88.
package flux
