package drain

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/flux"
)

func TestStateOfNode(t *testing.T) {
	annotated := func(reason string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha2.AnnotationDrain: reason}}}
	}
	tainted := func(keys ...string) *corev1.Node {
		node := &corev1.Node{Spec: corev1.NodeSpec{Unschedulable: true}}
		for _, key := range keys {
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: key})
		}
		return node
	}
	for name, tc := range map[string]struct {
		node *corev1.Node
		want NodeState
	}{
		"usual":            {&corev1.Node{}, NodeState{}},
		"cordoned":         {tainted("node.kubernetes.io/unschedulable"), NodeState{Reason: messages.NodeCordoned}},
		"annotated":        {annotated(" moved to\nrack 3. "), NodeState{Reason: "moved to rack 3"}},
		"without a reason": {annotated(""), NodeState{Reason: messages.NodeAnnotated}},
		"a long reason":    {annotated(strings.Repeat("x", 500)), NodeState{Reason: strings.Repeat("x", maxNodeReason-3) + "..."}},
		"Karpenter":        {tainted("a", "karpenter.sh/disrupted"), NodeState{"the node has the taint karpenter.sh/disrupted", true}},
		"deleted": {
			&corev1.Node{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{}}}, NodeState{messages.NodeDeleted, true},
		},
	} {
		assert.Equal(t, tc.want, StateOfNode(tc.node, DefaultDeletionTaints()), name)
	}
	assert.Equal(t, NodeState{Reason: messages.NodeCordoned}, StateOfNode(tainted("karpenter.sh/disrupted"), nil), "another list of taints")
}

func TestDecidePod(t *testing.T) {
	cordoned, deleted := NodeState{Reason: "r"}, NodeState{"r", true}
	idle := &control.DrainState{Idle: flux.IDs(0, 1)}
	busy := &control.DrainState{Busy: flux.IDs(0, 1)}
	follower, lead := NodePod{Index: 1}, NodePod{Index: 0}
	for name, tc := range map[string]struct {
		node        NodeState
		pod         NodePod
		state       *control.DrainState
		interactive bool
		timeout     *int32
		want        PodDecision
	}{
		"cordoned, busy":           {cordoned, follower, busy, false, nil, PodDecision{State: v1alpha2.RankDraining}},
		"cordoned, idle":           {cordoned, follower, idle, false, nil, PodDecision{State: v1alpha2.RankDrained}},
		"cordoned has no deadline": {cordoned, follower, busy, false, new(int32(5)), PodDecision{State: v1alpha2.RankDraining}},
		"deleted, unknown":         {deleted, follower, nil, false, nil, PodDecision{}},
		"deleted, busy":            {deleted, follower, busy, false, nil, PodDecision{State: v1alpha2.RankDraining}},
		"deleted, settling":        {deleted, follower, &control.DrainState{}, false, nil, PodDecision{State: v1alpha2.RankDraining}},
		"deleted, idle":            {deleted, follower, idle, false, nil, PodDecision{State: v1alpha2.RankDrained, Evict: true}},
		"before the deadline":      {deleted, follower, busy, false, new(int32(61)), PodDecision{State: v1alpha2.RankDraining}},
		"at the deadline":          {deleted, follower, busy, false, new(int32(60)), PodDecision{State: v1alpha2.RankDrained, Evict: true, TimedOut: true}},
		"without an answer":        {deleted, follower, nil, false, new(int32(60)), PodDecision{State: v1alpha2.RankDrained, Evict: true, TimedOut: true}},
		"it leaves already":        {deleted, NodePod{Index: 1, Terminating: true}, idle, false, nil, PodDecision{}},
		"lead with a program":      {deleted, lead, idle, false, nil, PodDecision{State: v1alpha2.RankDraining}},
		"lead, interactive":        {deleted, lead, idle, true, nil, PodDecision{State: v1alpha2.RankDrained, Evict: true}},
	} {
		mc := &v1alpha2.MiniCluster{Spec: v1alpha2.MiniClusterSpec{Interactive: tc.interactive}}
		mc.Spec.Disruption = &v1alpha2.Disruption{DrainTimeoutSeconds: tc.timeout}
		since := time.Unix(1_000_000, 0)
		in := NodeInput{MiniCluster: mc, Now: since.Add(time.Minute), Since: since, State: tc.state}
		assert.Equal(t, tc.want, DecidePod(in, tc.node, tc.pod), name)
	}
}

