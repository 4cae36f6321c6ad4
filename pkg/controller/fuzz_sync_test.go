package controller

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	basemetrics "k8s.io/component-base/metrics"
	"k8s.io/klog/v2"
	testclock "k8s.io/utils/clock/testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/metrics"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/sample"
)

var (
	randomSyncs = flag.Int("random-syncs", 500, "random sequences that TestRandomSyncs runs")
	syncSeed    = flag.Uint64("sync-seed", 1, "seed of TestRandomSyncs")
)

// FuzzSync applies a sequence of events, faults and steps of time to the controller, and checks the invariants after
// each of them. Each byte is an operation or an argument of one.
func FuzzSync(f *testing.F) {
	f.Add([]byte{})
	for seed := range uint64(20) {
		f.Add(randomSequence(rand.New(rand.NewPCG(seed, 0))))
	}
	f.Fuzz(func(t *testing.T, sequence []byte) {
		for _, v := range variants {
			playSequence(t, sequence, v)
		}
	})
}

// TestRandomSyncs runs random sequences, the same ones each time.
func TestRandomSyncs(t *testing.T) {
	random := rand.New(rand.NewPCG(*syncSeed, 1))
	for i := range *randomSyncs {
		sequence := randomSequence(random)
		for _, v := range variants {
			if !t.Run(fmt.Sprintf("%d,%s", i, v.name), func(t *testing.T) { playSequence(t, sequence, v) }) {
				t.Fatalf("sequence %d of seed %d: []byte(%q)", i, *syncSeed, sequence)
			}
		}
	}
}

func randomSequence(random *rand.Rand) []byte {
	sequence := make([]byte, 20+random.IntN(120))
	for i := range sequence {
		sequence[i] = byte(random.Uint32())
	}
	return sequence
}

const testNamespace = "ns"

// play is a controller in a simulated world.
type play struct {
	*world
	sequence []byte
	// besideJobs: MiniClusters have sidecars, a services pod and volumes.
	besideJobs bool
	// brokers are the brokers behind the agents.
	brokers *simBrokers

	controller *Controller
	clock      *testclock.FakeClock
	queue      *simQueue
	stores     map[cachedResource]cache.Store
	handlers   map[cachedResource]cache.ResourceEventHandler

	// certificates are the Secrets that Jobs started with, by the Jobs' UIDs.
	certificates map[types.UID]types.UID
	// configs are the broker.toml that Jobs started with, by the Jobs' UIDs.
	configs map[types.UID]string
	// clusters are the MiniClusters of Jobs, by the Jobs' UIDs.
	clusters map[types.UID]types.UID
	// ended are finished MiniClusters.
	ended map[types.UID]bool
	// events are the numbers of events, by their reasons.
	events map[string]int
	// burst: other Jobs of the namespace are created during half of the syncs, so that first statuses are delayed.
	burst bool
	// disturbed reports that something happened during a sync.
	disturbed bool
	// lost are MiniClusters without a Secret at the start of the sync.
	lost map[string]bool
}

var testMetrics = metrics.NewMetrics(basemetrics.NewKubeRegistry())

// variant selects properties of the controller and its MiniClusters.
type variant struct {
	name           string
	beside, agents bool
	// burst: many other MiniClusters are created.
	burst bool
}

var variants = []variant{{name: "plain"}, {name: "beside", beside: true}, {name: "agents", agents: true}, {name: "burst", burst: true}}

func playSequence(t *testing.T, sequence []byte, v variant) {
	p := startPlay(t, sequence, v)
	for n := 0; len(p.sequence) > 0 && n < 200; n++ {
		p.operate()
		p.checkObjects()
	}
	p.settle()
}

// newPlay starts a controller in a world with one MiniCluster.
func newPlay(t testing.TB, sequence []byte) *play { return startPlay(t, sequence, variant{}) }

func startPlay(t testing.TB, sequence []byte, v variant) *play {
	p := &play{
		world: newWorld(t), sequence: sequence, besideJobs: v.beside, burst: v.burst, brokers: newSimBrokers(v.agents, sequence),
		clock:        testclock.NewFakeClock(time.Unix(1_000_000, 0)),
		certificates: map[types.UID]types.UID{}, configs: map[types.UID]string{}, clusters: map[types.UID]types.UID{}, ended: map[types.UID]bool{}, lost: map[string]bool{}, events: map[string]int{},
	}
	p.reviews = append(p.reviews, p.reviewWrite)
	p.start()
	p.makeMiniCluster("a", 0)
	return p
}

// next returns the next byte of the sequence.
func (p *play) next() byte {
	if len(p.sequence) == 0 {
		return 0
	}
	b := p.sequence[0]
	p.sequence = p.sequence[1:]
	return b
}

