package flux

import (
	"context"
	"encoding/json"
	"syscall"
)

// JournalEntry is what the journal of the job manager reports about a job: all past events of the job, or one new
// event.
type JournalEntry struct {
	ID     JobID
	Events []JobEvent
	// Jobspec is what the job requests, in its first entry; with all updates applied if that entry is of the past.
	Jobspec json.RawMessage
}

// JobEvent is an event of a job (RFC 21).
type JobEvent struct {
	Name    string
	Context json.RawMessage
}

// Follower receives the journal. Its methods are called sequentially, and before the client delivers any response
// that the job manager sent later: they must not block.
type Follower interface {
	// Entry is called for each entry.
	Entry(JournalEntry)
	// CaughtUp is called once, after the entries of all jobs that existed when the journal was requested.
	CaughtUp()
	// Ended is called when the journal has ended while the client is connected: with an [*Error], or with a decoding
	// error.
	Ended(error)
}

// Journal follows the events of jobs, starting with those that are active: service job-manager.events-journal, owner
// only, as Flux offers it since 0.61. Only events with these names are reported, and entries may have none. The
// journal ends when the client is closed.
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
			// The old form, with one entry for each job, has no CaughtUp.
			end(&Error{Topic: topic, Errno: syscall.ENOSYS, Text: "this is an old journal"})
		case *entry.ID == -1:
			f.CaughtUp()
		default:
			f.Entry(JournalEntry{ID: JobID(*entry.ID), Events: entry.Events, Jobspec: entry.Jobspec})
		}
	})
	return err
}
