package flux

import (
	"context"
	"encoding/json"
	"syscall"
)

// JournalEntry is what the journal of the job manager says of a job: all that has
// happened to it so far, or one thing more.
type JournalEntry struct {
	ID     JobID
	Events []JobEvent
	// Jobspec is what the job asks for, in its first entry; with all changes made to
	// it, if that entry is of the past.
	Jobspec json.RawMessage
}

// JobEvent is something that has happened to a job (RFC 21).
type JobEvent struct {
	Name    string
	Context json.RawMessage
}

// Follower is told what the journal says. Its methods are called one after the other,
// and before the answer is handed out to any request that the job manager answered
// later: they must not wait.
type Follower interface {
	// Entry is called for each entry.
	Entry(JournalEntry)
	// CaughtUp is called once, after the entries of all jobs that were there when the
	// journal was asked for.
	CaughtUp()
	// Ended is called when nothing more will come although the client is connected: an
	// [*Error], or what could not be read.
	Ended(error)
}

// Journal follows what happens to jobs, from those that are active now: service
// job-manager.events-journal, for the owner only, as Flux offers it since 0.61. Only the
// events of these names are told, and entries may have none. It goes on until the client
// is closed.
func (c *Client) Journal(ctx context.Context, f Follower, events ...string) error {
	const topic = "job-manager.events-journal"
	allow := map[string]int{}
	for _, name := range events {
		allow[name] = 1
	}
	in := map[string]any{"allow": allow}
	ended := false
	end := func(err error) {
		ended = true
		f.Ended(err)
	}
	_, err := c.request(ctx, topic, Leader, FlagStreaming, in, func(m *Message) {
		if ended {
			return
		}
		if m.Errno() != 0 {
			end(&Error{Topic: topic, Errno: m.Errno(), Text: string(m.Text())})
			return
		}
		var entry struct {
			ID      *int64
			Events  []JobEvent
			Jobspec json.RawMessage
		}
		switch err := decode(topic, m, &entry); {
		case err != nil:
			end(err)
		case entry.ID == nil:
			// As it was before there was one entry a job.
			end(&Error{Topic: topic, Errno: syscall.ENOSYS, Text: "this is an old journal"})
		case *entry.ID == -1:
			f.CaughtUp()
		default:
			f.Entry(JournalEntry{ID: JobID(*entry.ID), Events: entry.Events, Jobspec: entry.Jobspec})
		}
	})
	return err
}