// start starts a controller that knows only what it can list.
func (p *play) start() {
	if p.queue != nil {
		p.queue.ShutDown()
	}
	informers := NewInformers(p.kube, p.flux)
	c, err := newController(Options{
		Kube: p.kube, Flux: p.flux, Informers: informers,
		Events: recorder{p}, Metrics: testMetrics, Clock: p.clock, Random: sample.Zeroes{},
		Environment:             resources.Environment{AllowHostPathVolumes: true, PersistentVolumeDrivers: []string{"*"}},
		AgentUnreachableTimeout: p.brokers.patience,
		Connect:                 p.newAgent,
	}, inline{})
	if err != nil {
		p.Fatal(err)
	}
	c.queue.ShutDown()
	c.diagnosisQueue.ShutDown()
	p.queue = newSimQueue(p.clock)
	c.queue = p.queue
	c.leading.Store(true)
	c.maxOwners = 2
	p.controller = c
	p.stores = map[cachedResource]cache.Store{
		miniclusters: informers[0].Flux.FluxFramework().V1alpha2().MiniClusters().Informer().GetStore(),
		jobs:         informers[0].Kube.Batch().V1().Jobs().Informer().GetStore(),
		configmaps:   informers[0].Kube.Core().V1().ConfigMaps().Informer().GetStore(),
		services:     informers[0].Kube.Core().V1().Services().Informer().GetStore(),
		pods:         informers[0].Kube.Core().V1().Pods().Informer().GetStore(),
		leads:        informers[0].Leads.Core().V1().Pods().Informer().GetStore(),
	}
	p.handlers = map[cachedResource]cache.ResourceEventHandler{
		miniclusters: c.miniClusterHandler(), jobs: c.jobHandler(), configmaps: c.dependentHandler(), services: c.dependentHandler(), pods: c.dependentHandler(),
		leads: c.leadHandler(),
	}
	for _, r := range cachedResources {
		p.list(r)
	}
}

// cachedResources are the resources of the informers; committed sequences refer to them by number. Pods, and
// those of leads, are delivered together with Services.
var cachedResources = []cachedResource{miniclusters, jobs, configmaps, services}

func (p *play) see(r cachedResource, n int) {
	p.deliver(r, n, p.stores[r], p.handlers[r])
	if r == services {
		p.deliver(pods, n, p.stores[pods], p.handlers[pods])
		p.deliver(leads, n, p.stores[leads], p.handlers[leads])
	}
}

func (p *play) list(r cachedResource) {
	p.relist(r, p.stores[r], p.handlers[r])
	if r == services {
		p.relist(pods, p.stores[pods], p.handlers[pods])
		p.relist(leads, p.stores[leads], p.handlers[leads])
	}
}

// seeAll delivers all events, and a bookmark.
func (p *play) seeAll() {
	for _, r := range cachedResources {
		p.see(r, max(len(p.pending[r]), len(p.pending[pods]), len(p.pending[leads])))
		p.stores[r].Bookmark(strconv.FormatInt(p.version, 10))
	}
	p.stores[pods].Bookmark(strconv.FormatInt(p.version, 10))
}

// work lets the controller sync up to n MiniClusters.
func (p *play) work(n int) {
	ctx := klog.NewContext(context.Background(), logr.Discard())
	for ; n > 0 && p.queue.due() > 0; n-- {
		p.disturbed = false
		clear(p.lost)
		for _, o := range p.all(miniclusters) {
			mc := o.(*v1alpha2.MiniCluster)
			p.lost[mc.Name] = p.objects[secrets][resources.SecretName(mc)] == nil
		}
		if p.burst && p.version%2 == 0 {
			p.createOthers()
		}
		p.logf("sync")
		p.controller.processNext(ctx)
	}
}

func (p *play) cluster(name string) *v1alpha2.MiniCluster {
	mc, _ := p.objects[miniclusters][name].(*v1alpha2.MiniCluster)
	return mc
}

func (p *play) makeMiniCluster(name string, how byte) {
	mc := newMiniCluster(name, how)
	if p.besideJobs {
		withBeside(mc)
	}
	_, _ = p.create(miniclusters, mc)
}

func newMiniCluster(name string, how byte) *v1alpha2.MiniCluster {
	mc := &v1alpha2.MiniCluster{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: testNamespace},
		Spec: v1alpha2.MiniClusterSpec{
			Size:       new(int32(how%6) + 1),
			Containers: []v1alpha2.MiniClusterContainer{{Image: "flux:test"}},
		},
	}
	if how&8 != 0 {
		mc.Spec.MaxSize = mc.RequestedSize() + 2
	}
	if how&16 != 0 {
		mc.Spec.MinSize = mc.RequestedSize()
	}
	if how&32 != 0 {
		mc.Spec.Network = &v1alpha2.Network{HeadlessName: "shared"}
	}
	mc.Spec.Cleanup = how&192 == 192
	return mc
}

