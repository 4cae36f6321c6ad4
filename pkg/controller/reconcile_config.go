package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// config creates the certificate and the configuration of the brokers once: running brokers cannot change their
// certificate or their hosts.
func (c *Controller) config(ctx context.Context, s *syncState) error {
	if s.job != nil && !resources.CreatedByController(s.job) {
		return nil
	}
	if s.foreignConfigMap != nil {
		return foreign(configmaps.kind(), s.foreignConfigMap)
	}
	secret, err := c.certificate(ctx, s)
	if err != nil {
		return err
	}
	if s.configMap == nil {
		return c.createConfigMap(ctx, s, secret)
	}
	return c.updateConfigMap(ctx, s, secret)
}

// certificate returns a reference to the Secret with the certificate, which it creates before the Job. The reference
// on the ConfigMap stands for the Secret: the garbage collector removes it with the Secret, so that no request is
// needed. A certificate that is lost while the Job exists is not replaced: the running brokers have the old one and
// reject pods with another one.
func (c *Controller) certificate(ctx context.Context, s *syncState) (*metav1.OwnerReference, error) {
	name := resources.JobSecretName(s.mc, s.job)
	if s.job == nil {
		return c.createSecret(ctx, s)
	}
	if !resources.MountsSecret(s.job, name) {
		return nil, nil
	}
	if ref := resources.SecretOwnerReference(s.configMap, name); ref != nil {
		return ref, nil
	}
	secret, err := c.kube.CoreV1().Secrets(s.mc.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		s.observed.CertificateLost = true
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the Secret with the certificate: %w", err)
	case resources.IsOrphan(s.mc, secret):
		if secret, err = adoptOrphan(ctx, c, s, c.kube.CoreV1().Secrets(s.mc.Namespace), secrets, secret, nil); err != nil {
			return nil, err
		}
	case !metav1.IsControlledBy(secret, s.mc):
		return nil, foreign(secrets.kind(), secret)
	case secret.DeletionTimestamp != nil:
		s.observed.CertificateLost = true
		return nil, nil
	}
	return resources.SecretReference(secret), nil
}

// createSecret creates the Secret. Before the Job exists, a reference to the Secret does not prove that it exists: if
// it was just deleted, the new brokers would wait for it forever.
func (c *Controller) createSecret(ctx context.Context, s *syncState) (*metav1.OwnerReference, error) {
	wanted, err := resources.BuildSecret(s.mc, c.random, c.clock.Now())
	if err != nil {
		return nil, err
	}
	secret, created, err := createOwned(ctx, c, s, c.kube.CoreV1().Secrets(s.mc.Namespace), secrets, wanted, ownership[*corev1.Secret]{})
	if err != nil {
		return nil, err
	}
	if !created {
		err = c.findHistory(ctx, s)
	}
	return resources.SecretReference(secret), err
}

// findHistory looks for a Job and for pods that are missing in the caches and the status, once a Secret exists: all
// other objects may have been deleted since.
func (c *Controller) findHistory(ctx context.Context, s *syncState) error {
	if s.job != nil || s.hasHistory {
		return nil
	}
	s.hasHistory = true
	if err := c.adopt(ctx, s); err != nil {
		return err
	}
	if s.job != nil {
		return stale(jobs) // decisions made without it are repeated
	}
	return c.waitForOldPods(ctx, s)
}

func (c *Controller) createConfigMap(ctx context.Context, s *syncState, secret *metav1.OwnerReference) error {
	size := max(1, s.mc.RequestedSize())
	if s.job != nil && s.job.Spec.Completions != nil {
		size = min(size, *s.job.Spec.Completions)
	}
	if s.job != nil && !c.sameConfig(s) {
		return c.findConfigMap(ctx, s)
	}
	wanted, err := resources.BuildConfigMap(s.mc, s.fixed, c.environment, size, secret)
	if err != nil {
		return err
	}
	if err := s.recordWaking(wanted); err != nil {
		return err
	}
	client := c.kube.CoreV1().ConfigMaps(s.mc.Namespace)
	configMap, created, err := createOwned(ctx, c, s, client, configmaps, wanted, ownership[*corev1.ConfigMap]{
		labelLost: func(found *corev1.ConfigMap) (*corev1.ConfigMap, error) {
			return restoreLabel(ctx, c, s, client, configmaps, found, nil)
		},
	})
	if created || err == nil {
		s.configMap = configMap
	}
	if s.job == nil && apierrors.IsInvalid(err) {
		return invalidObject(fmt.Sprintf("ConfigMap %q that the spec describes", wanted.Name), err) // for example because it is too large
	}
	return err
}

