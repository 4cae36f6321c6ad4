package controller

import (
	"context"
	"crypto/rand"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"minicluster.internal/operator/pkg/controller/diagnosis"
	"minicluster.internal/operator/pkg/controller/drain"
	"minicluster.internal/operator/pkg/controller/drain/agents"
	"minicluster.internal/operator/pkg/controller/metrics"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/status"
	"minicluster.internal/operator/pkg/fluxconfig"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
)

// Options are the dependencies and settings of a Controller.
type Options struct {
	// Kube writes all objects but MiniClusters.
	Kube kubernetes.Interface
	// Flux writes MiniClusters.
	Flux clientset.Interface
	// Informers watch the namespaces in which the controller works; see NewInformers.
	Informers []Informers
	// Events records events about MiniClusters.
	Events events.EventRecorder
	// Metrics counts what the controller does.
	Metrics *metrics.Metrics
	// Environment is the cluster that the controller works in. An empty ClusterDomain stands for cluster.local; the
	// controller reads the version of the server itself.
	Environment resources.Environment
	// Pod is the pod that this process runs in, if any. If Environment.Agent has no image, the agent has the image and
	// the pull policy of the controller's container in it.
	Pod types.NamespacedName
	// Nodes watches nodes, see NewNodeInformer; nil to not drain the ranks of nodes that go away. DeletionTaints are the
	// keys of taints that announce the deletion of a node.
	Nodes          *NodeInformer
	DeletionTaints []string
	// IdleEvictionDelay is how long a rank must be idle before its pod may be evicted, with spec.disruption.whenIdle.
	IdleEvictionDelay time.Duration
	// PodDiagnosisDelay is how long pods may stay unready before the controller inspects
	// them; 0 or less disables the inspection.
	PodDiagnosisDelay time.Duration
	// AgentUnreachableTimeout is how long to retry an unreachable agent before shrinking without draining. 0 disables
	// draining: a Job shrinks at once.
	AgentUnreachableTimeout time.Duration
	// Connect returns the client for the agent of a lead broker; nil stands for agents.ConnectTLS.
	Connect agents.Connect
	// Clock is the source of time; nil stands for the system's.
	Clock clock.WithTicker
	// Random is the source of keys; nil stands for crypto/rand.
	Random io.Reader
}

// Controller reconciles MiniClusters.
type Controller struct {
	kube    kubernetes.Interface
	flux    clientset.Interface
	events  events.EventRecorder
	metrics *metrics.Metrics
	clock   clock.WithTicker
	random  io.Reader

	environment resources.Environment
	pod         types.NamespacedName

	// caches has the caches of each namespace, or of all namespaces under the name "".
	caches map[string]*caches
	synced []cache.InformerSynced

	queue workqueue.TypedRateLimitingInterface[cache.ObjectName]
	// leading: this process works. A standby puts nothing into the queue.
	leading           atomic.Bool
	limiters          limiters
	consistency       *consistency
	throttle          *status.Throttle
	diagnosisSchedule *diagnosis.Schedule
	diagnosisQueue    workqueue.TypedDelayingInterface[cache.ObjectName]
	diagnosisBudget   flowcontrol.RateLimiter
	podReads          chan struct{}
	maxOwners         int
	recovery          *recoveries
	repairs           *repairs
	relabeled         relabeled
	jobRecords        *jobRecords
	steps             []step

	joins                   *agents.JoinClient
	agents                  *agents.Client
	drainTimers             *drain.Timers
	agentUnreachableTimeout time.Duration
	background              background
	// unschedulable says when the pods of MiniClusters are checked for those that cannot be scheduled.
	unschedulable *checkTimes
	// idleRanks knows which ranks are idle, of MiniClusters whose idle pods may be evicted.
	idleRanks *idleRanks
	// nodes knows the nodes that go away; nil if nodes are not watched.
	nodes *nodeWatch
}

// New returns a Controller and registers its handlers with the informers, which the caller starts.
func New(o Options) (*Controller, error) { return newController(o, &tasks{}) }