// withBeside adds the auxiliary objects. All MiniClusters have a sidecar of the same name.
func withBeside(mc *v1alpha2.MiniCluster) {
	mc.Spec.Containers[0].RunFlux = true
	mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{Name: "nginx", Image: "nginx", Ports: []int32{80}})
	mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "registry", Image: "registry"}}
	mc.Spec.Volumes = map[string]v1alpha2.MiniClusterVolume{"data": {Path: "/data"}, "kept": {Path: "/kept", Delete: new(false)}}
}

// operation is something that happens to the controller.
type operation struct {
	name string
	run  func(p *play, name string, arg byte)
}

// disturbances are actions of users and other controllers. Committed sequences depend on their order, and on that of
// operations.
var disturbances = []operation{
	{"the user sets the size", func(p *play, name string, arg byte) {
		edit(p.world, miniclusters, name, func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = new(int32(arg % 12)) })
	}},
	{"the user sets minSize", func(p *play, name string, arg byte) {
		edit(p.world, miniclusters, name, func(mc *v1alpha2.MiniCluster) { mc.Spec.MinSize = int32(arg % 9) })
	}},
	{"the user sets maxSize", func(p *play, name string, arg byte) {
		edit(p.world, miniclusters, name, func(mc *v1alpha2.MiniCluster) { mc.Spec.MaxSize = int32(arg % 12) })
	}},
	{"the user edits other fields", (*play).editFields},
	{"a user deletes the Job", func(p *play, name string, arg byte) { p.deleteJob(name, arg%4 == 0) }},
	{"a user deletes another object", func(p *play, name string, arg byte) {
		switch arg % 4 {
		case 0:
			p.remove(configmaps, name+"-config")
		case 1:
			p.remove(services, name)
		case 2:
			p.remove(services, "shared")
		case 3:
			if mc := p.cluster(name); mc != nil {
				p.remove(secrets, resources.SecretName(mc))
			}
		}
		switch {
		case !p.besideJobs:
		case arg&16 != 0:
			p.remove(services, "nginx")
		case arg&32 != 0:
			p.requestDeletion(pods, name+"-services")
		case arg&64 != 0:
			edit(p.world, pods, name+"-services", func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed })
		}
	}},
	{"foreign objects appear", (*play).makeForeign},
	{"foreign objects vanish", func(p *play, _ string, _ byte) { p.removeForeign() }},
	{"another client resizes the Job", func(p *play, name string, arg byte) {
		edit(p.world, jobs, name, func(job *batchv1.Job) {
			n := int32(arg % 8)
			job.Spec.Parallelism = &n
			if arg&64 != 0 {
				job.Spec.Completions = &n
			}
		})
	}},
	{"the lead's program ends", func(p *play, name string, _ byte) { p.endPod(name) }},
	{"the Job fails", func(p *play, name string, _ byte) {
		edit(p.world, jobs, name, func(job *batchv1.Job) {
			if resources.FinishedCondition(job) == nil {
				sample.EndedJob(batchv1.JobFailed, "PodFailurePolicy", "exit code 3")(job)
			}
		})
	}},
	{"the Job is suspended or resumed", func(p *play, name string, arg byte) {
		edit(p.world, jobs, name, func(job *batchv1.Job) { job.Spec.Suspend = new(arg%2 == 0) })
	}},
}

