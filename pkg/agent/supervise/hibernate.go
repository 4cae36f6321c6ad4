package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/archive"
	"minicluster.internal/operator/pkg/agent/hibernate"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agentapi/control"
)

// saveTimeout limits the time in which a broker stops and writes its archive, and verifyTimeout that in which the
// archive is read: a file system may hang.
const (
	saveTimeout   = 15 * time.Minute
	verifyTimeout = 15 * time.Minute
	attrTimeout   = 10 * time.Second
)

// hibernate waits while the state is saved and the cluster does not continue. It returns false if the pod is asked to
// stop meanwhile. Before the first broker it completes what an earlier lead began.
func (v *Supervisor) hibernate(ctx context.Context, first bool) bool {
	h := v.hibernation
	if first && h.Record().Pending() && h.phase() != control.PhaseSaved {
		v.resumeSave(ctx)
	}
	for h.phase() == control.PhaseSaved {
		select {
		case <-h.changed:
		case <-v.shutdown.Done():
			return false
		}
	}
	return true
}

// resumeSave completes the save that an earlier lead began, if no broker is needed for it. The content of a volume is
// complete, and so is an archive whose writer ended after it. If content was neither saved nor lost, the next broker
// saves it; its queues are stopped from the beginning.
func (v *Supervisor) resumeSave(ctx context.Context) {
	r := v.hibernation.Record()
	content, err := archive.HasContent(v.stateDir())
	switch {
	case err != nil:
	case r.Discard, v.Plan.StateVolume != "" && content:
		r.Stopped = false
		err = v.saved(ctx, r, "")
	case v.Plan.Archive.Path == "" || content:
		r.State.Phase = control.PhaseDraining
		err = v.hibernation.Update(r)
	default:
		// The partial archive is complete if the broker ended before this agent did.
		if errPart := v.saved(ctx, r, v.partialArchive()); errPart != nil {
			r.Stopped = false
			err = v.saved(ctx, r, "")
		}
	}
	if err != nil {
		v.saveFailed(ctx, r, err)
	}
}

// partialArchive returns the path of the archive that the broker writes when it ends.
func (v *Supervisor) partialArchive() string { return archive.Partial(v.archiveFile(), "hibernation") }

// archiveFile returns the path of the archive.
func (v *Supervisor) archiveFile() string { return v.Path(v.Plan.Archive.Path) }

// saved verifies the state, publishes an archive that was written to the file part, unless that is "", and records that
// the state is saved. A cluster that has neither an archive nor a volume for its state keeps nothing: the record has no
// location.
func (v *Supervisor) saved(ctx context.Context, r *hibernate.Record, part string) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	s := &r.State
	s.Bytes, s.Checksum, s.Location = 0, "", ""
	var err error
	switch {
	case r.Discard:
	case v.Plan.Archive.Path != "" && (v.Plan.StateVolume == "" || part != ""):
		var contents archive.Contents
		contents, err = within(ctx, v.shutdown.Done(), func() (archive.Contents, error) {
			return archive.VerifyAndPublish(ctx, v.archiveFile(), part)
		})
		if err == nil {
			s.Bytes, s.Checksum, s.Location = contents.Bytes, contents.Checksum, v.Plan.Archive.Path
		}
	case v.Plan.StateVolume != "":
		s.Location = v.Plan.StateVolume
		s.Bytes, err = within(ctx, v.shutdown.Done(), func() (int64, error) { return archive.VerifyContent(v.stateDir()) })
	}
	if err != nil {
		return err
	}
	s.Phase, s.Running, s.RunningIDs, s.Message = control.PhaseSaved, 0, nil, ""
	if err := v.hibernation.Update(r); err != nil {
		return err
	}
	klog.FromContext(ctx).Info("The state is saved; the cluster hibernates", "location", s.Location, "bytes", s.Bytes, "pending", s.Pending, "held", s.Held)
	return nil
}

// within calls a function that reads or writes files, and returns when ctx ends or stop is closed: a file system that
// does not respond must not hold up the pod.
func within[T any](ctx context.Context, stop <-chan struct{}, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	var none T
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, fmt.Errorf("the volume does not respond: %w", ctx.Err())
	case <-stop:
		return none, errors.New("the pod was asked to stop")
	}
}

// saveFailed records that the state could not be saved. The next broker has its queues stopped.
func (v *Supervisor) saveFailed(ctx context.Context, r *hibernate.Record, err error) {
	klog.FromContext(ctx).Error(err, "Failed to save the state; the queues stay stopped")
	r.State.Phase, r.State.Message, r.FailedAt = control.PhaseFailed, err.Error(), time.Now()
	if err := v.hibernation.Update(r); err != nil {
		klog.FromContext(ctx).Error(err, "Failed to record that the state was not saved")
		// The volume may be full. The server must not report the old phase.
		v.hibernation.mu.Lock()
		v.hibernation.record = r
		v.hibernation.mu.Unlock()
	}
}

