package api_test

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
	"minicluster.internal/operator/pkg/validation"
	"minicluster.internal/operator/test/framework/randomspec"
)

var (
	objectSeed  = flag.Uint64("object-seed", 1, "first seed of TestRandomObjects")
	objectCases = flag.Uint64("object-cases", 300, "how many seeds TestRandomObjects tries")
)

// foundSeeds are seeds of MiniClusters that the validator accepted once, although the API server rejects their
// objects.
var foundSeeds = []uint64{
	10, 82, 101, 208, 446, 489, 526, 638, 655, 673, 742, 798, 837, 894, 907, 952, 978, 1009, 1039, 1157, 1194, 1211, 1300, 1508, 1535,
	1539, 1688, 1693, 1817, 1837, 1838, 1915, 1995, 2009, 2183,
}

// TestRandomObjects checks that the API server accepts the objects of every MiniCluster that the schema and the
// validator accept.
func TestRandomObjects(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	t.Logf("seeds %d to %d; -object-seed and -object-cases choose others", *objectSeed, *objectSeed+*objectCases-1)
	outcomes := map[string]int{}
	for _, seed := range foundSeeds {
		outcomes[n.tryObjects(seed)]++
	}
	for seed := *objectSeed; seed < *objectSeed+*objectCases; seed++ {
		outcomes[n.tryObjects(seed)]++
	}
	t.Logf("outcomes: %v", outcomes)
	assert.Positive(t, outcomes["accepted"])
	assert.Positive(t, outcomes["rejected by the validator"])
}

// tryObjects returns the result for the MiniCluster of a seed.
func (n *namespace) tryObjects(seed uint64) string {
	n.Helper()
	flux, err := clientset.NewForConfig(n.kube.Config())
	require.NoError(n, err)
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	wanted := randomspec.New(seed)
	wanted.Namespace, wanted.UID = n.name, ""
	mc, err := flux.FluxFrameworkV1alpha2().MiniClusters(n.name).Create(n.Context(), wanted, dry)
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return "rejected by the schema"
	}
	require.NoError(n, err, "seed %d", seed)
	v1alpha2.SetDefaults(mc)
	if errs := validation.ValidateMiniCluster(mc); len(errs) > 0 {
		return "rejected by the validator"
	}
	// As the controller corrects it.
	mc.Spec.Size = new(max(mc.RequestedSize(), mc.MinimumSize()))
	if err := n.createObjects(mc, dry); err != nil {
		text, _ := yaml.Marshal(wanted.Spec)
		n.Errorf("seed %d: the validator accepts what the API server rejects: %v\n%s", seed, err, text)
		return "rejected by the API server"
	}
	return "accepted"
}

// createObjects builds all objects of a MiniCluster, and creates each as a dry run.
func (n *namespace) createObjects(mc *v1alpha2.MiniCluster, options metav1.CreateOptions) error {
	site := resources.Environment{ClusterDomain: "cluster.local"}
	objects, err := resources.Objects(mc, resources.NewFixed(mc), site, rand.Reader, time.Now())
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range objects {
		errs = append(errs, n.createObject(o, options))
	}
	return errors.Join(errs...)
}

func (n *namespace) createObject(o runtime.Object, options metav1.CreateOptions) error {
	core, ctx := n.kube.Client().CoreV1(), n.Context()
	var err error
	switch o := o.(type) {
	case *corev1.Secret:
		_, err = core.Secrets(n.name).Create(ctx, o, options)
	case *corev1.ConfigMap:
		_, err = core.ConfigMaps(n.name).Create(ctx, o, options)
	case *corev1.Service:
		_, err = core.Services(n.name).Create(ctx, o, options)
	case *corev1.Pod:
		// The user has to create its service account.
		if _, err = core.Pods(n.name).Create(ctx, o, options); apierrors.IsForbidden(err) && strings.Contains(err.Error(), "service account") {
			err = nil
		}
	case *corev1.PersistentVolumeClaim:
		_, err = core.PersistentVolumeClaims(n.name).Create(ctx, o, options)
	case *corev1.PersistentVolume:
		_, err = core.PersistentVolumes().Create(ctx, o, options)
	case *batchv1.Job:
		_, err = n.kube.Client().BatchV1().Jobs(n.name).Create(ctx, o, options)
	default:
		err = fmt.Errorf("a MiniCluster has a %T, which this test does not support", o)
	}
	return err
}