var operations = append(slices.Clone(disturbances), []operation{
	{"requests fail", (*play).fail},
	{"informers see some events", func(p *play, _ string, arg byte) { p.see(cachedResources[arg%4], 1+int(arg/4)%8) }},
	{"informers see everything", func(p *play, _ string, _ byte) { p.seeAll() }},
	{"an informer lists again", func(p *play, _ string, arg byte) {
		p.list(cachedResources[arg%4])
	}},
	{"the garbage collector runs", func(p *play, _ string, _ byte) { p.collectGarbage() }},
	{"the Job controller runs", func(p *play, _ string, _ byte) { p.runJobs() }},
	{"pods start", func(p *play, _ string, _ byte) { p.runPods(false) }},
	{"pods start and stop", func(p *play, _ string, _ byte) { p.runPods(true) }},
	{"time passes", func(p *play, _ string, arg byte) { p.clock.Step(time.Duration(arg) * 50 * time.Millisecond) }},
	{"the controller works", func(p *play, _ string, arg byte) { p.work(1 + int(arg%4)) }},
	{"informers see everything and the controller works", func(p *play, _ string, arg byte) { p.seeAll(); p.work(1 + int(arg%4)) }},
	{"the controller is killed and starts again", func(p *play, _ string, _ byte) { p.start() }},
	{"the user deletes the MiniCluster", func(p *play, name string, _ byte) { p.requestDeletion(miniclusters, name) }},
	{"the user creates the MiniCluster", (*play).makeMiniCluster},
	{"a user removes labels", func(p *play, name string, arg byte) {
		if mc := p.cluster(name); mc == nil || mc.Status.MaximumSize == 0 {
			return // no event reports an object without the label
		}
		r, object := []cachedResource{jobs, configmaps, services}[arg%3], []string{name, name + "-config", name}[arg%3]
		edit(p.world, r, object, func(o apiObject) { o.SetLabels(nil) })
	}},
	{"another operator's MiniCluster appears", func(p *play, name string, arg byte) {
		if p.cluster(name) != nil || p.objects[jobs][name] != nil {
			return
		}
		mc := newMiniCluster(name, arg|8)
		mc.Status.MaximumSize = mc.Spec.MaxSize
		_, _ = p.create(miniclusters, mc)
		p.makeIncumbent(p.cluster(name), p.cluster(name).RequestedSize())
	}},
	{"during a sync", (*play).interfere},
}...)

// interfere makes something happen before one of the next requests.
func (p *play) interfere(_ string, arg byte) {
	do, name, inner := disturbances[int(p.next())%len(disturbances)], p.name(), p.next()
	p.before[p.calls+1+int(arg%6)] = func() {
		p.disturbed = true
		p.logf("in between, %s: %s %d", name, do.name, inner)
		do.run(p, name, inner)
	}
}

func (p *play) name() string { return []string{"a", "a", "b"}[p.next()%3] }

func (p *play) operate() {
	op := operations[int(p.next())%len(operations)]
	name, arg := p.name(), p.next()
	p.logf("%s: %s %d", name, op.name, arg)
	op.run(p, name, arg)
}

func (p *play) editFields(name string, arg byte) {
	edit(p.world, miniclusters, name, func(mc *v1alpha2.MiniCluster) {
		switch arg % 7 {
		case 0:
			mc.Spec.Flux = &v1alpha2.FluxSpec{ConnectTimeout: "soon"}
		case 1:
			mc.Spec.Flux = nil
			if arg&128 != 0 {
				mc.Spec.Flux = &v1alpha2.FluxSpec{ConnectTimeout: "9s"}
			}
		case 2:
			mc.Spec.Flux = &v1alpha2.FluxSpec{InstallRoot: "/usr"}
		case 3:
			mc.Spec.Cleanup = !mc.Spec.Cleanup
		case 4:
			mc.Annotations = map[string]string{"touched": fmt.Sprint(arg)}
		case 5:
			mc.Spec.Pod = &v1alpha2.PodSpec{Labels: map[string]string{"x": fmt.Sprint(arg)}}
		case 6:
			mc.Spec.ScaleDown = &v1alpha2.ScaleDown{DrainTimeoutSeconds: new(int32(arg))}
		}
	})
}

// makeForeign creates an object with a name that a MiniCluster needs, with or without the label that the informers
// select by.
func (p *play) makeForeign(name string, arg byte) {
	m := metav1.ObjectMeta{Namespace: testNamespace, Name: name}
	if arg&16 != 0 {
		m.Labels = map[string]string{v1alpha2.LabelController: v1alpha2.ManagedBy}
	}
	var (
		r   cachedResource
		obj apiObject
	)
	switch arg % 4 {
	case 0:
		r, obj = jobs, &batchv1.Job{ObjectMeta: m, Spec: batchv1.JobSpec{Parallelism: new(int32(1)), Completions: new(int32(1))}}
	case 1:
		m.Name += "-config"
		r, obj = configmaps, &corev1.ConfigMap{ObjectMeta: m}
	case 2:
		r, obj = services, &corev1.Service{ObjectMeta: m}
	case 3:
		mc := p.cluster(name)
		if mc == nil {
			return
		}
		m.Name = resources.SecretName(mc)
		r, obj = secrets, &corev1.Secret{ObjectMeta: m}
	}
	p.plant(r, obj)
	switch {
	case !p.besideJobs:
	case arg&32 != 0:
		m.Name = "nginx"
		p.plant(services, &corev1.Service{ObjectMeta: m})
	case arg&64 != 0:
		m.Name = name + "-services"
		p.plant(pods, &corev1.Pod{ObjectMeta: m})
	}
}

