package messages

import "fmt"

// JobDeleted is the message of a program that is not run again.
const JobDeleted = "the Job was deleted before its result was recorded, and its program may have run, so it is not run again; " +
	"to run it again, delete and recreate the MiniCluster"

// Restart says how to start brokers again: an interactive cluster gets another Job, a
// program does not run again.
func Restart(job string, interactive bool) string {
	if interactive {
		return fmt.Sprintf("delete Job %q", job)
	}
	return "delete and recreate the MiniCluster"
}
