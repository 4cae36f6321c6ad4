package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"minicluster.internal/operator/pkg/flux"
	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// saved is the state that survives a lead, in its state directory or an archive.
type saved struct {
	Jobs    []*job                       `json:"jobs"`
	Queues  map[string]*flux.QueueStatus `json:"queues"`
	Drained map[uint32]fluxtest.Drain    `json:"drained"`
}

// stateFile has the name that other programs look for.
func (b *broker) stateFile() string {
	return filepath.Join(b.State.Attrs["statedir"], "content.sqlite")
}

// restore reads the state of an earlier lead, or an archive if one is set.
func (b *broker) restore() error {
	name := cmp.Or(b.State.Attrs["content.restore"], b.stateFile())
	defer func() { go b.checkpoints() }()
	text, err := readState(name)
	switch {
	case errors.Is(err, os.ErrNotExist): // also for a missing archive
		return nil
	case err != nil:
		return fmt.Errorf("content.restore: %w", err)
	}
	var s saved
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.Update(func() {
		for queue, was := range s.Queues {
			if q := b.State.Queues[queue]; q != nil {
				*q = *was
			}
		}
		for rank, d := range s.Drained {
			b.State.Drained[rank] = d
		}
		for _, j := range s.Jobs {
			b.add(j)
			if j.State == flux.JobRun { // it did not run meanwhile
				j.Exception, j.Note = "exec", "lost contact with job shell"
				b.end(j, 1)
			}
		}
	})
	return nil
}

// checkpoints saves the state in intervals of kvs.checkpoint-period.
func (b *broker) checkpoints() {
	if b.conf.kvs.Checkpoint.Duration <= 0 {
		return
	}
	for range time.Tick(b.conf.kvs.Checkpoint.Duration) {
		over := false
		b.Read(func() { over = b.State.Broker == stateFinalize })
		if over {
			return
		}
		if err := b.save(b.stateFile(), true); err != nil {
			b.log.error("checkpoint: %v", err)
		}
	}
}

// save writes a file; that in the state directory is complete at any time. The real flux dump includes the state of
// queues only at the end.
func (b *broker) save(name string, queues bool) error {
	var text []byte
	var err error
	b.Read(func() {
		s := saved{Jobs: b.jobs, Drained: b.State.Drained}
		if queues {
			s.Queues = b.State.Queues
		}
		text, err = json.Marshal(s)
	})
	if err != nil {
		return err
	}
	if name == b.stateFile() {
		if err := os.WriteFile(name+".new", append([]byte(sqliteHeader), text...), 0o600); err != nil {
			return err
		}
		return os.Rename(name+".new", name)
	}
	return writeArchive(name, text)
}

// cleanup cancels running jobs, and waits for their end.
func (b *broker) cleanup() {
	b.Update(func() {
		for _, j := range b.jobs {
			if j.State == flux.JobRun {
				b.Except(j.Job, "cancel", "")
			}
		}
	})
	b.waitFor("broker.cleanup-timeout", func() bool {
		return !slices.ContainsFunc(b.jobs, func(j *job) bool { return j.State == flux.JobRun })
	})
}
