// Package prepare makes a pod ready for a Flux broker: the user of the broker, its files and directories, its
// environment and its command line.
//
// It derives everything from the plan (package plan) and from the content of the container. Only Prepare and View
// change anything. The package supports Flux 0.49 to 0.88, and images without a shell, as root or as any other user.
package prepare
