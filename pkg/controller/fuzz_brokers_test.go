package controller

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/drain"
	"minicluster.internal/operator/pkg/controller/drain/agents"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/flux"
)

// simBrokers are the brokers behind agents, which randomly answer, fail or are unreachable. The randomness is
// deterministic, and does not consume bytes of the sequence.
type simBrokers struct {
	patience time.Duration
	random   *rand.Rand
	// reliable: agents always answer.
	reliable bool
	// calm: nothing fails and no jobs run.
	calm bool
	// drained are ranks that agents drained, by the UID of the lead's pod.
	drained map[types.UID]map[int32]bool
	// markers are those of hibernations, by the UID of the MiniCluster: the incarnation of the Job.
	markers map[types.UID]string
	// keepNothing: the pods have neither an archive nor a volume for the state.
	keepNothing bool
	// mute: agents do not answer requests to hibernate.
	mute bool
	// busy is the first rank with running jobs; 0 for none.
	busy int32
}

func newSimBrokers(agents bool, sequence []byte) *simBrokers {
	sum := fnv.New64a()
	_, _ = sum.Write(sequence)
	b := &simBrokers{random: rand.New(rand.NewPCG(sum.Sum64(), 2)), drained: map[types.UID]map[int32]bool{}, markers: map[types.UID]string{}}
	if agents {
		b.patience = drain.DefaultAgentTimeout
		b.reliable = b.random.IntN(2) == 0
	}
	return b
}

type simAgent struct {
	p   *play
	job string
}

func (p *play) newAgent(data map[string][]byte, host string) (agents.Agent, error) {
	if _, err := control.NewClient(data, host); err != nil {
		return nil, err
	}
	return simAgent{p: p, job: strings.TrimSuffix(host, "-0")}, nil
}

// lead returns the running pod of a Job's lead broker, nil if there is none.
func (p *play) lead(job string) *corev1.Pod {
	for _, o := range p.all(podObjects) {
		pod := o.(*corev1.Pod)
		index, ok := resources.PodIndex(pod)
		if ok && index == 0 && pod.Labels[batchv1.JobNameLabel] == job && pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
			return pod
		}
	}
	return nil
}

// Resize implements drain's agent: it changes the brokers and returns an answer.
func (a simAgent) Resize(_ context.Context, ip string, _, size int) (control.State, error) {
	p, b := a.p, a.p.brokers
	lead := p.lead(a.job)
	fails := !b.calm && !b.reliable && b.random.IntN(2) == 0
	if lead == nil || lead.Status.PodIP != ip || fails && b.random.IntN(2) == 0 {
		p.logf("agent of %s: not reached", a.job)
		return control.State{}, errors.New("connection refused")
	}
	if fails && b.random.IntN(2) == 0 {
		p.logf("agent of %s: rejects size %d", a.job, size)
		return control.State{}, &control.RefusedError{Code: 503, Text: "the broker does not answer"}
	}
	if b.drained[lead.UID] == nil {
		b.drained[lead.UID] = map[int32]bool{}
	}
	drained, state := b.drained[lead.UID], control.State{}
	for _, o := range p.all(podObjects) {
		index, ok := resources.PodIndex(o.(*corev1.Pod))
		if ok && o.GetLabels()[batchv1.JobNameLabel] == a.job && index >= int32(size) && o.(*corev1.Pod).Status.Phase == corev1.PodRunning {
			state.Leaving = state.Leaving.Union(flux.IDs(uint32(index)))
			if !drained[index] {
				state.Drained = state.Drained.Union(flux.IDs(uint32(index)))
			}
			drained[index] = true
		}
	}
	for rank := range drained {
		if rank < int32(size) {
			delete(drained, rank)
		}
	}
	if b.calm || b.random.IntN(3) == 0 {
		b.busy = 0
	} else if b.random.IntN(2) == 0 {
		b.busy = 1 + b.random.Int32N(4)
	}
	if b.busy > 0 {
		state.Busy = state.Leaving.Without(flux.IDRange(0, uint32(b.busy-1)))
	}
	state.Idle = state.Busy.Empty() && state.Drained.Empty()
	p.logf("agent of %s: size %d: %+v, drained %v", a.job, size, state, drained)
	if fails {
		return control.State{}, errors.New("the answer was lost")
	}
	return state, nil
}

