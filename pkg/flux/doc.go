// Package flux is a client for the local socket of a Flux broker.
//
// It speaks RFC 3 messages over the stream socket of the local connector, without cgo and without libflux, and
// imports only the standard library, so that programs that use it stay small and static.
//
// A [Client] is one connection, for any number of goroutines: every request has a unique tag, and a response is
// passed to the request with its tag. [Client.Call] and [Client.Stream] reach any service; the other methods, one
// file each, are the calls that this project needs, and their comments name the service.
//
// The package follows the documents RFC 3 (messages), RFC 6 (remote procedure calls), RFC 20 (resource sets), RFC 22
// (sets of numbers) and RFC 27 (scheduler status) of Flux. Requests and responses are compatible with Flux 0.49 to
// 0.88.
package flux