// stopForHibernation stops the broker if the phase demands it, and reports whether it did. The broker writes the
// archive when its services have stopped, so that no job can be submitted, or can change, after it.
func (v *Supervisor) stopForHibernation(ctx context.Context, p *reaper.Process) bool {
	switch v.hibernation.phase() {
	case hibernate.PhaseWaking:
		v.stopBroker(ctx, p)
		return true
	case control.PhaseSaving:
	default:
		return false
	}
	v.hibernation.early.stop()
	r := v.hibernation.Record()
	var err error
	if v.Plan.Archive.Path != "" && !r.Discard {
		err = v.setDumpFile(ctx, v.partialArchive())
	}
	if err != nil {
		v.saveFailed(ctx, r, err)
		return false
	}
	v.stopToSave(ctx, p)
	return true
}

// stopToSave stops the broker, with time to write the archive. If the pod is asked to stop meanwhile, the rest of its
// grace period remains.
func (v *Supervisor) stopToSave(ctx context.Context, p *reaper.Process) {
	stop, cancel := v.shutdown.Context(ctx)
	defer cancel()
	// A broker that ends because its program did reports errors of its end in its exit code.
	if v.programless || !v.signalInitial(syscall.SIGTERM) {
		p.Signal(syscall.SIGTERM)
	}
	p.Wait(stop, saveTimeout)
	if v.shutdown.Requested() {
		p.Wait(ctx, v.shutdown.Remaining(brokerReserve(v.shutdown.Grace())))
	}
	p.Signal(syscall.SIGKILL)
	<-p.Done()
}

// setDumpFile sets the file to which the broker writes its content when it ends.
func (v *Supervisor) setDumpFile(ctx context.Context, file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing an old partial archive: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, attrTimeout)
	defer cancel()
	client, err := v.dial(ctx)
	if err != nil {
		return fmt.Errorf("setting the archive: %w", err)
	}
	defer client.Close()
	return client.SetAttr(ctx, "content.dump", file)
}

// savedByBroker completes the hibernation when the broker has ended, and reports whether it ended for that. A program
// that ends because the jobs that it waits for were canceled has not failed: its cluster hibernates.
func (v *Supervisor) savedByBroker(ctx context.Context, p *reaper.Process, out *pod.Outcome) bool {
	r := v.hibernation.Record()
	switch {
	case !r.Pending() || v.shutdown.Requested():
		return false
	case r.State.Phase == control.PhaseSaving:
	case out != nil && !out.Stopped && out.Code != 0 && len(r.State.Canceled) > 0:
		// The initial program has written the archive.
		r.Stopped = false
		if err := v.saved(ctx, r, ""); err != nil {
			v.saveFailed(ctx, r, err)
		}
		return true
	default:
		return false
	}
	part := ""
	if v.Plan.Archive.Path != "" && !r.Discard {
		part = v.partialArchive()
	}
	r.Stopped = true
	err := v.brokerFailed(p)
	if err == nil {
		err = v.saved(ctx, r, part)
		if text := v.log.Errors(); err != nil && text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
	}
	if err != nil {
		if part != "" {
			_ = os.Remove(part) // it may not exist
		}
		v.saveFailed(ctx, r, err)
	}
	return true
}

// brokerFailed returns an error if the content of a broker may be incomplete: it was killed, or its stop script has
// failed. Its exit code also reports other errors, such as followers that did not leave in time.
func (v *Supervisor) brokerFailed(p *reaper.Process) error {
	if !p.Status().Signaled() && !v.log.StopFailed() {
		return nil
	}
	return fmt.Errorf("the broker did not stop properly: %s", v.describe(p.Status()))
}

// hibernationRun adds what a hibernation changes to the run of a broker.
func (v *Supervisor) hibernationRun(run *prepare.BrokerRun) {
	r := v.hibernation.Record()
	v.hibernation.setWithheld(r.Pending())
	// Jobs of an archive would otherwise start before the initial program cancels those that the program submits again.
	run.StopQueues = run.Restore != "" || r.Pending() || r != nil && !r.Stopped && !r.Discard
}

// queuesFile returns the record with the former state of the queues that a restored or woken instance needs, "" if
// there is none: that of this cluster, or that beside the archive of another one.
func (v *Supervisor) queuesFile(restore string) string {
	if v.hibernation.Record() != nil {
		return v.hibernation.file
	}
	if file := hibernate.OfArchive(filepath.Clean(restore)); restore != "" && pod.Exists(file) {
		return file
	}
	return ""
}