func newController(o Options, bg background) (*Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Connect == nil {
		o.Connect = agents.ConnectTLS
	}
	if o.Environment.ClusterDomain == "" {
		o.Environment.ClusterDomain = fluxconfig.DefaultClusterDomain
	}
	c := &Controller{
		kube: o.Kube, flux: o.Flux, events: shortNotes{o.Events}, metrics: o.Metrics,
		clock: o.Clock, random: o.Random, environment: o.Environment, pod: o.Pod,
		caches:            map[string]*caches{},
		limiters:          newLimiters(),
		throttle:          status.NewThrottle(o.Clock),
		diagnosisSchedule: diagnosis.NewSchedule(o.Clock, o.PodDiagnosisDelay),
		diagnosisQueue: workqueue.NewTypedDelayingQueueWithConfig(
			workqueue.TypedDelayingQueueConfig[cache.ObjectName]{Name: "minicluster-diagnosis", Clock: o.Clock}),
		diagnosisBudget: flowcontrol.NewTokenBucketRateLimiter(diagnosisRate, diagnosisBurst),
		podReads:        make(chan struct{}, 1),
		maxOwners:       maxOwners,
		recovery:        newRecoveries(o.Clock),
		repairs:         &repairs{clock: o.Clock},
		jobRecords:      newJobRecords(),
		unschedulable:   newCheckTimes(o.Clock),
		idleRanks:       newIdleRanks(o.IdleEvictionDelay),

		joins:                   agents.NewJoinClient(),
		drainTimers:             drain.NewTimers(o.Clock),
		agentUnreachableTimeout: o.AgentUnreachableTimeout,
		background:              bg,
	}
	c.agents = agents.NewClient(o.Connect, o.Clock, bg.Go, func(key types.NamespacedName) { c.enqueue(cache.ObjectName(key)) })
	c.queue = newQueue(o.Clock, newFairQueue(o.Clock, c.priorityOf, func(p priority, waited time.Duration) {
		c.metrics.Waited(p.String(), waited)
	}))
	c.steps = c.stepTable()
	c.consistency = newConsistency(func(namespace string) map[cachedResource]versionedStore { return c.cached(namespace).stores })
	for _, i := range o.Informers {
		if err := c.watch(i); err != nil {
			return nil, err
		}
	}
	if o.Nodes != nil {
		nodes, synced, err := newNodeWatch(o.Nodes, o.DeletionTaints, o.Clock, c.enqueue)
		if err != nil {
			return nil, err
		}
		c.nodes, c.synced = nodes, append(c.synced, synced)
	}
	return c, nil
}

// Run syncs MiniClusters with a number of workers until the context ends, and returns when
// all workers have finished their sync.
func (c *Controller) Run(ctx context.Context, workers int) error {
	logger := klog.FromContext(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.queue.ShutDown()
	defer c.diagnosisQueue.ShutDown()

	if !cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		logger.Info("Stopped before the caches were synced")
		return nil
	}
	minor, err := serverMinor(ctx, c.kube.Discovery())
	if err != nil {
		logger.Info("Stopped before the version of the API server was known")
		return nil
	}
	c.environment.ServerMinor = minor
	if c.environment.Agent, err = c.findAgentImage(ctx); err != nil {
		return err
	}
	logger.Info("Started", "workers", workers, "serverMinorVersion", minor, "agentImage", c.environment.Agent.Image)
	if err := c.watchFailedPods(ctx, &wg); err != nil {
		return err
	}
	// Requests to agents may take long. They are canceled with the context; the next leader sends them again.
	wg.Go(func() { c.background.Run(ctx) })
	wg.Go(func() { c.runDiagnosis(ctx) })
	if c.nodes != nil {
		defer c.nodes.queue.ShutDown()
		wg.Go(func() { c.runNodes(ctx) })
	}
	c.lead()
	// A sync that has started is finished, but no other one is started.
	working := context.WithoutCancel(ctx)
	for range workers {
		wg.Go(func() {
			// The next leader processes the remaining keys.
			for ctx.Err() == nil && c.processNext(working) {
			}
		})
	}
	<-ctx.Done()
	logger.Info("Stopping: waiting for the workers")
	return nil
}

// Synced reports whether the caches are filled.
func (c *Controller) Synced() bool {
	for _, synced := range c.synced {
		if !synced() {
			return false
		}
	}
	return true
}