// findConfigMap looks for a ConfigMap that another one cannot replace, since the spec has
// changed: it may only lack the label of this controller. Without it, the running cluster
// can still shrink.
func (c *Controller) findConfigMap(ctx context.Context, s *syncState) error {
	client := c.kube.CoreV1().ConfigMaps(s.mc.Namespace)
	found, err := client.Get(ctx, resources.ConfigMapName(s.mc), metav1.GetOptions{})
	switch {
	case ignoreNotFound(err) != nil:
		return fmt.Errorf("looking for the ConfigMap of this MiniCluster: %w", err)
	case err != nil || !metav1.IsControlledBy(found, s.mc) || found.DeletionTimestamp != nil:
		s.observed.ConfigLost = true
		return nil //nolint:nilerr // it does not exist
	case resources.HasManagedLabel(found):
		return stale(configmaps)
	}
	s.configMap, err = restoreLabel(ctx, c, s, client, configmaps, found, nil)
	return err
}

// sameConfig reports whether a new ConfigMap would equal the one that the Job was created with. An unedited spec is
// sufficient: another version of this controller may format the same configuration differently.
func (c *Controller) sameConfig(s *syncState) bool {
	now, err := resources.ConfigHash(s.mc, s.fixed, c.environment)
	if err != nil {
		return false // only an edit can make the spec invalid
	}
	return len(s.observed.Edited) == 0 || now == s.job.Annotations[v1alpha2.AnnotationConfigHash]
}

// updateConfigMap restores the reference of a ConfigMap to the Secret. While there is no
// Job that depends on it, it also updates the data from the spec.
func (c *Controller) updateConfigMap(ctx context.Context, s *syncState, secret *metav1.OwnerReference) error {
	metadata := map[string]any{"uid": s.configMap.UID}
	change := map[string]any{"metadata": metadata}
	if secret != nil && !slices.ContainsFunc(s.configMap.OwnerReferences, func(r metav1.OwnerReference) bool { return r.UID == secret.UID }) {
		metadata["ownerReferences"] = []metav1.OwnerReference{*secret}
	}
	if s.job == nil {
		wanted, err := resources.BuildConfigMap(s.mc, s.fixed, c.environment, s.mc.RequestedSize(), secret)
		if err != nil {
			return err
		}
		if !maps.Equal(wanted.Data, s.configMap.Data) {
			change["data"] = wanted.Data
		}
		if err := s.recordWaking(wanted); err != nil {
			return err
		}
		if !containsAll(s.configMap.Annotations, wanted.Annotations) {
			metadata["annotations"] = wanted.Annotations
		}
	}
	if len(metadata) > 1 || len(change) > 1 {
		return c.patchConfigMap(ctx, s, change)
	}
	if s.job != nil && resources.IsEdited(s.configMap) {
		return c.repairConfigMap(ctx, s)
	}
	return nil
}

// recordWaking adds to the ConfigMap of a cluster that wakes that its next Job is about to be created.
func (s *syncState) recordWaking(wanted *corev1.ConfigMap) error {
	if s.hibernated == nil {
		return nil
	}
	record := *s.hibernated
	record.Woken = true
	text, err := record.Annotation()
	if err != nil {
		return err
	}
	wanted.Annotations[v1alpha2.AnnotationHibernation] = text
	return nil
}

// containsAll reports whether a map has all entries of another one.
func containsAll(m, entries map[string]string) bool {
	for key, value := range entries {
		if m[key] != value {
			return false
		}
	}
	return true
}

func (c *Controller) patchConfigMap(ctx context.Context, s *syncState, change map[string]any) error {
	client := c.kube.CoreV1().ConfigMaps(s.mc.Namespace)
	configMap, err := patch(ctx, c, s.key, client, configmaps, s.configMap.Name, types.StrategicMergePatchType, change)
	if err == nil {
		s.configMap = configMap
	}
	return err
}
