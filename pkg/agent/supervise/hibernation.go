package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"minicluster.internal/operator/pkg/agent/archive"
	"minicluster.internal/operator/pkg/agent/atomicfile"
	"minicluster.internal/operator/pkg/agent/hibernate"
	"minicluster.internal/operator/pkg/agent/serve"
	"minicluster.internal/operator/pkg/agentapi/control"
)

// hibernation is that of a lead. It implements [serve.Hibernation].
type hibernation struct {
	v *Supervisor

	mu sync.Mutex
	// loaded: record and file are set. Requests that arrive before are refused.
	loaded bool
	file   string
	record *hibernate.Record
	// withheld: the broker runs without its program, because the cluster hibernated when the broker started.
	withheld bool
	early    earlySave
	// changed is signaled when the phase becomes Saving or Waking.
	changed chan struct{}
}

var (
	errNotStarted = errors.New("the lead has not started its broker yet")
	errBegun      = errors.New("the queues are being stopped already")
	errEnded      = errors.New("the program has ended")
)

// Hibernation returns the hibernation of a lead.
func (v *Supervisor) Hibernation() serve.Hibernation { return v.hibernation }

// load reads the record that an earlier lead left.
func (h *hibernation) load() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.file = hibernate.File(h.v.Pod, h.v.stateDir())
	if err := h.discardPlanned(); err != nil {
		return err
	}
	record, err := hibernate.Read(h.file)
	if err != nil {
		return err
	}
	if record != nil && (record.Cluster != h.v.cluster || record.Incarnation != h.v.Plan.Incarnation) {
		record.State.Phase = hibernate.PhaseWaking // this is the lead of another Job
		if err := h.discard(record); err != nil {
			return err
		}
	}
	h.record, h.loaded = record, true
	return nil
}

// discard renames the state that the cluster does not continue with, once.
func (h *hibernation) discard(r *hibernate.Record) error {
	if !r.Discard {
		return nil
	}
	if err := h.discardState(); err != nil {
		return err
	}
	r.Discard = false
	return r.Write(h.file, h.v.brokerOwner())
}

// discardState renames the archive and the content of the state directory.
func (h *hibernation) discardState() error {
	file := ""
	if h.v.Plan.Archive.Path != "" {
		file = h.v.archiveFile()
	}
	return archive.Discard(file, h.v.stateDir())
}

// discardPlanned renames the state that earlier Jobs have left, once for a Job, if their agents were not asked to. The
// record of a hibernation is about that state.
func (h *hibernation) discardPlanned() error {
	a := h.v.Plan.Archive
	if !a.Discard || a.Path == "" && h.v.Plan.StateVolume == "" {
		return nil
	}
	marker := h.file + ".discarded"
	done, err := os.ReadFile(marker)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading which state was discarded: %w", err)
	}
	if string(done) == h.v.Plan.Incarnation {
		return nil
	}
	if err := h.discardState(); err != nil {
		return err
	}
	if err := hibernate.Remove(h.file); err != nil {
		return err
	}
	if err := atomicfile.Write(marker, []byte(h.v.Plan.Incarnation), 0o644, h.v.brokerOwner()); err != nil {
		return fmt.Errorf("recording which state was discarded: %w", err)
	}
	return nil
}

// Record returns a copy of the record.
func (h *hibernation) Record() *hibernate.Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.record == nil {
		return nil
	}
	if h.record.State.Phase == hibernate.PhaseWaking {
		// The initial program removes the file when the queues are as before.
		if record, err := hibernate.Read(h.file); err == nil && record == nil {
			h.record = nil
			return nil
		}
	}
	return new(*h.record)
}

// Begin records a new hibernation. It fails if there is a record: a request of the controller may arrive while the pod
// stops. The second record would say that queues were stopped before that the first one has stopped. It also fails if
// the program has ended: the initial program stops the queues then, after it has recorded the end, to save the jobs.
func (h *hibernation) Begin(r *hibernate.Record) error {
	if h.Record() != nil {
		return errBegun
	}
	if h.v.readOutcome() != nil {
		return errEnded
	}
	h.early.reset()
	r.Cluster, r.Incarnation, r.Flux = h.v.cluster, h.v.Plan.Incarnation, h.v.instance.Version.Text
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.record != nil {
		return errBegun
	}
	return h.update(r)
}

// Stopped begins to save what may be lost with the pod of the lead, now that the queues are stopped.
func (h *hibernation) Stopped(ctx context.Context, r *hibernate.Record) {
	if !r.Discard {
		h.early.start(context.WithoutCancel(ctx), h.v)
	}
}

// Update changes the record.
func (h *hibernation) Update(r *hibernate.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.update(r)
}

func (h *hibernation) update(r *hibernate.Record) error {
	if !h.loaded {
		return errNotStarted
	}
	if err := r.Write(h.file, h.v.brokerOwner()); err != nil {
		return err
	}
	h.record = new(*r)
	return nil
}

// Save begins to save the state.
func (h *hibernation) Save(r *hibernate.Record) error {
	if err := h.Update(r); err != nil {
		return err
	}
	h.signal()
	return nil
}

// Wake ends the hibernation of a lead that has no broker, or one without its program.
func (h *hibernation) Wake() (bool, error) {
	r := h.Record()
	if r.State.Phase != control.PhaseSaved && !h.withheldProgram() {
		return false, nil
	}
	r.State.Phase = hibernate.PhaseWaking
	if err := h.Update(r); err != nil {
		return false, err
	}
	h.signal()
	return true, nil
}

// End removes the record.
func (h *hibernation) End() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := hibernate.Remove(h.file); err != nil {
		return err
	}
	h.record = nil
	return nil
}

func (h *hibernation) signal() {
	select {
	case h.changed <- struct{}{}:
	default: // already signaled
	}
}

func (h *hibernation) withheldProgram() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.withheld
}

func (h *hibernation) setWithheld(withheld bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.withheld = withheld
}

// phase returns the phase of the hibernation, "" if there is none.
func (h *hibernation) phase() control.HibernatePhase {
	if r := h.Record(); r != nil {
		return r.State.Phase
	}
	return ""
}
