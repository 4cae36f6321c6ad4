package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/drain"
)

const (
	// nodeBindTime is when the pods of a node are listed once more: one may have been bound while the node changed.
	nodeBindTime = 5 * time.Second
	// nodeListInterval is how often the pods of a node that drains are listed; less often with very many such nodes.
	nodeListInterval = 10 * time.Second
	// nodeListMin is the shortest time between two lists for the same node.
	nodeListMin = time.Second
	// nodeListPace is the time between two lists for different nodes on average, while nothing changes.
	nodeListPace = 20 * time.Millisecond
)

// NodeInformer caches nodes, reduced to what decides about their ranks.
type NodeInformer struct {
	factory informers.SharedInformerFactory
}

// Start starts the informer; it stops when the context ends.
func (n *NodeInformer) Start(ctx context.Context) { n.factory.StartWithContext(ctx) }

// Shutdown waits until the informer has stopped.
func (n *NodeInformer) Shutdown() { n.factory.Shutdown() }

// NewNodeInformer returns an informer of nodes, for Options.Nodes.
func NewNodeInformer(kube kubernetes.Interface) *NodeInformer {
	factory := informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithTransform(slimNode))
	factory.InformerFor(&corev1.Node{}, kubeInformer(kube.CoreV1().Nodes(), &corev1.Node{}, "", slimNode))
	return &NodeInformer{factory}
}

// slimNode keeps the parts of a node that decide about its ranks.
func slimNode(obj any) (any, error) {
	node, ok := obj.(*corev1.Node)
	if !ok {
		return obj, nil
	}
	slim := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion, DeletionTimestamp: node.DeletionTimestamp},
		Spec:       corev1.NodeSpec{Unschedulable: node.Spec.Unschedulable},
	}
	if reason, set := node.Annotations[v1alpha2.AnnotationDrain]; set {
		slim.Annotations = map[string]string{v1alpha2.AnnotationDrain: reason}
	}
	for i := range node.Spec.Taints {
		slim.Spec.Taints = append(slim.Spec.Taints, corev1.Taint{Key: node.Spec.Taints[i].Key})
	}
	return slim, nil
}

// nodeWatch knows the nodes whose ranks are drained, and which pods of MiniClusters run there. It lists the pods of a
// node when the node changes: pods of Jobs are not cached. Nodes that take pods cost nothing.
type nodeWatch struct {
	store  cache.Store
	taints []string
	clock  clock.PassiveClock
	queue  workqueue.TypedDelayingInterface[string]
	// wake enqueues a MiniCluster.
	wake func(cache.ObjectName)

	mu    sync.Mutex
	nodes map[string]*watchedNode
	// jobs are the versions of the Jobs for which pods were listed again.
	jobs map[cache.ObjectName]string
	// searched are the Jobs whose nodes are known although the status does not name all of them.
	searched map[cache.ObjectName]search
}

// watchedNode is a node with pods whose ranks are drained, or were until it took pods again.
type watchedNode struct {
	drain.NodeState
	// since is when the state became what it is now.
	since time.Time
	// listed is when its pods were listed; zero if they were not.
	listed time.Time
	pods   map[cache.ObjectName][]drain.NodePod
	// recorded are the MiniClusters whose status names the node, which is kept until that is over.
	recorded sets.Set[cache.ObjectName]
}

// newNodeWatch registers with an informer of nodes.
func newNodeWatch(nodes *NodeInformer, taints []string, c clock.WithTicker, wake func(cache.ObjectName),
) (*nodeWatch, cache.InformerSynced, error) {
	informer := nodes.factory.Core().V1().Nodes().Informer()
	w := &nodeWatch{
		store: informer.GetStore(), taints: taints, clock: c, wake: wake, nodes: map[string]*watchedNode{}, jobs: map[cache.ObjectName]string{},
		searched: map[cache.ObjectName]search{},
		queue:    workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[string]{Name: "minicluster-nodes", Clock: c}),
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if w.stateOf(obj).Drains() {
				w.changed(obj)
			}
		},
		UpdateFunc: func(before, after any) {
			if w.stateOf(before) != w.stateOf(after) {
				w.changed(after)
			}
		},
		DeleteFunc: w.changed, // it may have pods
	})
	if err != nil {
		return nil, nil, fmt.Errorf("registering with the informer of nodes: %w", err)
	}
	return w, registration.HasSynced, nil
}

func (w *nodeWatch) stateOf(obj any) drain.NodeState {
	node, ok := obj.(*corev1.Node)
	if !ok {
		return drain.NodeState{}
	}
	return drain.StateOfNode(node, w.taints)
}

func (w *nodeWatch) changed(obj any) {
	if o := object(obj); o != nil {
		w.queue.Add(o.GetName())
	}
}

// load lists the pods of a node if they were not listed before, and reports whether they were. named: the status of the
// MiniCluster names the node.
func (w *nodeWatch) load(name string, key cache.ObjectName, named bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.nodes[name]
	if n == nil {
		n = &watchedNode{recorded: sets.New[cache.ObjectName]()}
		w.nodes[name] = n
		w.queue.Add(name)
	}
	if named {
		n.recorded.Insert(key)
	}
	return !n.listed.IsZero()
}

