package serve

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/hibernate"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
)

// Hibernation is how the server changes the hibernation of the lead. Its methods may be called concurrently.
type Hibernation interface {
	// Record returns a copy of the record; nil: the cluster does not hibernate.
	Record() *hibernate.Record
	// Begin writes the record of a new hibernation, and Update a changed one.
	Begin(*hibernate.Record) error
	// Stopped is called repeatedly while the queues are stopped and jobs still run.
	Stopped(context.Context, *hibernate.Record)
	Update(*hibernate.Record) error
	// Save begins to save the state: it stops the broker.
	Save(*hibernate.Record) error
	// Wake ends the hibernation of a lead that has no broker, or one without its program. It returns false if the
	// caller has to start the queues instead, and End afterwards.
	Wake() (bool, error)
	End() error
}

const (
	// cancelInterval is the time between two attempts to cancel jobs that run after the deadline.
	cancelInterval = 10 * time.Second
	// saveInterval is the time between two attempts to save the state: each one stops the broker.
	saveInterval = 10 * time.Second
	// cancelNote explains to users why their job ended.
	cancelNote = "the cluster hibernates, and the job did not end in time"
)

// handleHibernate serves [control.PathHibernate].
func handleHibernate(broker *conn, o Options, turn chan struct{}) http.HandlerFunc {
	started := time.Now()
	var settled bool // used by the request that has the turn
	return func(w http.ResponseWriter, r *http.Request) {
		var in control.Hibernate
		if !decode(w, r, &in) {
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), control.Timeout)
		defer cancel()
		h := hibernation{Hibernation: o.Hibernation, broker: broker, settled: &settled, started: started, now: time.Now()}
		state, err := takeTurn(ctx, turn, func() (control.HibernateState, error) {
			switch {
			case in.Query:
				return h.query(ctx)
			case in.Cancel:
				return h.cancel(ctx)
			}
			return h.proceed(ctx, in)
		})
		if err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		respond(w, r, state)
	}
}

// hibernation is one request.
type hibernation struct {
	Hibernation
	broker *conn
	// settled: the scheduler has started no job since the queues were stopped, except those that are listed.
	settled *bool
	// started is when the agent started, and now is the time of the request.
	started, now time.Time
}

// query describes the instance, and changes nothing.
func (h *hibernation) query(ctx context.Context) (control.HibernateState, error) {
	if record := h.Record(); record.Pending() {
		return record.State, nil
	}
	client, err := h.broker.client(ctx)
	if err != nil {
		return control.HibernateState{}, err
	}
	queues, err := client.Queues(ctx)
	if err != nil {
		return control.HibernateState{}, fmt.Errorf("reading the queues: %w", err)
	}
	record := &hibernate.Record{State: control.HibernateState{Phase: control.PhaseRunning}}
	record.Remember(queues)
	if _, err := describe(ctx, client, record); err != nil {
		return control.HibernateState{}, err
	}
	if record.State.Running > 0 || record.State.Pending > 0 {
		return record.State, nil
	}
	last, err := client.Jobs(ctx, flux.JobInactive, 1, "t_inactive")
	if err != nil {
		return control.HibernateState{}, fmt.Errorf("listing jobs that have ended: %w", err)
	}
	idle := h.now.Sub(h.started)
	for _, job := range last {
		idle = min(idle, h.now.Sub(time.UnixMilli(int64(job.Inactive*1e3))))
	}
	record.State.IdleSeconds = int64(max(0, idle).Seconds())
	return record.State, nil
}

// cancel continues the work.
func (h *hibernation) cancel(ctx context.Context) (control.HibernateState, error) {
	record := h.Record()
	switch {
	case record == nil:
		return control.HibernateState{Phase: control.PhaseRunning}, nil
	case record.State.Phase == control.PhaseSaving:
		return record.State, nil
	case record.State.Phase == hibernate.PhaseWaking:
		return waking(record.State), nil
	}
	woken, err := h.Wake()
	if err != nil || woken {
		return waking(record.State), err
	}
	client, err := h.broker.client(ctx)
	if err != nil {
		return record.State, err
	}
	if err := record.RestoreQueues(ctx, client); err != nil {
		return record.State, err
	}
	return control.HibernateState{Phase: control.PhaseRunning}, h.End()
}

// waking is the state of a cluster whose queues are not started yet.
func waking(s control.HibernateState) control.HibernateState {
	s.Phase = control.PhaseSaved
	return s
}

