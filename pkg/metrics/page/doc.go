// Package page implements the web page of the metrics API server. It shows the free capacity of the
// Kubernetes cluster, the size, the demand and the bounds of each MiniCluster, and recent changes, now
// and over the last hour.
//
// A Recorder reads values at intervals from the sources of the metrics API and keeps a bounded history in memory.
// Install serves the page in a separate API group, so that Kubernetes authenticates and authorizes its users. The
// page is rendered on the server, loads nothing from other servers and works without its script, which only keeps it
// up to date.
//
// The page must show the values of the metrics API and never compute its own. Text from objects must
// go through html/template.
package page