// refresh lists the pods of nodes again if the Job has changed since the last time: one may have left. While ranks are
// busy, a MiniCluster is synced every few seconds, and its Job stays the same.
func (w *nodeWatch) refresh(key cache.ObjectName, job string, nodes []drain.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.jobs[key] == job {
		return
	}
	w.jobs[key] = job
	for i := range nodes {
		if n := w.nodes[nodes[i].Name]; n != nil {
			w.queue.AddAfter(nodes[i].Name, max(0, nodeListMin-w.clock.Since(n.listed)))
		}
	}
}

// forgetCluster drops the record of a MiniCluster, which drains no ranks any more.
func (w *nodeWatch) forgetCluster(key cache.ObjectName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.jobs, key)
	delete(w.searched, key)
	for name := range w.nodes {
		w.forgetNode(key, name)
	}
}

// of returns the nodes with pods of a Job, in order: those that drain, and those that took pods again but have pods
// whose state is not reset.
func (w *nodeWatch) of(key cache.ObjectName, job types.UID) (drains, returned []drain.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, n := range w.nodes {
		found := drain.Node{Name: name, NodeState: n.NodeState, Since: n.since}
		for _, pod := range n.pods[key] {
			if pod.Job == job {
				found.Pods = append(found.Pods, pod)
			}
		}
		switch {
		case len(found.Pods) == 0:
		case n.Drains():
			drains = append(drains, found)
		default:
			returned = append(returned, found)
		}
	}
	byName := func(a, b drain.Node) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(drains, byName)
	slices.SortFunc(returned, byName)
	return drains, returned
}

// setState records the state that was written to a pod.
func (w *nodeWatch) setState(node string, key cache.ObjectName, uid types.UID, state string) {
	w.edit(node, key, uid, func(p *drain.NodePod) { p.State = state })
}

// evicted records that a pod was evicted.
func (w *nodeWatch) evicted(node string, key cache.ObjectName, uid types.UID) {
	w.edit(node, key, uid, func(p *drain.NodePod) { p.Terminating = true })
}

func (w *nodeWatch) edit(node string, key cache.ObjectName, uid types.UID, change func(*drain.NodePod)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.nodes[node]
	if n == nil {
		return
	}
	for i := range n.pods[key] {
		if n.pods[key][i].UID == uid {
			change(&n.pods[key][i])
		}
	}
}

// update records the pods of a node, wakes the MiniClusters whose pods changed, and reports whether the node has to be
// listed again.
func (w *nodeWatch) update(name string, state drain.NodeState, pods map[cache.ObjectName][]drain.NodePod) (again time.Duration) {
	w.mu.Lock()
	before := w.nodes[name]
	if before == nil {
		before = &watchedNode{recorded: sets.New[cache.ObjectName]()}
	}
	if !state.Drains() {
		// Only pods whose state has to be reset. Those that are being deleted leave with it: the API server refuses to add
		// a finalizer to them.
		for key, list := range pods {
			pods[key] = slices.DeleteFunc(list, func(p drain.NodePod) bool { return p.State == "" || p.Terminating })
			if len(pods[key]) == 0 {
				delete(pods, key)
			}
		}
	}
	since := before.since
	if since.IsZero() || before.Deleted != state.Deleted || before.Drains() != state.Drains() {
		since = w.clock.Now()
	}
	w.nodes[name] = &watchedNode{NodeState: state, since: since, listed: w.clock.Now(), pods: pods, recorded: before.recorded}
	if !state.Drains() && len(pods) == 0 && len(before.recorded) == 0 {
		delete(w.nodes, name)
	}
	switch {
	case len(pods) > 0:
		again = max(nodeListInterval, time.Duration(len(w.nodes))*nodeListPace)
	case state.Drains() && before.NodeState != state:
		again = nodeBindTime
	}
	var changed []cache.ObjectName
	for key := range before.pods {
		if before.listed.IsZero() || before.NodeState != state || !slices.Equal(before.pods[key], pods[key]) {
			changed = append(changed, key)
		}
	}
	for key := range pods {
		if _, known := before.pods[key]; !known {
			changed = append(changed, key)
		}
	}
	w.mu.Unlock() // from now on, others change the pods
	for _, key := range changed {
		w.wake(key)
	}
	return again
}

// forget drops nodes that take pods, or do not exist, and have no pods whose state has to be reset. The MiniCluster has
// dealt with them. If its status still names one, that is recorded again.
func (w *nodeWatch) forget(key cache.ObjectName, names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		w.forgetNode(key, name)
	}
}

func (w *nodeWatch) forgetNode(key cache.ObjectName, name string) {
	n := w.nodes[name]
	if n == nil {
		return
	}
	n.recorded.Delete(key)
	if n.Drains() || n.listed.IsZero() || len(n.recorded) > 0 {
		return
	}
	for _, pods := range n.pods {
		if slices.ContainsFunc(pods, func(p drain.NodePod) bool { return p.State != "" }) {
			return
		}
	}
	delete(w.nodes, name)
}
