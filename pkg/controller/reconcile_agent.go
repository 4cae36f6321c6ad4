package controller

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/controller/resources"
)

// minorIndexLabel is the minor version of Kubernetes from which on pods carry their
// index as a label.
const minorIndexLabel = 28

// consult tells the lead's agent a size, and returns what came of it, nil while nothing
// has: then the MiniCluster is synced again when it has, or when it is time to ask. The
// error is one of the API server.
func (c *Controller) consult(ctx context.Context, s *syncState, size int32) (*answer, error) {
	for {
		heard, ask, after := c.leads.hear(s.key, s.mc.UID, size)
		if heard != nil {
			return heard, nil
		}
		if !ask {
			if after > 0 {
				c.queue.AddAfter(s.key, after)
			}
			return nil, nil
		}
		failed, err := c.reach(ctx, s, size)
		if failed != nil || err != nil {
			return failed, err
		}
		c.leads.ask(s.key, s.mc.UID, resources.ControlPort(s.job), size)
	}
}

// reach finds out how the agent is reached, as far as that is not known. It returns an
// answer where there is no way.
func (c *Controller) reach(ctx context.Context, s *syncState, size int32) (*answer, error) {
	agent, ip := c.leads.known(s.key, s.mc.UID)
	if agent == nil {
		if err := c.meet(ctx, s); errors.Is(err, control.ErrNoCredentials) {
			return &answer{err: err, hopeless: true}, nil
		} else if err != nil {
			return nil, err
		}
	}
	if ip != "" {
		return nil, nil
	}
	ip, err := c.findLead(ctx, s)
	if err != nil {
		return nil, err
	}
	if ip == "" {
		return c.leads.fail(s.key, s.mc.UID, size, errors.New("the lead broker's pod does not run")), nil
	}
	c.leads.locate(s.key, s.mc.UID, ip)
	return nil, nil
}

// meet makes the client of the agent. The error is control.ErrNoCredentials where there
// is no way to.
func (c *Controller) meet(ctx context.Context, s *syncState) error {
	if resources.ControlPort(s.job) == 0 {
		return fmt.Errorf("%w: the pods have no agent", control.ErrNoCredentials)
	}
	secret, err := c.kube.CoreV1().Secrets(s.mc.Namespace).Get(ctx, resources.SecretName(s.mc), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w: their Secret is gone", control.ErrNoCredentials)
	case err != nil:
		return fmt.Errorf("reading the Secret with the certificates: %w", err)
	case !metav1.IsControlledBy(secret, s.mc):
		return fmt.Errorf("%w: their Secret is not ours", control.ErrNoCredentials)
	}
	if _, err := c.leads.meet(s.key, s.mc.UID, secret.Data, resources.LeadHost(s.mc)); errors.Is(err, control.ErrNoCredentials) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w that can be used: %w", control.ErrNoCredentials, err)
	}
	return nil
}

// findLead asks the API server for the address of the lead broker's pod, "" when it
// does not run.
func (c *Controller) findLead(ctx context.Context, s *syncState) (string, error) {
	selector := resources.PodSelector(s.mc)
	if c.environment.AtLeast(minorIndexLabel) {
		selector += "," + batchv1.JobCompletionIndexAnnotation + "=0"
	}
	pods, err := c.listPods(ctx, s.mc, selector)
	if err != nil {
		return "", err
	}
	return resources.LeadAddress(pods), nil
}