func TestNodeTimeout(t *testing.T) {
	mc := &v1alpha2.MiniCluster{}
	since := time.Unix(1_000_000, 0)
	in := NodeInput{MiniCluster: mc, Now: since.Add(time.Minute), Since: since}
	deleted := NodeState{"r", true}
	assert.Zero(t, NodeTimeout(in, deleted))
	mc.Spec.Disruption = &v1alpha2.Disruption{DrainTimeoutSeconds: new(int32(90))}
	assert.Equal(t, 30*time.Second, NodeTimeout(in, deleted))
	assert.Zero(t, NodeTimeout(in, NodeState{Reason: "r"}))
	mc.Spec.Disruption.DrainTimeoutSeconds = new(int32(10))
	assert.Zero(t, NodeTimeout(in, deleted))
}

func TestNodeInterval(t *testing.T) {
	cordoned := []Node{{Name: "a", NodeState: NodeState{Reason: "r"}, Pods: []NodePod{{Index: 2}, {Index: 1}}}}
	deleted := []Node{{Name: "a", NodeState: NodeState{"r", true}, Pods: cordoned[0].Pods}}
	request := NodeRequest(cordoned)
	assert.Equal(t, control.Drain{Nodes: []control.NodeDrain{{Node: "a", Reason: "r", Indexes: flux.IDs(1, 2)}}}, request)
	for name, tc := range map[string]struct {
		nodes []Node
		state control.DrainState
		want  time.Duration
	}{
		"just drained":   {cordoned, control.DrainState{Drained: flux.IDs(1, 2)}, settleInterval},
		"one busy":       {cordoned, control.DrainState{Busy: flux.IDs(1), Idle: flux.IDs(2)}, busyNodeInterval},
		"idle":           {cordoned, control.DrainState{Idle: flux.IDs(1, 2)}, idleNodeInterval},
		"idle, to leave": {deleted, control.DrainState{Idle: flux.IDs(1, 2)}, busyNodeInterval},
	} {
		assert.Equal(t, tc.want, NodeInterval(tc.nodes, request, tc.state), name)
	}
	assert.Equal(t, control.Drain{}, NodeRequest(nil))
}

func TestNodeStatus(t *testing.T) {
	now := time.Unix(1_000_000, 5)
	before := metav1.NewTime(time.Unix(900_000, 0))
	nodes := []Node{
		{Name: "a", NodeState: NodeState{Reason: "r"}, Pods: []NodePod{{Index: 2}, {Index: 1}}},
		{Name: "b", NodeState: NodeState{Reason: "s"}, Pods: []NodePod{{Index: 4}}},
		{Name: "c", NodeState: NodeState{Reason: "s"}},
	}
	assert.Equal(t, []v1alpha2.NodeDrainStatus{
		{Node: "a", Reason: "r", Indexes: "1-2", Busy: "2", Since: before},
		{Node: "b", Reason: "s", Indexes: "4", Since: metav1.NewTime(time.Unix(1_000_001, 0))},
	}, NodeStatus(nodes, flux.IDs(2, 7), []v1alpha2.NodeDrainStatus{{Node: "a", Reason: "old", Since: before}}, now))
	assert.Nil(t, NodeStatus(nil, flux.IDSet{}, nil, now))
}

// Jobs on a node that has been cordoned for long may continue for the whole time after its deletion is announced.
func TestNodeThatIsDeletedLater(t *testing.T) {
	cordonedAt, now := metav1.NewTime(time.Unix(900_000, 0)), time.Unix(1_000_000, 0)
	pods := []NodePod{{Index: 1}}
	recorded := []v1alpha2.NodeDrainStatus{{Node: "b", Reason: messages.NodeCordoned, Indexes: "1", Busy: "1", Since: cordonedAt}}
	cordoned := []Node{{Name: "b", NodeState: NodeState{Reason: messages.NodeCordoned}, Pods: pods}}
	tainted := []Node{
		{Name: "a", NodeState: NodeState{Reason: messages.NodeCordoned}, Pods: []NodePod{{Index: 2}}},
		{Name: "b", NodeState: NodeState{messages.NodeTainted("karpenter.sh/disrupted"), true}, Pods: pods},
	}
	deleted := []Node{{Name: "b", NodeState: NodeState{messages.NodeDeleted, true}, Pods: pods}}

	assert.Equal(t, recorded, RecordNodes(cordoned, recorded, now))
	assert.Equal(t, recorded, RecordNodes(nil, recorded, now), "until the agent has undrained the rank")
	updated := RecordNodes(tainted, recorded, now)
	assert.Equal(t, []v1alpha2.NodeDrainStatus{
		{Node: "a", Reason: messages.NodeCordoned, Indexes: "2", Since: metav1.NewTime(now)},
		{Node: "b", Reason: tainted[1].Reason, Indexes: "1", Busy: "1", Since: metav1.NewTime(now)},
	}, updated)
	assert.Equal(t, cordonedAt, recorded[0].Since, "the status of the cache is not changed")

	mc := &v1alpha2.MiniCluster{Spec: v1alpha2.MiniClusterSpec{Disruption: &v1alpha2.Disruption{DrainTimeoutSeconds: new(int32(600))}}}
	in := NodeInput{MiniCluster: mc, Now: now, Since: NodesSince(tainted, updated, now)["b"], State: &control.DrainState{Busy: flux.IDs(1)}}
	assert.False(t, DecidePod(in, tainted[1].NodeState, pods[0]).Evict)

	later := NodeStatus(deleted, flux.IDs(1), updated, now.Add(time.Minute))
	assert.Equal(t, metav1.NewTime(now), later[0].Since, "another reason of the deletion does not extend the time")
}