func (p *play) plant(r cachedResource, obj apiObject) {
	if made, err := p.create(r, obj); err == nil {
		p.foreign[made.GetUID()] = true
	}
}

func (p *play) removeForeign() {
	for _, r := range slices.Sorted(maps.Keys(p.objects)) { // deterministic
		for _, o := range p.all(r) {
			if p.foreign[o.GetUID()] {
				p.remove(r, o.GetName())
			}
		}
	}
}

// fail makes some of the next requests fail.
func (p *play) fail(_ string, arg byte) {
	kinds := []error{
		apierrors.NewInternalError(errors.New("injected")),
		apierrors.NewTooManyRequests("injected", 1),
		apierrors.NewConflict(gr("things"), "thing", errors.New("injected")),
		apierrors.NewTimeoutError("injected", 1),
		errors.New("injected: connection reset by peer"),
		apierrors.NewForbidden(gr("things"), "thing", errors.New("injected: exceeded quota")),
	}
	p.faults = make([]fault, int(arg>>5))
	err := kinds[int(arg%8)%len(kinds)]
	for range 1 + int(arg>>3)%3 {
		p.faults = append(p.faults, fault{err: err, after: arg%2 == 0 && !apierrors.IsConflict(err) && !apierrors.IsForbidden(err)})
	}
}

// reviewWrite checks a write of the controller.
func (p *play) reviewWrite(verb string, r cachedResource, before, after apiObject) {
	if before != nil && p.foreign[before.GetUID()] {
		p.violated("%s of %s %s, which belongs to something else", verb, r, before.GetName())
	}
	switch after := after.(type) {
	case *batchv1.Job:
		p.reviewJob(verb, before, after)
	case *corev1.Secret:
		if verb == "create" {
			p.reviewSecret(after)
		}
	case *corev1.ConfigMap:
		p.reviewConfig(verb, after)
	case *v1alpha2.MiniCluster:
		done := after.Status.Finished()
		if p.ended[after.UID] && !done {
			p.violated("%s has ended and its status no longer says so", after.Name)
		}
		if done {
			p.ended[after.UID] = true
		}
	}
}

func (p *play) reviewJob(verb string, before apiObject, job *batchv1.Job) {
	if was, ok := before.(*batchv1.Job); ok && equality.Semantic.DeepEqual(was.Spec, job.Spec) {
		return
	}
	maximum, ok := resources.SizeAnnotation(job.Annotations, v1alpha2.AnnotationMaximumSize)
	if n := resources.Parallelism(job); !ok || n != resources.Completions(job) || n < 1 || n > maximum {
		p.violated("%s of Job %s: parallelism %d, completions %d, maximum %d", verb, job.Name, n, resources.Completions(job), maximum)
	}
	owner := metav1.GetControllerOf(job)
	if verb == "patch" && before != nil {
		p.reviewShrink(before.(*batchv1.Job), job)
	}
	if p.ended[owner.UID] {
		p.violated("%s of Job %s, whose MiniCluster has ended", verb, job.Name)
	}
	if verb != "create" {
		return
	}
	mc := p.cluster(owner.Name)
	if mc == nil || mc.UID != owner.UID {
		return // deleted meanwhile: left to the garbage collector
	}
	p.clusters[job.UID] = mc.UID
	if conf, ok := p.objects[configmaps][resources.ConfigMapName(mc)].(*corev1.ConfigMap); ok {
		p.configs[job.UID] = conf.Data[resources.KeyBrokerConfig]
	}
	secret := p.objects[secrets][resources.SecretName(mc)]
	switch {
	case secret != nil:
		p.certificates[job.UID] = secret.GetUID()
	case !p.disturbed && p.lost[mc.Name]:
		p.violated("Job %s is created without a certificate", job.Name)
	}
	for _, o := range p.all(podObjects) {
		pod := o.(*corev1.Pod)
		of := types.UID(pod.Labels[batchv1.ControllerUidLabel])
		if of != job.UID && p.clusters[of] == mc.UID && pod.Status.Phase != corev1.PodSucceeded {
			p.violated("Job %s is created while pod %s of a previous Job exists", job.Name, pod.Name)
		}
	}
}

func (p *play) reviewSecret(secret *corev1.Secret) {
	owner := metav1.GetControllerOf(secret)
	for _, o := range p.all(jobs) {
		if ref := metav1.GetControllerOf(o); ref != nil && ref.UID == owner.UID {
			p.violated("Secret %s is created while Job %s exists", secret.Name, o.GetName())
		}
	}
}

