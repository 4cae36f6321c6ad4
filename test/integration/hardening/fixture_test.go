package hardening_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"
	"k8s.io/component-base/metrics"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller"
	controllermetrics "minicluster.internal/operator/pkg/controller/metrics"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
	fluxscheme "minicluster.internal/operator/pkg/generated/clientset/versioned/scheme"
	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/faults"
	"minicluster.internal/operator/test/framework/user"
)

// fixture is a namespace of a test's own that is followed by watch.
type fixture struct {
	*user.Fixture
	*world
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	kube := suite.Cluster(t)
	// The remaining objects cost nothing: the test's controllers see no other namespace.
	return fixtureIn(t, kube, clustertest.LastingNamespace(t, kube))
}

func newFixtureOn(t *testing.T, kube *cluster.Cluster) *fixture {
	t.Helper()
	return fixtureIn(t, kube, clustertest.Namespace(t, kube))
}

func fixtureIn(t *testing.T, kube *cluster.Cluster, namespace string) *fixture {
	t.Helper()
	f := user.FixtureIn(t, kube, namespace)
	return &fixture{Fixture: f, world: followWorld(t, f.Clients)}
}

// watches is how many kinds of objects a controller watches: MiniClusters, Jobs,
// ConfigMaps, Services and pods.
const watches = 5

// controllerRun is one life of a controller that sees only the fixture's namespace,
// with requests that can be broken.
type controllerRun struct {
	*faults.Injector
	cancel context.CancelFunc
	done   chan struct{}
}

// start starts a controller. It is stopped when the test ends, if not before.
func (f *fixture) start(workers int) *controllerRun {
	f.Helper()
	run := f.prepare()
	run.begin(workers)
	return &run.controllerRun
}

// preparedRun is a controller whose informers run, as those of a standby do.
type preparedRun struct {
	controllerRun
	f          *fixture
	controller *controller.Controller
	cached     listers.MiniClusterNamespaceLister
	ctx        context.Context
	shutdown   func()
}

func (f *fixture) prepare() *preparedRun {
	f.Helper()
	config, err := f.Cluster.ConfigFor(user.Controller, user.SystemGroups...)
	require.NoError(f, err)
	run := &preparedRun{f: f, controllerRun: controllerRun{Injector: faults.New(), done: make(chan struct{})}}
	config.Wrap(run.Wrap)
	kube, err := kubernetes.NewForConfig(config)
	require.NoError(f, err)
	flux, err := clientset.NewForConfig(config)
	require.NoError(f, err)

	// Not the context of the test: it ends before the functions of Cleanup run.
	run.ctx, run.cancel = context.WithCancel(context.Background())
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: kube.EventsV1()})
	require.NoError(f, broadcaster.StartRecordingToSinkWithContext(run.ctx))
	informers := controller.NewInformers(kube, flux, f.Namespace)
	run.controller, err = controller.New(controller.Options{
		Kube: kube, Flux: flux, Informers: informers,
		Events:  broadcaster.NewRecorder(fluxscheme.Scheme, "minicluster-controller"),
		Metrics: controllermetrics.NewMetrics(metrics.NewKubeRegistry()),
	})
	require.NoError(f, err)
	run.cached = informers[0].Flux.FluxFramework().V1alpha2().MiniClusters().Lister().MiniClusters(f.Namespace)
	informers[0].Start(run.ctx)
	run.shutdown = func() {
		broadcaster.Shutdown()
		informers[0].Shutdown()
	}
	f.Cleanup(func() { run.cancel() })
	return run
}

// begin lets a prepared controller work.
func (r *preparedRun) begin(workers int) {
	go func() {
		defer close(r.done)
		err := r.controller.Run(r.ctx, workers)
		assert.NoError(r.f, err)
		r.shutdown()
	}()
	r.f.Cleanup(r.stop)
}

// stop stops a controller in good order.
func (r *controllerRun) stop() {
	r.cancel()
	<-r.done
}

// crash ends a controller as SIGKILL does: from one moment on none of its requests
// gets through.
func (r *controllerRun) crash() {
	r.Kill()
	r.stop()
}

// supervisor runs one controller after the other: when one is killed by a fault, it
// starts the next.
type supervisor struct {
	f       *fixture
	run     *controllerRun
	crashes sync.WaitGroup
}

func (f *fixture) supervise() *supervisor {
	f.Helper()
	return &supervisor{f: f, run: f.start(2)}
}

// arm breaks the k-th write from now on. The function that it returns disarms, waits
// until a controller that was killed has a successor, and tells what was hit.
func (s *supervisor) arm(m mode, k int) (disarm func() (hit string)) {
	add := s.run.Add
	if m.kill {
		add = s.run.KillAt
	}
	rule := add(faults.Writes, k, m.fault)
	stopped := make(chan struct{})
	if m.kill {
		s.crashes.Go(func() {
			select {
			case <-rule.Fired():
				s.run.stop()
				s.run = s.f.start(2)
			case <-stopped:
			}
		})
	}
	return func() string {
		fired := rule.Remove()
		if !fired {
			close(stopped)
		}
		s.crashes.Wait()
		if !fired {
			return ""
		}
		return rule.Hit().String()
	}
}

