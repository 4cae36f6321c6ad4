// Package prepare makes a pod ready for a Flux broker: the user it runs as, its
// files and directories, its environment and its command line.
//
// What is to be done is computed from the plan (package plan) and from what is
// found in the container; only Prepare and CopyView change anything. The package
// knows Flux from version 0.49 to 0.88, and works in an image without a shell, as
// root or as any other user.
package prepare