// reviewConfig checks that the configuration of running brokers never changes.
func (p *play) reviewConfig(verb string, conf *corev1.ConfigMap) {
	owner := metav1.GetControllerOf(conf)
	job, ok := p.objects[jobs][owner.Name].(*batchv1.Job)
	if !ok || metav1.GetControllerOf(job) == nil || metav1.GetControllerOf(job).UID != owner.UID {
		return
	}
	if record := resources.RecordedHibernation(conf); record != nil && record.Job == job.UID {
		return // its brokers have ended
	}
	if first, ok := p.configs[job.UID]; ok && first != conf.Data[resources.KeyBrokerConfig] {
		p.violated("%s of ConfigMap %s, which differs from that of the Job", verb, conf.Name)
	}
}

// checkObjects checks the invariants that hold at any time.
func (p *play) checkObjects() {
	perOwner := map[types.UID]int{}
	for _, o := range p.all(secrets) {
		if ref := metav1.GetControllerOf(o); ref != nil {
			if perOwner[ref.UID]++; perOwner[ref.UID] > 1 {
				p.violated("MiniCluster %s has more than one Secret", ref.Name)
			}
		}
	}
	for _, o := range p.all(miniclusters) {
		mc := o.(*v1alpha2.MiniCluster)
		registered := map[string]int32{}
		note := func(what string, o apiObject) {
			if o == nil || !metav1.IsControlledBy(o, mc) {
				return
			}
			if n, ok := resources.SizeAnnotation(o.GetAnnotations(), v1alpha2.AnnotationMaximumSize); ok {
				registered[what] = n
			}
		}
		note("Job", p.objects[jobs][resources.JobName(mc)])
		note("ConfigMap", p.objects[configmaps][resources.ConfigMapName(mc)])
		if mc.Status.MaximumSize > 0 {
			registered["status"] = mc.Status.MaximumSize
		}
		for what, n := range registered {
			if job, ok := registered["Job"]; ok && n != job {
				p.violated("the maximum of %s is %d for its Job and %d for its %s", mc.Name, job, n, what)
			}
		}
		job, secret := p.objects[jobs][resources.JobName(mc)], p.objects[secrets][resources.SecretName(mc)]
		if job != nil && metav1.IsControlledBy(job, mc) && secret != nil && !p.foreign[secret.GetUID()] {
			if first, ok := p.certificates[job.GetUID()]; ok && first != secret.GetUID() {
				p.violated("the certificate of %s changed while its Job existed", mc.Name)
			}
		}
	}
}

// settle ends all faults, advances the time until nothing changes any more, and checks that the state matches the
// specs.
func (p *play) settle() {
	p.logf("no faults from here")
	p.brokers.calm = true
	p.faults, p.before = nil, map[int]func(){}
	p.removeForeign()
	p.quiesce()
	for _, fresh := range []bool{false, true} {
		if fresh {
			unlabeled := p.unlabeled()
			p.start()
			if unlabeled { // each controller restores labels once
				p.quiesce()
			}
		}
		p.checkVolumes()
		for _, o := range p.all(miniclusters) {
			p.checkSettled(o.(*v1alpha2.MiniCluster), fresh)
		}
	}
}

// quiesce advances the time until nothing changes any more.
func (p *play) quiesce() {
	quiet := 0
	for round := 0; quiet < 12; round++ {
		if round > 500 {
			p.violated("it never settles")
		}
		version := p.version
		p.collectGarbage()
		p.runJobs()
		p.runPods(true)
		for _, o := range p.all(podObjects) {
			if len(o.GetOwnerReferences()) == 0 { // a user has to delete orphans
				p.remove(podObjects, o.GetName())
			}
		}
		p.seeAll()
		p.work(20)
		p.checkObjects()
		if p.version != version {
			quiet = 0
			p.clock.Step(100 * time.Millisecond)
			continue
		}
		quiet++
		p.queue.wait()
	}
}

// unlabeled reports whether an object of a MiniCluster lacks the label of the controller.
func (p *play) unlabeled() bool {
	for _, r := range []cachedResource{jobs, configmaps, services} {
		for _, o := range p.all(r) {
			if o.GetLabels()[v1alpha2.LabelController] == "" {
				return true
			}
		}
	}
	return false
}

