package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/diagnosis"
	"minicluster.internal/operator/pkg/controller/resources"
)

// Inspections of pods have their own workers and budget, for the whole process: many clusters that start, or that
// hang, must not delay any change.
const (
	diagnosisWorkers = 2
	// diagnosisRate and diagnosisBurst limit the requests of inspections, per second.
	diagnosisRate  = 5
	diagnosisBurst = 20
	// diagnosisMaxDepth is the number of MiniClusters that may wait for a sync while pods are
	// inspected. What does not start then is probably only slow.
	diagnosisMaxDepth = 50
	// diagnosisPause is how often that number is checked while it is larger.
	diagnosisPause = 5 * time.Second
	// diagnosisJitter spreads the inspections of clusters that were created together.
	diagnosisJitter = 0.2
)

// runDiagnosis inspects pods until the context ends.
func (c *Controller) runDiagnosis(ctx context.Context) {
	var wg sync.WaitGroup
	for range diagnosisWorkers {
		wg.Go(func() {
			for ctx.Err() == nil && c.diagnoseNext(ctx) {
			}
		})
	}
	<-ctx.Done()
	c.diagnosisQueue.ShutDown()
	wg.Wait()
}

// diagnoseNext inspects the pods of the next MiniCluster; it returns false when the queue
// was shut down.
func (c *Controller) diagnoseNext(ctx context.Context) bool {
	key, shutdown := c.diagnosisQueue.Get()
	if shutdown {
		return false
	}
	defer c.diagnosisQueue.Done(key)
	if !c.waitForShortQueue(ctx) {
		return false
	}
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithValues("minicluster", key))
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	if after := c.inspect(ctx, key); after > 0 {
		c.diagnosisQueue.AddAfter(key, wait.Jitter(after, diagnosisJitter))
	}
	return true
}

// waitForShortQueue waits while many MiniClusters wait for a sync; it returns false if the context ends before. The
// queue of inspections is not processed meanwhile: it would wake the process for each cluster that starts.
func (c *Controller) waitForShortQueue(ctx context.Context) bool {
	for c.queue.Len() > diagnosisMaxDepth {
		select {
		case <-ctx.Done():
			return false
		case <-c.clock.After(diagnosisPause):
		}
	}
	return true
}

// inspect inspects the pods of a MiniCluster if it is time to, and returns the time until
// the next inspection, 0 for none.
func (c *Controller) inspect(ctx context.Context, key cache.ObjectName) time.Duration {
	s := c.lackingPods(key)
	if s == nil {
		return 0
	}
	due, before := c.diagnosisSchedule.Due(s.name(), s.job, knownProblem(s.mc))
	if due > 0 {
		return due
	}
	found, err := c.findProblem(ctx, s)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Failed to determine why the cluster is not ready")
		found = before
	}
	next := c.diagnosisSchedule.Checked(s.name(), found)
	if !found.Equal(before) {
		c.enqueue(key)
	}
	return next
}

// lackingPods returns what the caches hold of a MiniCluster that lacks ready pods; nil
// where it does not.
func (c *Controller) lackingPods(key cache.ObjectName) *syncState {
	mc, err := c.cached(key.Namespace).miniclusters.MiniClusters(key.Namespace).Get(key.Name)
	if err != nil || mc.DeletionTimestamp != nil {
		return nil
	}
	job, err := c.cached(key.Namespace).jobs.Jobs(key.Namespace).Get(resources.JobName(mc))
	job = c.withoutFailedPods(key, job)
	if err != nil || !metav1.IsControlledBy(job, mc) || !lacksPods(mc, job) || resources.FinishedCondition(job) != nil {
		return nil
	}
	s := &syncState{key: key, job: job}
	s.setMiniCluster(mc)
	return s
}

// findProblem reads the pods, and more objects if the pods do not explain the problem.
func (c *Controller) findProblem(ctx context.Context, s *syncState) (*diagnosis.Problem, error) {
	pods := diagnosis.NewPods(s.mc.Name, resources.Parallelism(s.job), c.clock.Now())
	if err := c.spend(ctx, 1+int(resources.PodCount(s.job))/podPage); err != nil {
		return nil, err
	}
	ends, hasLead := c.ends(s), false
	err := c.eachPodOfJob(ctx, s.mc, s.job, func(pod *corev1.Pod) {
		pods.Add(pod)
		ends.Add(pod)
		index, ok := resources.PodIndex(pod)
		hasLead = hasLead || ok && index == 0 && !resources.PodEnded(pod)
	})
	if err != nil {
		return nil, err
	}
	if ends.LeadIsKept() {
		c.jobRecords.requestLead(s.key, s.job.UID)
		c.enqueue(s.key)
	}
	p := ends.Explain(pods.Worst())
	if resources.LacksPodObjects(s.job) {
		if err := c.spend(ctx, 2); err != nil {
			return nil, err
		}
		rejection := c.dryRunPod(ctx, s, hasLead)
		if err := c.abandonRejectedJob(ctx, s.mc, rejection); err != nil {
			return nil, err
		}
		if rejected := diagnosis.OfRejectedPods(s.job, rejection); rejected != nil && (p == nil || diagnosis.Severity(rejected.Reason) > diagnosis.Severity(p.Reason)) {
			return rejected, nil
		}
	}
	if p == nil || p.Pod == nil {
		return p, nil
	}
	switch p.Reason {
	case v1alpha2.ReasonNotMounted, v1alpha2.ReasonPodsFailing:
		if certificate := c.certificateProblem(ctx, s); certificate != nil {
			return certificate, nil
		}
	case v1alpha2.ReasonBrokerOffline:
		if err := c.spend(ctx, 1); err != nil {
			return nil, err
		}
		return c.whyOffline(ctx, s, p), nil
	case v1alpha2.ReasonUnschedulable:
		return c.autoscalerReport(ctx, s, p)
	}
	return p, nil
}

// spend waits until the budget of inspections permits some requests.
func (c *Controller) spend(ctx context.Context, requests int) error {
	for range requests {
		if err := c.diagnosisBudget.Wait(ctx); err != nil {
			return fmt.Errorf("waiting for the budget of pod inspections: %w", err)
		}
	}
	return nil
}
