package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/controller/diagnosis"
	"minicluster.internal/operator/pkg/controller/drain"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// pollAgent sends a size to the agent of the lead broker and returns its answer, nil if there is none yet. In that
// case, the MiniCluster is synced again when the answer arrives or when the next request is due. The error is one of
// the API server.
func (c *Controller) pollAgent(ctx context.Context, s *syncState, size int32) (*drain.Answer, error) {
	for {
		answer, ask, after := c.agents.TakeResult(s.name(), s.mc.UID, size)
		if answer != nil {
			return answer, nil
		}
		if !ask {
			s.requeueAfter(after)
			return nil, nil
		}
		failed, err := c.connectAgent(ctx, s, size)
		if failed != nil || err != nil {
			return failed, err
		}
		c.agents.Ask(s.name(), s.mc.UID, resources.ControlPort(s.job), size)
	}
}

// connectAgent determines how to reach the agent, if it is not known yet. It returns an answer if the agent cannot be
// reached.
func (c *Controller) connectAgent(ctx context.Context, s *syncState, size int32) (*drain.Answer, error) {
	connected, ip := c.agents.Connection(s.name(), s.mc.UID)
	if !connected {
		if err := c.makeAgentClient(ctx, s); errors.Is(err, control.ErrNoCredentials) {
			return &drain.Answer{Err: err, Permanent: true}, nil
		} else if err != nil {
			return nil, err
		}
	}
	if ip != "" {
		return nil, nil
	}
	ip, err := c.leadAddress(ctx, s)
	if err != nil {
		return nil, err
	}
	if ip == "" {
		return c.agents.Fail(s.name(), s.mc.UID, size, errors.New("the pod of the lead broker is not running")), nil
	}
	c.agents.SetAddress(s.name(), s.mc.UID, ip)
	return nil, nil
}

// makeAgentClient creates the client of the agent. The error is control.ErrNoCredentials if no client is possible.
func (c *Controller) makeAgentClient(ctx context.Context, s *syncState) error {
	if resources.ControlPort(s.job) == 0 {
		return fmt.Errorf("%w: the pods have no agent", control.ErrNoCredentials)
	}
	secret, err := c.kube.CoreV1().Secrets(s.mc.Namespace).Get(ctx, resources.JobSecretName(s.mc, s.job), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w: their Secret does not exist", control.ErrNoCredentials)
	case err != nil:
		return fmt.Errorf("reading the Secret with the certificates: %w", err)
	case !metav1.IsControlledBy(secret, s.mc):
		return fmt.Errorf("%w: their Secret is not controlled by the MiniCluster", control.ErrNoCredentials)
	}
	err = c.agents.Connect(s.name(), s.mc.UID, secret.Data, resources.LeadHost(s.mc))
	if err != nil && !errors.Is(err, control.ErrNoCredentials) {
		return fmt.Errorf("%w that can be used: %w", control.ErrNoCredentials, err)
	}
	return err
}

// leadAddress returns the address of the pod of the lead broker, "" if it does not run. Without the cache of leads, it
// lists the pods.
func (c *Controller) leadAddress(ctx context.Context, s *syncState) (string, error) {
	if c.environment.AtLeast(minorIndexLabel) {
		if s.lead == nil {
			return "", nil
		}
		return resources.LeadAddress(s.lead), nil
	}
	address := ""
	err := c.eachPod(ctx, s.mc, resources.PodSelector(s.mc), func(pod *corev1.Pod) { address = cmp.Or(address, resources.LeadAddress(pod)) })
	return address, err
}

// agentBlocked returns what may block connections to the agent of a lead whose pod is ready, "" if an error of a
// request does not hint at that.
func (c *Controller) agentBlocked(ctx context.Context, s *syncState, err error) string {
	if !control.Unconnected(err) || s.lead == nil || !resources.PodReady(s.lead) {
		return ""
	}
	port := resources.ControlPort(s.job)
	policies, err := c.kube.NetworkingV1().NetworkPolicies(s.mc.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Failed to list network policies", "reason", err.Error())
		return messages.AgentBlocked(port, "", false)
	}
	names, certain := diagnosis.OutsideIngress(policies.Items, s.lead, port)
	return messages.AgentBlocked(port, names, certain)
}
