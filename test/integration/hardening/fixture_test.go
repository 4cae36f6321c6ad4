package hardening_test

import (
	"context"
	"fmt"
	"strings"
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
	"minicluster.internal/operator/pkg/controller/resources"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
	fluxscheme "minicluster.internal/operator/pkg/generated/clientset/versioned/scheme"
	listers "minicluster.internal/operator/pkg/generated/listers/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/faults"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

// fixture is the namespace of a test, which a watch follows.
type fixture struct {
	*user.Fixture
	*world

	// podDiagnosisDelay is the option of the controllers; 0 disables the inspection of pods.
	podDiagnosisDelay time.Duration
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	kube := suite.Cluster(t)
	// The remaining objects do not matter: the test's controllers watch no other namespace.
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

// watches is the number of watches of a controller: MiniClusters, Jobs, ConfigMaps, Services, pods and lead pods.
const watches = 6

// controllerRun is one run of a controller that watches only the fixture's namespace, with faults in its requests.
type controllerRun struct {
	*faults.Injector
	cancel context.CancelFunc
	done   chan struct{}
}

// start starts a controller. It is stopped at the latest when the test ends.
func (f *fixture) start(workers int) *controllerRun {
	f.Helper()
	run := f.prepare()
	run.begin(workers)
	return &run.controllerRun
}

// preparedRun returns a controller whose informers run, like those of a standby.
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

	// Not the context of the test, which ends before the functions of Cleanup run.
	run.ctx, run.cancel = context.WithCancel(context.Background())
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: kube.EventsV1()})
	require.NoError(f, broadcaster.StartRecordingToSinkWithContext(run.ctx))
	informers := controller.NewInformers(kube, flux, f.Namespace)
	run.controller, err = controller.New(controller.Options{
		Kube: kube, Flux: flux, Informers: informers,
		Events:  broadcaster.NewRecorder(fluxscheme.Scheme, "minicluster-controller"),
		Metrics: controllermetrics.NewMetrics(metrics.NewKubeRegistry()),

		Connect:           agents.Connect,
		Environment:       resources.Environment{PersistentVolumeDrivers: []string{programs.CSIDriver}},
		PodDiagnosisDelay: f.podDiagnosisDelay,
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

// current waits until the cache has the version of a MiniCluster that the API server has.
func (r *preparedRun) current(name string) {
	r.f.Helper()
	r.f.Eventually("the cache to be current", func(ctx context.Context) (string, error) {
		now, err := r.f.MiniClusters().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		cached, err := r.cached.Get(name)
		if err == nil && cached.ResourceVersion != now.ResourceVersion {
			return "it has version " + cached.ResourceVersion, nil
		}
		return "", err
	})
}

// begin starts the work of a prepared controller.
func (r *preparedRun) begin(workers int) {
	go func() {
		defer close(r.done)
		err := r.controller.Run(r.ctx, workers)
		assert.NoError(r.f, err)
		r.shutdown()
	}()
	r.f.Cleanup(r.stop)
}

// stop stops a controller regularly.
func (r *controllerRun) stop() {
	r.cancel()
	<-r.done
}

// crash ends a controller like SIGKILL: from one moment on, none of its requests reaches the server.
func (r *controllerRun) crash() {
	r.Kill()
	r.stop()
}

// supervisor runs one controller after the other: when a fault kills one, it starts the next.
type supervisor struct {
	f       *fixture
	run     *controllerRun
	crashes sync.WaitGroup
}

func (f *fixture) supervise() *supervisor {
	f.Helper()
	return &supervisor{f: f, run: f.start(2)}
}

// arm applies a fault to the k-th write from now on. The returned function removes the rule, waits until a killed
// controller has a successor, and returns the request.
func (s *supervisor) arm(m mode, k int) (disarm func() (hit string)) {
	_, disarm = s.armFor(faults.Writes, m, k)
	return disarm
}

// armFor is arm for some of the requests. It also returns the rule.
func (s *supervisor) armFor(match faults.Match, m mode, k int) (rule *faults.Rule, disarm func() (hit string)) {
	add := s.run.Add
	if m.kill {
		add = s.run.KillAt
	}
	rule = add(match, k, m.fault)
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
	return rule, func() string {
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

// create creates a MiniCluster like that of the tutorial.
func (f *fixture) create(name string, size int32, mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	f.Helper()
	return f.Create(name, size, mods...)
}

func maxSize(n int32) func(*v1alpha2.MiniCluster) { return user.MaxSize(n) }

// setSize writes spec.size with a merge patch like a user, and returns once the world has seen it.
func (f *fixture) setSize(name string, size int32) {
	f.Helper()
	mc := f.SetSize(name, size)
	f.wait(f.T, "the new size to be seen", func() string {
		// An earlier one of the name may have had more generations.
		if seen := get[*v1alpha2.MiniCluster](f.world, "MiniCluster", name); seen == nil || seen.UID != mc.UID || seen.Generation < mc.Generation {
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

// settled waits until a MiniCluster and all of its objects exactly match a size, as with a controller without faults.
// The reason is that of ScalingLimited.
func (f *fixture) settled(name string, size int32, reason string) *v1alpha2.MiniCluster {
	f.Helper()
	var mc *v1alpha2.MiniCluster
	f.wait(f.T, "MiniCluster "+name+" to be settled", func() string {
		mc = get[*v1alpha2.MiniCluster](f.world, "MiniCluster", name)
		return f.unsettled(mc, size, reason)
	})
	return mc
}

// unsettled returns what does not match yet; see settled.
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
	for _, entry := range mc.ManagedFields {
		if fields := entry.FieldsV1.GetRawString(); entry.Manager == v1alpha2.ManagedBy && entry.Subresource == "" && strings.Contains(fields, "f:spec") {
			return "the controller owns " + fields
		}
	}
	return ""
}

func is(s *v1alpha2.MiniClusterStatus, kind string, status metav1.ConditionStatus, reason string) bool {
	c := meta.FindStatusCondition(s.Conditions, kind)
	return c != nil && c.Status == status && c.Reason == reason
}

// eventually waits for a condition that is not a change of the world.
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

// single checks that each object of a MiniCluster was created only once.
func (f *fixture) single(mc *v1alpha2.MiniCluster, why string) {
	f.Helper()
	for _, kind := range []string{"Job", "Secret", "ConfigMap", "Service"} {
		f.created(kind, mc, 1, why)
	}
}

// created checks how many objects of a kind were created for a MiniCluster. It waits for their watch, which may be
// later than that of the objects that the test has waited for.
func (f *fixture) created(kind string, mc *v1alpha2.MiniCluster, n int, why string) {
	f.Helper()
	f.wait(f.T, fmt.Sprintf("%d %ss of %s (%s)", n, kind, mc.Name, why), func() string {
		if seen := len(uidsIn(f.changes, kind, mc.UID)); seen < n {
			return fmt.Sprintf("%d were seen", seen)
		}
		return ""
	})
	assert.Len(f, f.uids(kind, mc.UID), n, "%ss created for %s (%s)", kind, mc.Name, why)
}

// gone waits until all objects of a MiniCluster are deleted.
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
