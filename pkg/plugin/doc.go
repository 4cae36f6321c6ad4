// Package plugin implements the kubectl plugin for MiniClusters, kubectl minicluster.
//
// Each subcommand has its own file. A subcommand collects what it needs with the methods of session, which is the
// only type with clients, and prints it with functions that take an io.Writer. The conventions of kubectl apply:
// flags and their names, output formats, exit codes, colors on terminals only.
//
// Free to change: texts, columns and the order of a report. Not free to change: the plugin needs no rights beyond those
// of the user and installs nothing in the cluster. A subcommand reports what it cannot read as unknown, with the
// reason.
package plugin
