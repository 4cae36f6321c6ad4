package controller

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

func TestDecide(t *testing.T) {
	recorded := func(layout, maximum string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Annotations: map[string]string{
			v1alpha2.AnnotationLayout: layout, v1alpha2.AnnotationMaximumSize: maximum,
		}}
	}
	for _, tc := range []struct {
		name string
		mc   *v1alpha2.MiniCluster
		job  *batchv1.Job
		conf *corev1.ConfigMap
		want Facts
	}{
		{
			name: "new, view layout", mc: makeMiniCluster(withMaxSize(10)),
			want: Facts{Layout: fluxconfig.LayoutView, Maximum: 10, Headless: "flux-sample"},
		},
		{
			name: "new, system layout, no maxSize", mc: makeMiniCluster(withInstallRoot),
			want: Facts{Layout: fluxconfig.LayoutSystem, Maximum: 4, Headless: "flux-service"},
		},
		{
			name: "new, size 0: the size that will be granted", mc: makeMiniCluster(withSize(0)),
			want: Facts{Layout: fluxconfig.LayoutView, Maximum: 1, Headless: "flux-sample"},
		},
		{
			name: "a Service of the user's choice",
			mc:   makeMiniCluster(func(mc *v1alpha2.MiniCluster) { mc.Spec.Network = &v1alpha2.Network{HeadlessName: "shared"} }),
			want: Facts{Layout: fluxconfig.LayoutView, Maximum: 4, Headless: "shared"},
		},
		{
			name: "the Job's record beats the spec", mc: makeMiniCluster(withInstallRoot, withMaxSize(99)),
			job:  &batchv1.Job{ObjectMeta: recorded("view", "4")},
			want: Facts{Layout: fluxconfig.LayoutView, Maximum: 4, Headless: "flux-sample"},
		},
		{
			name: "the ConfigMap's record, when the Job is gone", mc: makeMiniCluster(withSize(9)),
			conf: &corev1.ConfigMap{ObjectMeta: recorded("system", "6")},
			want: Facts{Layout: fluxconfig.LayoutSystem, Maximum: 6, Headless: "flux-service"},
		},
		{
			name: "the status, when both are gone",
			mc:   makeMiniCluster(withSize(9), func(mc *v1alpha2.MiniCluster) { mc.Status.MaximumSize = 5 }),
			want: Facts{Layout: fluxconfig.LayoutView, Maximum: 5, Headless: "flux-sample"},
		},
		{
			name: "a damaged record counts as none", mc: makeMiniCluster(),
			job:  &batchv1.Job{ObjectMeta: recorded("nonsense", "-3")},
			want: Facts{Layout: fluxconfig.LayoutView, Maximum: 4, Headless: "flux-sample"},
		},
		{
			name: "pods keep their Service", mc: makeMiniCluster(),
			job:  &batchv1.Job{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Subdomain: "old"}}}},
			want: Facts{Layout: fluxconfig.LayoutView, Maximum: 4, Headless: "old"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.want.Site = testSite
			assert.Equal(t, tc.want, decide(tc.mc, tc.job, tc.conf, testSite))
		})
	}
}

func TestServerMinor(t *testing.T) {
	for _, tc := range []struct {
		major, minor string
		want         int
	}{{"1", "36", 36}, {"1", "27+", 27}, {"", "", 0}, {"2", "1", 0}, {"1", "x", 0}} {
		assert.Equal(t, tc.want, parseMinor(&version.Info{Major: tc.major, Minor: tc.minor}), "%+v", tc)
	}
	assert.True(t, Site{}.has(99), "the newest")
	assert.True(t, Site{ServerMinor: 29}.has(29))
	assert.False(t, Site{ServerMinor: 28}.has(29))
}

// TestServerVersionIsAskedForAgain: a server that is not there yet does not end the
// controller.
func TestServerVersionIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &slowServer{failures: 3}
		minor, err := serverMinor(t.Context(), server)
		require.NoError(t, err)
		assert.Equal(t, 31, minor)

		ctx, cancel := context.WithTimeout(t.Context(), 10*versionRetry)
		defer cancel()
		_, err = serverMinor(ctx, &slowServer{failures: 1000})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// slowServer fails some times before it answers.
type slowServer struct{ failures int }

func (s *slowServer) ServerVersion() (*version.Info, error) {
	if s.failures--; s.failures >= 0 {
		return nil, errors.New("not yet")
	}
	return &version.Info{Major: "1", Minor: "31"}, nil
}