// LowerQuorum implements agents.Agent. These brokers never wait.
func (a simAgent) LowerQuorum(context.Context, string, int, int) error { return nil }

// Drain implements agents.Agent. Nodes are not watched here.
func (a simAgent) Drain(context.Context, string, int, control.Drain) (control.DrainState, error) {
	return control.DrainState{}, nil
}

// reviewShrink checks that a Job does not shrink while jobs run on the removed ranks and the agent is reachable.
func (p *play) reviewShrink(before, after *batchv1.Job) {
	b, size := p.brokers, resources.Parallelism(after)
	mc, lead := p.cluster(after.Name), p.lead(after.Name)
	if b.patience == 0 || !b.reliable || b.busy == 0 || p.disturbed || size >= resources.Parallelism(before) || mc == nil || lead == nil {
		return
	}
	if mc.Spec.ScaleDown != nil || p.lost[mc.Name] || resources.Suspended(before) || before.Status.Active == 0 || resources.LeadCompleted(before) || !resources.CreatedByController(before) {
		return
	}
	for _, o := range p.all(podObjects) {
		pod := o.(*corev1.Pod)
		if index, ok := resources.PodIndex(pod); ok && pod.Labels[batchv1.JobNameLabel] == after.Name && index >= max(size, b.busy) &&
			pod.Status.Phase == corev1.PodRunning && b.drained[lead.UID][index] {
			p.violated("Job %s shrinks to %d while a job runs on rank %d", after.Name, size, index)
		}
	}
}

// checkDrains checks that, once everything is settled, the controller has drained no rank that stays.
func (p *play) checkDrains(mc *v1alpha2.MiniCluster, job *batchv1.Job) {
	lead := p.lead(mc.Name)
	if p.brokers.patience == 0 || job == nil || lead == nil || resources.Suspended(job) || resources.LeadCompleted(job) || !resources.CreatedByController(job) ||
		p.objects[secrets][resources.SecretName(mc)] == nil {
		return
	}
	if mc.Status.Drain != nil {
		p.violated("%s has settled and drains: %+v", mc.Name, mc.Status.Drain)
	}
	for rank := range p.brokers.drained[lead.UID] {
		if rank < resources.Parallelism(job) {
			p.violated("%s has settled at size %d with rank %d drained", mc.Name, resources.Parallelism(job), rank)
		}
	}
}

// TestRandomDrains runs random sequences of operations that affect changes of size.
func TestRandomDrains(t *testing.T) {
	random := rand.New(rand.NewPCG(*syncSeed, 3))
	for i := range *randomSyncs / 5 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			sequence := randomSequence(random)
			playDrains(t, random, sequence)
		})
	}
}

func playDrains(t *testing.T, random *rand.Rand, sequence []byte) {
	p := startPlay(t, sequence, variant{agents: true})
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size, mc.Spec.MaxSize = new(int32(5)), 6 })
	p.calm()
	for range 30 + random.IntN(50) {
		arg := byte(random.Uint32())
		switch n := random.IntN(20); n {
		case 0, 1, 2:
			p.logf("size %d", 1+arg%6)
			edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = new(int32(1 + arg%6)) })
		case 3:
			if arg%4 == 0 {
				p.logf("timeout %d", arg%16)
				edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) {
					mc.Spec.ScaleDown = &v1alpha2.ScaleDown{DrainTimeoutSeconds: new(int32(arg % 16))}
				})
			}
		case 4:
			p.logf("the controller is killed")
			p.start()
		case 5:
			if arg%2 == 0 {
				p.fail("a", arg)
			}
		case 6:
			if arg%8 == 0 {
				p.interfere("a", arg)
			}
		case 7, 8:
			p.runJobs()
		case 9, 10:
			p.runPods(arg%2 == 0)
		case 11:
			if lead := p.lead("a"); lead != nil && arg%8 == 0 {
				p.logf("the lead is lost")
				p.remove(podObjects, lead.Name)
			}
		default:
			p.clock.Step(time.Duration(arg) * 10 * time.Millisecond)
			p.seeAll()
			p.work(2)
		}
		p.checkObjects()
	}
	p.settle()
}
