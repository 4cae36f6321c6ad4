package resources

import (
	"testing"

	"github.com/stretchr/testify/assert"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
	"minicluster.internal/operator/test/framework/sample"
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
		want Fixed
	}{
		{
			name: "new, view layout", mc: sample.MiniCluster(sample.WithMaxSize(10)),
			want: Fixed{Layout: fluxconfig.LayoutView, Maximum: 10, Headless: "flux-sample"},
		},
		{
			name: "new, system layout, no maxSize", mc: sample.MiniCluster(sample.WithInstallRoot),
			want: Fixed{Layout: fluxconfig.LayoutSystem, Maximum: 4, Headless: "flux-service"},
		},
		{
			name: "new, size 0: the size that will be granted", mc: sample.MiniCluster(sample.WithSize(0)),
			want: Fixed{Layout: fluxconfig.LayoutView, Maximum: 1, Headless: "flux-sample"},
		},
		{
			name: "a Service of the user's choice",
			mc:   sample.MiniCluster(func(mc *v1alpha2.MiniCluster) { mc.Spec.Network = &v1alpha2.Network{HeadlessName: "shared"} }),
			want: Fixed{Layout: fluxconfig.LayoutView, Maximum: 4, Headless: "shared"},
		},
		{
			name: "the Job's record beats the spec", mc: sample.MiniCluster(sample.WithInstallRoot, sample.WithMaxSize(99)),
			job:  &batchv1.Job{ObjectMeta: recorded("view", "4")},
			want: Fixed{Layout: fluxconfig.LayoutView, Maximum: 4, Headless: "flux-sample"},
		},
		{
			name: "the ConfigMap's record, when the Job is gone",
			mc:   sample.MiniCluster(sample.WithSize(9), func(mc *v1alpha2.MiniCluster) { mc.Status.MaximumSize = 6 }),
			conf: &corev1.ConfigMap{ObjectMeta: recorded("system", "6")},
			want: Fixed{Layout: fluxconfig.LayoutSystem, Maximum: 6, Headless: "flux-service"},
		},
		{
			name: "no record before there is a Job", mc: sample.MiniCluster(sample.WithSize(9)),
			conf: &corev1.ConfigMap{ObjectMeta: recorded("system", "6")},
			want: Fixed{Layout: fluxconfig.LayoutView, Maximum: 9, Headless: "flux-sample"},
		},
		{
			name: "the status, when both are gone",
			mc:   sample.MiniCluster(sample.WithSize(9), func(mc *v1alpha2.MiniCluster) { mc.Status.MaximumSize = 5 }),
			want: Fixed{Layout: fluxconfig.LayoutView, Maximum: 5, Headless: "flux-sample"},
		},
		{
			name: "a damaged record counts as none", mc: sample.MiniCluster(),
			job:  &batchv1.Job{ObjectMeta: recorded("nonsense", "-3")},
			want: Fixed{Layout: fluxconfig.LayoutView, Maximum: 4, Headless: "flux-sample"},
		},
		{
			name: "pods keep their Service", mc: sample.MiniCluster(),
			job:  &batchv1.Job{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Subdomain: "old"}}}},
			want: Fixed{Layout: fluxconfig.LayoutView, Maximum: 4, Headless: "old"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.want, ResolveFixed(tc.mc, tc.job, tc.conf))
		})
	}
}