// proceed does the next step of a hibernation.
func (h *hibernation) proceed(ctx context.Context, in control.Hibernate) (control.HibernateState, error) {
	record := h.Record()
	if record != nil {
		switch record.State.Phase {
		case control.PhaseSaving, control.PhaseSaved:
			return record.State, nil
		case hibernate.PhaseWaking: // the queues start first
			return control.HibernateState{Phase: control.PhaseDraining}, nil
		}
	}
	client, err := h.broker.client(ctx)
	if err != nil {
		return control.HibernateState{}, err
	}
	if record, err = h.begin(ctx, client, record, in); err != nil {
		return control.HibernateState{}, err
	}
	if err := h.settle(ctx); err != nil {
		return control.HibernateState{}, err
	}
	running, err := describe(ctx, client, record)
	if err != nil {
		return control.HibernateState{}, err
	}
	switch {
	case len(running) > 0 && record.Expired(h.now) && !h.recent(record.CanceledAt, cancelInterval):
		return record.State, h.cancelJobs(ctx, client, record, running)
	case len(running) > 0 || record.State.Running > 0:
		h.Stopped(ctx, record)
		return record.State, nil
	case in.Idle && record.State.Pending > 0: // even if saving the state has failed before: the controller cancels
		record.State.Phase, record.State.Message = control.PhaseDraining, ""
		return record.State, nil
	case h.recent(record.FailedAt, saveInterval):
		return record.State, nil
	}
	record.State.Phase, record.State.Message = control.PhaseSaving, ""
	return record.State, h.Save(record)
}

// recent reports whether less than d has passed since a time. One in the future is not recent: the clock was set back.
func (h *hibernation) recent(at time.Time, d time.Duration) bool {
	since := h.now.Sub(at)
	return since >= 0 && since < d
}

// settle waits, after the queues were stopped, for jobs that the scheduler is about to start. A request that ends
// earlier leaves that to the next one.
func (h *hibernation) settle(ctx context.Context) error {
	if *h.settled {
		return nil
	}
	select {
	case <-time.After(settleTime):
		*h.settled = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin stops the queues. The record is written first: a lead that restarts in between must know about it.
func (h *hibernation) begin(ctx context.Context, client *flux.Client, record *hibernate.Record, in control.Hibernate) (*hibernate.Record, error) {
	queues, err := client.Queues(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the queues: %w", err)
	}
	if !record.Pending() {
		record = &hibernate.Record{State: control.HibernateState{Phase: control.PhaseDraining}, Deadline: in.Deadline, Discard: in.Discard}
		record.Remember(queues)
		if err := h.Begin(record); err != nil {
			return nil, err
		}
		klog.FromContext(ctx).Info("The cluster hibernates: its queues are stopped", "deadline", in.Deadline)
	}
	if record.Earlier(in.Deadline) || in.Discard != record.Discard {
		record.Discard = in.Discard
		if record.Earlier(in.Deadline) {
			record.Deadline = in.Deadline
		}
		if err := h.Update(record); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(queues, func(q flux.QueueStatus) bool { return q.Started }) {
		*h.settled = false // a user may have started queues again
	}
	if err := client.StopQueues(ctx, hibernate.StopReason); err != nil {
		return nil, fmt.Errorf("stopping the queues: %w", err)
	}
	return record, nil
}

// cancelJobs cancels the jobs that run at the deadline. They are recorded first, so that none is forgotten.
func (h *hibernation) cancelJobs(ctx context.Context, client *flux.Client, record *hibernate.Record, running []flux.Job) error {
	for _, job := range running {
		id := job.ID.String()
		if len(record.State.Canceled) < control.MaxHibernatedJobs && !slices.Contains(record.State.Canceled, id) {
			record.State.Canceled = append(record.State.Canceled, id)
		}
	}
	record.CanceledAt = h.now
	if err := h.Update(record); err != nil {
		return err
	}
	n, err := client.CancelAll(ctx, flux.JobRun, cancelNote)
	if err != nil {
		return fmt.Errorf("canceling jobs: %w", err)
	}
	klog.FromContext(ctx).Info("Canceled jobs, because the cluster hibernates", "jobs", n)
	return nil
}

// describe counts the jobs of the instance, and returns those that run. The state has at least one running job if the
// scheduler has given resources to a job that is not listed yet.
func describe(ctx context.Context, client *flux.Client, record *hibernate.Record) ([]flux.Job, error) {
	stats, err := client.JobStats(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting jobs: %w", err)
	}
	sched, err := client.SchedStatus(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the resources: %w", err)
	}
	running, err := client.Jobs(ctx, flux.JobRunning, maxRunning)
	if err != nil {
		return nil, fmt.Errorf("listing running jobs: %w", err)
	}
	pending, err := client.Jobs(ctx, flux.JobPending, maxWaiting, requestAttrs[:]...)
	if err != nil {
		return nil, fmt.Errorf("listing pending jobs: %w", err)
	}
	held := 0
	counts := map[jobRequest]int{}
	for _, job := range pending {
		if job.Held() {
			held++
			continue
		}
		counts[requestOfJob(job)]++
	}
	s := &record.State
	s.Held = held
	s.Pending = max(0, stats.States.Depend+stats.States.Priority+stats.States.Sched-held)
	s.Demand = demandOf(situation{all: sched.All, waiting: counts, stopped: record.StoppedQueues()}).nodes
	s.Running, s.RunningIDs = len(running), nil
	if s.Running == 0 && !sched.Allocated.Ranks().Empty() {
		s.Running = 1
	}
	for _, job := range running[:min(len(running), control.MaxHibernatedJobs)] {
		s.RunningIDs = append(s.RunningIDs, job.ID.String())
	}
	return running, nil
}
