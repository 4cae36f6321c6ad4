package serving

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"
)

// period is the default interval at which the certificate and the APIServices are checked. It is short
// compared with the time for which both the previous and the new authority are trusted.
const period = time.Minute

// Options configure a Keeper.
type Options struct {
	Kube    kubernetes.Interface
	Dynamic dynamic.Interface
	Backend Backend
	// Secret is the name of the Secret with the certificate, in the namespace of the Backend.
	Secret string
	// CertFile, KeyFile and CAFile are used instead of the Secret if CertFile is set.
	CertFile, KeyFile, CAFile string
	// Owner is the name of the ClusterRole that owns the APIServices; "" sets no owner.
	Owner string
	// Versions are the API versions to register.
	Versions []schema.GroupVersion
	// Obsolete are the API versions whose APIServices are deleted if they belong to this server.
	Obsolete []schema.GroupVersion
	// Interval at which the certificate and the APIServices are checked; 0 selects a minute.
	Interval time.Duration
	// Registry for the metric of registered APIs, or nil.
	Registry metrics.KubeRegistry
}

// Keeper renews the serving certificate and keeps the APIServices up to date.
type Keeper struct {
	options      Options
	secret       secret
	registration registration
	observe      *observer
	// lost are the APIs that belong to other servers.
	lost map[schema.GroupVersion]*ConflictError

	mu        sync.Mutex
	serving   pair
	listeners []dynamiccertificates.Listener
}

var _ dynamiccertificates.CertKeyContentProvider = (*Keeper)(nil)

// NewKeeper returns a Keeper.
func NewKeeper(o Options) *Keeper {
	if o.Interval == 0 {
		o.Interval = period
	}
	return &Keeper{
		options: o,
		secret: secret{
			client: o.Kube.CoreV1().Secrets(o.Backend.Namespace), name: o.Secret,
			names: []string{o.Backend.Name + "." + o.Backend.Namespace + ".svc", o.Backend.Name + "." + o.Backend.Namespace + ".svc.cluster.local"},
		},
		registration: registration{client: o.Dynamic, backend: o.Backend, owner: o.Owner, versions: o.Versions, obsolete: o.Obsolete},
		observe:      newObserver(o.Registry),
	}
}

// Prepare loads or generates the certificate. Call it before serving. If all APIServices belong to
// other servers, it changes nothing and returns a ConflictError.
func (k *Keeper) Prepare(ctx context.Context) error {
	if err := k.registration.check(ctx); err != nil {
		return err
	}
	p, err := k.load(ctx)
	if err != nil {
		return err
	}
	k.use(p)
	return nil
}

// Run registers the APIs, and keeps the certificate and the APIServices up to date until the context
// ends. It retries after errors. An API that another server takes over is lost until its APIService is
// deleted; the other APIs are not affected.
func (k *Keeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(k.options.Interval)
	defer ticker.Stop()
	for {
		pause := ticker.C
		if err := k.once(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Failed to update the serving certificate or the APIServices, retrying")
			pause = time.After(k.options.Interval / 12)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-pause:
		}
	}
}

// once checks the certificate and the APIServices once. It updates the certificate authorities in the
// APIServices before it serves a new certificate.
func (k *Keeper) once(ctx context.Context) error {
	p, err := k.load(ctx)
	if err != nil {
		return err
	}
	conflicts, err := k.registration.ensure(ctx, p.authorities)
	k.report(ctx, conflicts)
	if err != nil {
		return err
	}
	k.use(p)
	return k.registration.removeObsolete(ctx)
}

// report records which APIs belong to other servers, and logs changes.
func (k *Keeper) report(ctx context.Context, conflicts map[schema.GroupVersion]*ConflictError) {
	logger := klog.FromContext(ctx)
	for _, gv := range k.options.Versions {
		conflict := conflicts[gv]
		k.observe.registered(gv, conflict == nil)
		switch {
		case conflict != nil && k.lost[gv] == nil:
			logger.Error(conflict, "Lost an API to another server", "api", gv)
		case conflict == nil && k.lost[gv] != nil:
			logger.Info("Registered an API again", "api", gv)
		}
	}
	k.lost = conflicts
}

func (k *Keeper) load(ctx context.Context) (pair, error) {
	if k.options.CertFile == "" {
		return k.secret.pair(ctx, time.Now(), k.current())
	}
	var p pair
	for path, to := range map[string]*[]byte{k.options.CertFile: &p.certificate, k.options.KeyFile: &p.key, k.options.CAFile: &p.authorities} {
		content, err := os.ReadFile(path)
		if err != nil {
			return pair{}, fmt.Errorf("reading the serving certificate: %w", err)
		}
		*to = content
	}
	return p, nil
}

func (k *Keeper) current() pair {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.serving
}

func (k *Keeper) use(p pair) {
	k.mu.Lock()
	changed := !bytes.Equal(k.serving.certificate, p.certificate) || !bytes.Equal(k.serving.key, p.key)
	k.serving = p
	listeners := k.listeners
	k.mu.Unlock()
	if changed {
		for _, l := range listeners {
			l.Enqueue()
		}
	}
}

// Name implements dynamiccertificates.CertKeyContentProvider.
func (k *Keeper) Name() string { return "minicluster-metrics-serving" }

// CurrentCertKeyContent returns the certificate and the key to serve with.
func (k *Keeper) CurrentCertKeyContent() (certificate, key []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.serving.certificate, k.serving.key
}

// AddListener adds a listener that is notified when the certificate changes.
func (k *Keeper) AddListener(listener dynamiccertificates.Listener) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.listeners = append(k.listeners, listener)
}
