package serving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

// period is how often certificate and APIServices are looked at. It is short, compared
// with the time for which both the old and the new authority are trusted.
const period = time.Minute

// Options say what is to be kept.
type Options struct {
	Kube    kubernetes.Interface
	Dynamic dynamic.Interface
	Backend Backend
	// Secret is the name of the Secret, in the namespace of the Backend, that replicas
	// share their certificate in.
	Secret string
	// CertFile, KeyFile and CAFile are used instead of a Secret, if CertFile is set:
	// somebody else renews them.
	CertFile, KeyFile, CAFile string
	// Owner is the name of a ClusterRole that owns the APIServices; "" for none.
	Owner string
	// Versions are the APIs to be registered.
	Versions []schema.GroupVersion
}

// Keeper keeps the serving certificate good, and the APIServices leading here.
type Keeper struct {
	options      Options
	secret       secret
	registration registration

	mu        sync.Mutex
	serving   pair
	listeners []dynamiccertificates.Listener
}

var _ dynamiccertificates.CertKeyContentProvider = (*Keeper)(nil)

// NewKeeper makes a Keeper.
func NewKeeper(o Options) *Keeper {
	return &Keeper{
		options: o,
		secret: secret{
			client: o.Kube.CoreV1().Secrets(o.Backend.Namespace), name: o.Secret,
			names: []string{o.Backend.Name + "." + o.Backend.Namespace + ".svc", o.Backend.Name + "." + o.Backend.Namespace + ".svc.cluster.local"},
		},
		registration: registration{client: o.Dynamic, backend: o.Backend, owner: o.Owner, versions: o.Versions},
	}
}

// Prepare gets a certificate, before anything is served. Where an APIService is
// somebody else's (HeldError) nothing is touched.
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

// Run registers the APIs and keeps all as it should be until the context ends. It
// returns an error if an APIService is somebody else's (HeldError); whatever else goes
// wrong is tried again.
func (k *Keeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		pause := ticker.C
		if err := k.Once(ctx); err != nil && ctx.Err() == nil {
			if held := new(HeldError); errors.As(err, &held) {
				return err
			}
			klog.FromContext(ctx).Error(err, "Certificate and APIServices are looked at again in a moment")
			pause = time.After(period / 12)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-pause:
		}
	}
}

// Once does what Run does again and again. What is trusted comes first, then what is
// served.
func (k *Keeper) Once(ctx context.Context) error {
	p, err := k.load(ctx)
	if err != nil {
		return err
	}
	if err := k.registration.ensure(ctx, p.authorities); err != nil {
		return err
	}
	k.use(p)
	return nil
}

func (k *Keeper) load(ctx context.Context) (pair, error) {
	if k.options.CertFile == "" {
		return k.secret.pair(ctx, time.Now())
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

// Name is for logs.
func (k *Keeper) Name() string { return "minicluster-metrics-serving" }

// CurrentCertKeyContent is what to serve with now.
func (k *Keeper) CurrentCertKeyContent() (certificate, key []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.serving.certificate, k.serving.key
}

// AddListener has somebody told when that changes.
func (k *Keeper) AddListener(listener dynamiccertificates.Listener) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.listeners = append(k.listeners, listener)
}
