// Package cmdutil holds what the long-running programs of the project share: commands and
// their flags, clients that retry until the API server can be reached, logs that omit
// request bodies, and small HTTP servers.
//
// It knows nothing of MiniClusters. Add something here only if at least two programs use it.
package cmdutil
