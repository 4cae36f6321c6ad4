// Package diagnosis explains why the pods of a MiniCluster are not ready, and why its Job failed. Its functions are
// pure: package controller reads the objects, and [Schedule] says when. Add a new explanation in pods.go, with its text
// in package messages and a case of the golden files. Do not add a client: a diagnosis must not cost requests that the
// caller does not count.
package diagnosis
