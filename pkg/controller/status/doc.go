// Package status computes the status of a MiniCluster, and the events about its changes,
// from what one sync read and did. [Compute] is a pure function of its [Input]; it keeps
// only the conditions Complete and Failed of an earlier status.
//
// To add a condition, add its type and reasons to the API (conditions.go of v1alpha2), its messages to package
// messages, and a function to conditions.go. Do not use anything here that is not in the Input. Package controller
// writes the status; [Throttle] says when.
package status
