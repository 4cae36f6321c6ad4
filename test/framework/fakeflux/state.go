package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// saved is what outlives a lead, in its state directory or an archive.
type saved struct {
	Jobs    []*job               `json:"jobs"`
	Queues  map[string]*jobQueue `json:"queues"`
	Drained map[int]drainInfo    `json:"drained"`
}

// stateFile has the name that others look for.
func (b *broker) stateFile() string { return filepath.Join(b.attrs["statedir"], "content.sqlite") }

// restore reads what an earlier lead left: an archive that is given counts more.
func (b *broker) restore() error {
	name := b.stateFile()
	archive := b.attrs["content.restore"]
	if archive != "" {
		name = archive
	}
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, os.ErrNotExist): // an archive that is missing too
		go b.checkpoints()
		return nil
	case err != nil:
		return fmt.Errorf("content.restore: %w", err)
	}
	var s saved
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.jobs.all = s.Jobs
	for queue, was := range s.Queues {
		if q := b.jobs.queues[queue]; q != nil {
			*q = *was
		}
	}
	for rank, info := range s.Drained {
		b.drained[rank] = info
	}
	for _, j := range s.Jobs {
		b.jobs.lastID = max(b.jobs.lastID, j.ID)
		if j.State == flux.JobRun { // nobody looked after it meanwhile
			j.Exception, j.Note = "exec", "lost contact with job shell"
			b.end(j, 1)
		}
	}
	go b.checkpoints()
	return nil
}

// checkpoints saves what changed, as often as kvs.checkpoint-period says.
func (b *broker) checkpoints() {
	if b.conf.checkpoint <= 0 {
		return
	}
	last := 0
	for range time.Tick(b.conf.checkpoint) {
		b.mu.Lock()
		revision, over := b.jobs.revision, b.state == stateFinalize
		b.mu.Unlock()
		if over {
			return
		}
		if revision == last {
			continue
		}
		if err := b.save(b.stateFile(), true); err != nil {
			b.log.error("checkpoint: %v", err)
			continue
		}
		last = revision
	}
}

// save writes a file that is whole at any time. Only at the end, the real flux dump
// has the state of queues.
func (b *broker) save(name string, queues bool) error {
	b.mu.Lock()
	s := saved{Jobs: b.jobs.all, Drained: b.drained}
	if queues {
		s.Queues = b.jobs.queues
	}
	text, err := json.Marshal(s)
	b.mu.Unlock()
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func dumpState(b *broker, r *request) (any, error) {
	in, err := decode[named](r)
	if err != nil {
		return nil, err
	}
	return nil, b.save(in.Name, false)
}

// cleanup stops scheduling and cancels what runs.
func (b *broker) cleanup() {
	b.update(func() {
		for _, j := range b.jobs.all {
			if j.State == jobRun {
				b.raise(j, "cancel", "")
			}
		}
	})
	late := make(chan struct{})
	done := make(chan struct{})
	timer := b.timeout("broker.cleanup-timeout")
	defer close(done)
	go func() {
		defer close(late)
		select {
		case <-timer:
		case <-done:
		}
	}()
	b.until(late, func() bool {
		for _, j := range b.jobs.all {
			if j.State == jobRun {
				return false
			}
		}
		return true
	})
}

// finalize saves the state, and an archive if one is asked for.
func (b *broker) finalize() error {
	b.removeSocket()
	err := b.save(b.stateFile(), true)
	if dump := b.attrs["content.dump"]; dump != "" {
		err = errors.Join(err, b.save(dump, true))
	}
	return err
}