func (p *play) checkSettled(mc *v1alpha2.MiniCluster, fresh bool) {
	ctx := klog.NewContext(context.Background(), logr.Discard())
	p.logf("settled: sync of %s, fresh controller: %t", mc.Name, fresh)
	writes := p.version
	_, err := p.controller.sync(ctx, cache.MetaObjectToName(mc))
	terminal := classify(err).outcome == outcomeTerminal
	if err != nil && !terminal && !p.conflictsWithNeighbour(mc, err) {
		p.violated("%s has settled, and its sync returns: %v", mc.Name, err)
	}
	if p.version != writes {
		p.violated("%s has settled, and its sync writes", mc.Name)
	}
	job, _ := p.objects[jobs][resources.JobName(mc)].(*batchv1.Job)
	status := mc.Status
	switch {
	case status.Finished():
		if p.objects[pods][resources.ServicesPodName(mc)] != nil {
			p.violated("%s has ended and its services pod has not", mc.Name)
		}
		return
	case job == nil:
		if !terminal && !p.stopped(mc) {
			p.violated("%s has settled and has no Job", mc.Name)
		}
		return
	}
	p.checkDrains(mc, job)
	p.checkAwake(mc, job, terminal)
	maximum := status.MaximumSize
	if n := mc.RequestedSize(); n > maximum || n < mc.LowerBound(maximum) {
		p.violated("%s has settled at spec.size %d of %d to %d", mc.Name, n, mc.LowerBound(maximum), maximum)
	}
	// The status reports a rejected size, a lost certificate, and a Job that another client resized.
	limited := meta.IsStatusConditionTrue(status.Conditions, v1alpha2.ConditionScalingLimited)
	if !limited && (resources.Parallelism(job) != mc.RequestedSize() || resources.Completions(job) != mc.RequestedSize()) && !resources.LeadCompleted(job) {
		p.violated("%s has settled: spec.size is %d and the Job's parallelism %d, completions %d", mc.Name, mc.RequestedSize(), resources.Parallelism(job), resources.Completions(job))
	}
	if status.Size != job.Status.Active || status.ReadySize != *job.Status.Ready || status.JobID != string(job.UID) ||
		status.ObservedGeneration != mc.Generation {
		p.violated("%s has settled: status %+v and the Job's %+v disagree", mc.Name, status, job.Status)
	}
	if ready := meta.IsStatusConditionTrue(status.Conditions, v1alpha2.ConditionReady); ready && (status.ReadySize < resources.Parallelism(job) || resources.Suspended(job)) {
		p.violated("%s says that it is ready with %d of %d pods", mc.Name, status.ReadySize, resources.Parallelism(job))
	}
	if !resources.CreatedByController(job) {
		return
	}
	if name := job.Spec.Template.Spec.Subdomain; p.objects[services][name] == nil {
		p.violated("%s has settled without Service %s", mc.Name, name)
	}
	ready := meta.FindStatusCondition(status.Conditions, v1alpha2.ConditionReady)
	accepted := meta.FindStatusCondition(status.Conditions, v1alpha2.ConditionAccepted)
	excused := slices.Contains([]string{v1alpha2.ReasonConfigLost, v1alpha2.ReasonCertificateLost}, ready.Reason) && accepted.Reason != v1alpha2.ReasonValid
	if p.objects[configmaps][resources.ConfigMapName(mc)] == nil && !excused {
		p.violated("%s has settled without its ConfigMap", mc.Name)
	}
	if resources.CreatedByController(job) {
		p.checkBeside(mc, job)
	}
}

// conflictsWithNeighbour reports whether an error says that another MiniCluster owns the Service of a sidecar of the
// same name.
func (p *play) conflictsWithNeighbour(mc *v1alpha2.MiniCluster, err error) bool {
	v := classify(err)
	return v.auxiliary && v.outcome == outcomeNameConflict && strings.Contains(v.message, `"nginx"`) &&
		!metav1.IsControlledBy(p.objects[services]["nginx"], mc)
}

// inline runs the controller's background functions in the foreground.
type inline struct{}

func (inline) Go(f func(context.Context)) { f(context.Background()) }

func (inline) Run(context.Context) {}

// checkBeside checks the auxiliary objects of a running MiniCluster.
func (p *play) checkBeside(mc *v1alpha2.MiniCluster, job *batchv1.Job) {
	if len(resources.SidecarsOf(mc, job)) > 0 && p.objects[services]["nginx"] == nil {
		p.violated("%s has settled without the Service of its sidecar", mc.Name)
	}
	pod := p.objects[pods][resources.ServicesPodName(mc)]
	if wanted := len(mc.Spec.Services) > 0 && !resources.Suspended(job); wanted != (pod != nil) {
		p.violated("%s has settled with services pod %v", mc.Name, pod)
	}
	for key := range mc.Spec.Volumes {
		if p.objects[persistentVolumeClaims][resources.VolumeClaimName(mc, key)] == nil || p.objects[persistentVolumes][resources.PersistentVolumeName(mc, key)] == nil {
			p.violated("%s has settled without volume %s", mc.Name, key)
		}
	}
}