// create makes a MiniCluster of the tutorial's shape.
func (f *fixture) create(name string, size int32, mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	f.Helper()
	return f.Create(name, size, mods...)
}

func maxSize(n int32) func(*v1alpha2.MiniCluster) { return user.MaxSize(n) }

// setSize writes spec.size as a user's merge patch does, and returns once the world
// has seen it.
func (f *fixture) setSize(name string, size int32) {
	f.Helper()
	mc := f.SetSize(name, size)
	f.wait(f.T, "the new size to be seen", func() string {
		if seen := get[*v1alpha2.MiniCluster](f.world, "MiniCluster", name); seen != nil && seen.Generation < mc.Generation {
			return "not yet"
		}
		return ""
	})
}

func (f *fixture) delete(name string) {
	f.Helper()
	require.NoError(f, f.MiniClusters().Delete(f.Context(), name, metav1.DeleteOptions{}))
}

// succeed ends the lead's program.
func (f *fixture) succeed(name string) {
	f.Helper()
	require.NoError(f, f.Cluster.SucceedPod(f.Context(), f.Namespace, f.LeadPod(name)))
}

// settled waits until a MiniCluster, and all that is made for it, is exactly as a
// size wants it: what a controller without any trouble makes of it. The reason is
// that of ScalingLimited.
func (f *fixture) settled(name string, size int32, reason string) *v1alpha2.MiniCluster {
	f.Helper()
	var mc *v1alpha2.MiniCluster
	f.wait(f.T, "MiniCluster "+name+" to be settled", func() string {
		mc = get[*v1alpha2.MiniCluster](f.world, "MiniCluster", name)
		return f.unsettled(mc, size, reason)
	})
	return mc
}

// unsettled says what is not yet as it should be; see settled.
func (f *fixture) unsettled(mc *v1alpha2.MiniCluster, size int32, reason string) string {
	if mc == nil {
		return "no MiniCluster"
	}
	job := get[*batchv1.Job](f.world, "Job", mc.Name)
	if job == nil {
		return describe(mc, job)
	}
	maximum := mc.Spec.MaxSize
	s := mc.Status
	right := metav1.IsControlledBy(job, mc) && *job.Spec.Parallelism == size && *job.Spec.Completions == size &&
		mc.RequestedSize() == size && s.Size == size && s.ReadySize == size && s.MaximumSize == maximum &&
		s.JobID == string(job.UID) && s.ObservedGeneration == mc.Generation && s.Selector == "hpa-selector="+mc.Name &&
		is(&s, v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonReady) &&
		is(&s, v1alpha2.ConditionProgressing, metav1.ConditionFalse, v1alpha2.ReasonStable) &&
		is(&s, v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonValid) &&
		is(&s, v1alpha2.ConditionSuspended, metav1.ConditionFalse, v1alpha2.ReasonNotSuspended)
	limited := meta.FindStatusCondition(s.Conditions, v1alpha2.ConditionScalingLimited)
	right = right && limited != nil && limited.Reason == reason
	service := get[*corev1.Service](f.world, "Service", mc.Name)
	if !right || service == nil || !owned(service, mc) {
		return describe(mc, job)
	}
	return ""
}

func is(s *v1alpha2.MiniClusterStatus, kind string, status metav1.ConditionStatus, reason string) bool {
	c := meta.FindStatusCondition(s.Conditions, kind)
	return c != nil && c.Status == status && c.Reason == reason
}

// eventually waits for what is no change in the world.
func (f *fixture) eventually(what string, is func() bool) {
	f.Helper()
	require.Eventually(f, is, patience, 5*time.Millisecond, what)
}

func owned(o metav1.Object, mc *v1alpha2.MiniCluster) bool {
	for _, r := range o.GetOwnerReferences() {
		if r.UID == mc.UID {
			return true
		}
	}
	return o.GetLabels()[v1alpha2.LabelMiniClusterUID] == string(mc.UID)
}

// single checks that of all that belongs to a MiniCluster there was only ever one.
func (f *fixture) single(mc *v1alpha2.MiniCluster, why string) {
	f.Helper()
	for _, kind := range []string{"Job", "Secret", "ConfigMap", "Service"} {
		assert.Len(f, f.uids(kind, mc.UID), 1, "%ss ever made for %s (%s)", kind, mc.Name, why)
	}
}

// gone waits until nothing is left that belonged to a MiniCluster.
func (f *fixture) gone(mc *v1alpha2.MiniCluster) {
	f.Helper()
	f.wait(f.T, "all of MiniCluster "+mc.Name+" to be gone", func() string {
		for kind, objects := range f.now {
			for _, o := range objects {
				if o.GetUID() == mc.UID || owned(o, mc) {
					return kind + " " + o.GetName() + " is left"
				}
			}
		}
		return ""
	})
}
