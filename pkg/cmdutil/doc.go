// Package cmdutil is what the long-running programs of the project share around
// their work: commands and their flags, clients that sit an outage of the API server
// out, logs without bodies, small HTTP servers.
package cmdutil
