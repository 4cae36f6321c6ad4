package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/controller/resources"
)

// config makes the certificate and the brokers' configuration. Both are made
// once: brokers that run can take neither another certificate nor other hosts.
func (c *Controller) config(ctx context.Context, s *syncState) error {
	if s.job != nil && !resources.CreatedByController(s.job) {
		return nil
	}
	if s.foreignConf != nil {
		return &heldError{kind: "ConfigMap", name: s.foreignConf.Name, holder: describeHolder(s.foreignConf)}
	}
	secret, err := c.certificate(ctx, s)
	if err != nil {
		return err
	}
	if s.conf == nil {
		return c.createConfigMap(ctx, s, secret)
	}
	return c.refreshConfigMap(ctx, s, secret)
}

// certificate returns a reference to the Secret with the certificate, which it
// makes before there is a Job. The reference on the ConfigMap stands for the
// Secret: the garbage collector keeps it true, so that no request is needed.
// A certificate that is lost under a Job is not replaced: its brokers have the
// old one, and would never talk to pods that have another.
func (c *Controller) certificate(ctx context.Context, s *syncState) (*metav1.OwnerReference, error) {
	name := resources.SecretName(s.mc)
	if s.job != nil && !resources.MountsSecret(s.job, name) {
		return nil, nil
	}
	// Before there is a Job the reference is no proof: the Secret may have been
	// deleted a moment ago, and the new brokers would wait for it for ever.
	if ref := resources.SecretOwnerReference(s.conf, name); ref != nil && s.job != nil {
		return ref, nil
	}
	client := c.kube.CoreV1().Secrets(s.mc.Namespace)
	if s.job == nil {
		secret, err := resources.BuildSecret(s.mc, c.random, c.clock.Now())
		if err != nil {
			return nil, err
		}
		secret, err = client.Create(ctx, secret, metav1.CreateOptions{FieldManager: fieldManager})
		if err == nil {
			return resources.SecretReference(secret), nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("creating the Secret with the certificate: %w", err)
		}
	}
	secret, err := client.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && s.job != nil:
		s.seen.certificateLost = true
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the Secret with the certificate: %w", err)
	case !metav1.IsControlledBy(secret, s.mc):
		return nil, &heldError{kind: "Secret", name: name, holder: describeHolder(secret)}
	case secret.DeletionTimestamp != nil && s.job != nil:
		s.seen.certificateLost = true
		return nil, nil
	case secret.DeletionTimestamp != nil:
		return nil, &waitError{message: fmt.Sprintf("waiting for Secret %q, which is being deleted, to go", name)}
	}
	return resources.SecretReference(secret), c.formerLife(ctx, s)
}

// formerLife looks for a Job and for pods that the caches and the status did not
// tell of, once a Secret has: everything else may have been deleted since.
func (c *Controller) formerLife(ctx context.Context, s *syncState) error {
	if s.job != nil || s.existed {
		return nil
	}
	s.existed = true
	if err := c.adopt(ctx, s); err != nil {
		return err
	}
	if s.job != nil {
		return &staleError{what: "Jobs"} // what was decided without it has to be decided again
	}
	return c.former(ctx, s)
}

func (c *Controller) createConfigMap(ctx context.Context, s *syncState, secret *metav1.OwnerReference) error {
	size := s.mc.RequestedSize()
	if s.job != nil && s.job.Spec.Completions != nil {
		size = min(size, *s.job.Spec.Completions)
	}
	if s.job != nil && !s.sameConfig() {
		// The cluster that runs can still shrink.
		s.seen.configLost = true
		return nil
	}
	conf, err := resources.BuildConfigMap(s.mc, s.fixed, c.environment, size, secret)
	if err != nil {
		return err
	}
	client := c.kube.CoreV1().ConfigMaps(s.mc.Namespace)
	created, err := client.Create(ctx, conf, metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		held, getErr := client.Get(ctx, conf.Name, metav1.GetOptions{})
		switch {
		case getErr != nil:
			return fmt.Errorf("reading ConfigMap %q, which exists already: %w", conf.Name, getErr)
		case !metav1.IsControlledBy(held, s.mc):
			return &heldError{kind: "ConfigMap", name: held.Name, holder: describeHolder(held)}
		case !resources.HasManagedLabel(held):
			// Somebody took our label away, and with it the object from our sight.
			s.conf = held
			if err := c.patchConfigMap(ctx, s, map[string]any{"metadata": resources.RelabelPatch(held)}); err != nil {
				return err
			}
		}
		return &staleError{what: "ConfigMaps"}
	}
	switch {
	case err != nil && s.job == nil:
		return refused("ConfigMap", conf.Name, err) // it is too large, for example
	case err != nil:
		return fmt.Errorf("creating the ConfigMap: %w", err)
	}
	s.conf = created
	c.fresh.wrote(s.key, configmaps, created.ResourceVersion)
	return nil
}

// refreshConfigMap gives a ConfigMap back its reference to the Secret. While
// there is no Job that depends on it, it also follows the spec.
func (c *Controller) refreshConfigMap(ctx context.Context, s *syncState, secret *metav1.OwnerReference) error {
	metadata := map[string]any{"uid": s.conf.UID}
	patch := map[string]any{"metadata": metadata}
	if secret != nil && !slices.ContainsFunc(s.conf.OwnerReferences, func(r metav1.OwnerReference) bool { return r.UID == secret.UID }) {
		metadata["ownerReferences"] = []metav1.OwnerReference{*secret}
	}
	if s.job == nil {
		wanted, err := resources.BuildConfigMap(s.mc, s.fixed, c.environment, s.mc.RequestedSize(), secret)
		if err != nil {
			return err
		}
		if !maps.Equal(wanted.Data, s.conf.Data) {
			patch["data"] = wanted.Data
		}
	}
	if len(metadata) == 1 && len(patch) == 1 {
		return nil
	}
	return c.patchConfigMap(ctx, s, patch)
}

func (c *Controller) patchConfigMap(ctx context.Context, s *syncState, patch map[string]any) error {
	text, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	conf, err := c.kube.CoreV1().ConfigMaps(s.mc.Namespace).
		Patch(ctx, s.conf.Name, types.StrategicMergePatchType, text, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return &staleError{what: "ConfigMaps"}
	}
	if err != nil {
		return fmt.Errorf("patching the ConfigMap: %w", err)
	}
	s.conf = conf
	c.fresh.wrote(s.key, configmaps, conf.ResourceVersion)
	return nil
}
