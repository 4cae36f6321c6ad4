package serving

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/klog/v2"
)

// authoritiesKey is the key of the certificate authorities in the Secret.
const authoritiesKey = "ca.crt"

// secret is the Secret that replicas share. The replica that writes first wins: the API server
// rejects the write of the other one as a conflict.
type secret struct {
	client typedcorev1.SecretInterface
	name   string
	names  []string
}

// pair returns the pair in the Secret. If the Secret is missing or invalid, it stores the current pair, which all
// replicas serve, so that connections are not interrupted. It generates a pair if that is about to expire as well.
func (s secret) pair(ctx context.Context, now time.Time, current pair) (pair, error) {
	for {
		p, err := s.try(ctx, now, current)
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			return p, err
		}
		// Another replica has written the Secret: use its pair.
		if ctx.Err() != nil {
			return pair{}, fmt.Errorf("getting the serving certificate: %w", ctx.Err())
		}
	}
}

func (s secret) try(ctx context.Context, now time.Time, current pair) (pair, error) {
	found, err := s.client.Get(ctx, s.name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return pair{}, fmt.Errorf("getting the serving certificate: %w", err)
	}
	exists := err == nil
	why := "the Secret does not exist"
	var old pair
	if exists {
		old = pair{certificate: found.Data[corev1.TLSCertKey], key: found.Data[corev1.TLSPrivateKeyKey], authorities: found.Data[authoritiesKey]}
		problem := old.check(s.names, now)
		if problem == nil {
			return old, nil
		}
		why = problem.Error()
	}
	fresh := current
	if current.check(s.names, now) != nil {
		trusted := append(slices.Clone(old.authorities), current.authorities...)
		if fresh, err = newPair(s.names, trusted, now); err != nil {
			return pair{}, err
		}
	}
	data := map[string][]byte{corev1.TLSCertKey: fresh.certificate, corev1.TLSPrivateKeyKey: fresh.key, authoritiesKey: fresh.authorities}
	if exists {
		found = found.DeepCopy()
		found.Data = data
		_, err = s.client.Update(ctx, found, metav1.UpdateOptions{})
	} else {
		_, err = s.client.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: s.name}, Type: corev1.SecretTypeTLS, Data: data,
		}, metav1.CreateOptions{})
	}
	if err != nil {
		return pair{}, fmt.Errorf("storing the serving certificate: %w", err)
	}
	klog.FromContext(ctx).Info("Stored a serving certificate", "secret", s.name, "reason", why)
	return fresh, nil
}