// A status stays small when very many nodes go away.
func TestStatusOfManyNodes(t *testing.T) {
	const many = 5000
	now := time.Unix(1_000_000, 0)
	var nodes []Node
	for i := range int32(many) {
		nodes = append(nodes, Node{
			Name: fmt.Sprintf("ip-10-0-%03d-%03d.eu-central-1.compute.internal", i/256, i%256), Since: now.Add(-time.Minute),
			NodeState: NodeState{messages.NodeTainted("ToBeDeletedByClusterAutoscaler"), true},
			Pods:      []NodePod{{Index: 2 * i}, {Index: (2*i + 5001) % 10_000}},
		})
	}
	busy := flux.IDRange(0, 9999)
	first := RecordNodes(nodes, nil, now)
	require.Len(t, first, MaxNamedNodes+1)
	later := NodeStatus(nodes, busy, first, now.Add(time.Hour))
	data, err := json.Marshal(later)
	require.NoError(t, err)
	t.Logf("%d nodes take %d bytes", many, len(data))
	assert.Less(t, len(data), 300_000)
	last := later[MaxNamedNodes]
	assert.Equal(t, []any{"", "4500 more nodes that go away", metav1.NewTime(now)}, []any{last.Node, last.Reason, last.Since})
	assert.Equal(t, later, RecordNodes(nodes, later, now.Add(2*time.Hour)))
	assert.Equal(t, 9000, mustParse(t, last.Indexes).Count())
	since := NodesSince(nodes, later, now.Add(time.Hour))
	assert.Equal(t, now.Add(-time.Minute), since[nodes[0].Name].Local())
	assert.Equal(t, now.Add(-time.Minute), since[nodes[many-1].Name], "a node without a name in the status")
	assert.Len(t, NodeStatus(nodes[:10], busy, later, now), 10)
}

// A node that gets a name in the status when others have left has no more time than before.
func TestNodeThatGetsAName(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var nodes []Node
	for i := range int32(MaxNamedNodes + 1) {
		nodes = append(nodes, Node{
			Name: fmt.Sprintf("n-%04d", i), Since: now.Add(time.Millisecond), NodeState: NodeState{messages.NodeDeleted, true}, Pods: []NodePod{{Index: i}},
		})
	}
	recorded := RecordNodes(nodes, nil, now.Add(time.Second))
	later := now.Add(time.Minute)
	recorded = NodeStatus(nodes[1:], flux.IDSet{}, recorded, later)
	require.Len(t, recorded, MaxNamedNodes)
	assert.Equal(t, now.Add(time.Second), NodesSince(nodes[1:], recorded, later)[nodes[MaxNamedNodes].Name].Local(), "rounded up")
}

// A status stays small while nodes come and go, and the agent does not answer.
func TestStatusWithoutAnswers(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var recorded []v1alpha2.NodeDrainStatus
	var nodes []Node
	for i := range int32(2 * MaxNamedNodes) {
		nodes = []Node{{Name: fmt.Sprintf("n-%04d", 2*MaxNamedNodes-i), NodeState: NodeState{messages.NodeDeleted, true}, Pods: []NodePod{{Index: i}}}}
		recorded = RecordNodes(nodes, recorded, now)
		require.Contains(t, positions(recorded), nodes[0].Name)
	}
	require.Len(t, recorded, MaxNamedNodes+1)
	all := flux.IDSet{}
	for i := range recorded {
		all = all.Union(mustParse(t, recorded[i].Indexes))
	}
	assert.Equal(t, flux.IDRange(0, 2*MaxNamedNodes-1), all)
	assert.Equal(t, recorded, RecordNodes(nodes, recorded, now.Add(time.Hour)), "it does not change any more")
	assert.Nil(t, NodeStatus(nil, flux.IDSet{}, recorded, now), "the agent has answered")
}

func mustParse(t *testing.T, text string) flux.IDSet {
	t.Helper()
	ids, err := flux.ParseIDSet(text)
	require.NoError(t, err)
	return ids
}