// checkVolumes checks that PersistentVolumes are deleted with their MiniClusters.
func (p *play) checkVolumes() {
	for _, pv := range p.all(persistentVolumes) {
		_, keep := pv.GetAnnotations()[v1alpha2.AnnotationKeepVolume]
		owner := func(o apiObject) bool { return string(o.GetUID()) == pv.GetLabels()[v1alpha2.LabelMiniClusterUID] }
		if !keep && !slices.ContainsFunc(p.all(miniclusters), owner) {
			p.violated("PersistentVolume %s has outlived its MiniCluster", pv.GetName())
		}
	}
}

// recorder checks that events report only what has been written.
type recorder struct{ p *play }

func (r recorder) Eventf(regarding, related runtime.Object, _, reason, _, note string, args ...any) {
	p, message := r.p, fmt.Sprintf(note, args...)
	p.logf("event %s: %s", reason, message)
	p.events[reason]++
	mc, ok := regarding.(*v1alpha2.MiniCluster)
	if !ok {
		p.violated("an event about %T", regarding)
	}
	switch reason {
	case "Created", "Resized", "DrainSkipped", "DrainTimedOut":
		job, ok := p.objects[jobs][mc.Name].(*batchv1.Job)
		told := related.(*batchv1.Job)
		if !ok || job.UID != told.UID || resources.Parallelism(job) != resources.Parallelism(told) {
			p.violated("event %s before its write: %s", reason, message)
		}
	case "CacheOutdated", "Restored", "Adopted", "OrphanPodsDeleted", "EditReverted", "Edited":
	case "VolumesNotDeleted":
		if !hasFinalizer(mc) || mc.DeletionTimestamp == nil {
			p.violated("event %s about a MiniCluster that does not wait for it: %s", reason, message)
		}
	default:
		stored := p.cluster(mc.Name)
		if stored == nil || !slices.ContainsFunc(stored.Status.Conditions, func(c metav1.Condition) bool { return c.Message == message }) {
			p.violated("event %s before its write: %s", reason, message)
		}
	}
}

// simQueue is a queue without goroutines, for a fake clock.
type simQueue struct {
	clock    *testclock.FakeClock
	ready    []cache.ObjectName
	later    map[cache.ObjectName]time.Time
	failures map[cache.ObjectName]int
	shut     bool
}

func newSimQueue(clock *testclock.FakeClock) *simQueue {
	return &simQueue{clock: clock, later: map[cache.ObjectName]time.Time{}, failures: map[cache.ObjectName]int{}}
}

func (q *simQueue) Add(key cache.ObjectName) {
	if !slices.Contains(q.ready, key) {
		q.ready = append(q.ready, key)
	}
}

func (q *simQueue) AddAfter(key cache.ObjectName, d time.Duration) {
	at := q.clock.Now().Add(d)
	if before, ok := q.later[key]; !ok || at.Before(before) {
		q.later[key] = at
	}
}

func (q *simQueue) AddRateLimited(key cache.ObjectName) {
	q.AddAfter(key, min(retryBase<<min(q.failures[key], 20), retryMax))
	q.failures[key]++
}

func (q *simQueue) Forget(key cache.ObjectName) { delete(q.failures, key) }

func (q *simQueue) NumRequeues(key cache.ObjectName) int { return q.failures[key] }

func (q *simQueue) Len() int { return len(q.ready) }

func (q *simQueue) Done(cache.ObjectName) {}

func (q *simQueue) ShutDown() { q.shut = true }

func (q *simQueue) ShutDownWithDrain() { q.shut = true }

func (q *simQueue) ShuttingDown() bool { return q.shut }

// due returns the number of keys that are due.
func (q *simQueue) due() int {
	var keys []cache.ObjectName
	for key, at := range q.later {
		if !at.After(q.clock.Now()) {
			keys = append(keys, key)
			delete(q.later, key)
		}
	}
	slices.SortFunc(keys, func(a, b cache.ObjectName) int { return slices.Compare([]string{a.Name}, []string{b.Name}) })
	for _, key := range keys {
		q.Add(key)
	}
	return len(q.ready)
}

// wait advances the time until a key is due.
func (q *simQueue) wait() {
	var first time.Time
	for _, at := range q.later {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	if d := first.Sub(q.clock.Now()); !first.IsZero() && d > 0 {
		q.clock.Step(d)
	}
}

func (q *simQueue) Get() (key cache.ObjectName, shutdown bool) {
	if q.due() == 0 {
		return key, true
	}
	key, q.ready = q.ready[0], q.ready[1:]
	return key, false
}
