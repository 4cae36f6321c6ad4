package controller

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

func everything(mc *v1alpha2.MiniCluster) {
	mc.Spec.MaxSize, mc.Spec.MinSize = 8, 2
	mc.Spec.JobLabels = map[string]string{"kueue.x-k8s.io/queue-name": "user-queue"}
	mc.Spec.ShareProcessNamespace = true
	mc.Spec.Archive = &v1alpha2.FluxArchive{Path: "/state/archive.tar.gz"}
	mc.Spec.Network = &v1alpha2.Network{HeadlessName: "shared"}
	mc.Spec.Containers = []v1alpha2.MiniClusterContainer{
		{
			Image: "app:1", RunFlux: true, Command: `echo "$HOSTNAME"`, WorkingDir: "/data", PullAlways: true, ImagePullSecret: "registry",
			Environment: map[string]string{"B": "2", "A": "1"},
			Secrets:     map[string]v1alpha2.SecretKey{"TOKEN": {Name: "token", Key: "value"}},
			Ports:       []int32{5000},
			Resources: &corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m")},
				Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
			},
			SecurityContext: &v1alpha2.SecurityContext{
				SecurityContext: corev1.SecurityContext{Privileged: new(true)},
				AddCapabilities: []corev1.Capability{"SYS_PTRACE"},
			},
		},
		{Name: "nginx", Image: "nginx", ImagePullSecret: "registry", Ports: []int32{80}},
	}
	mc.Spec.Pod = &v1alpha2.PodSpec{
		Labels:                       map[string]string{"team": "hpc", v1alpha2.LabelHPASelector: "not-yours"},
		Annotations:                  map[string]string{"note": "x"},
		ServiceAccountName:           "runner",
		AutomountServiceAccountToken: new(false),
		SchedulerName:                "fluence",
		RuntimeClassName:             "nvidia",
		NodeSelector:                 map[string]string{"pool": "hpc"},
		NodeAffinity:                 map[string][]string{"zone": {"b", "a"}, "arch": {"amd64"}},
		Tolerations:                  []corev1.Toleration{{Key: "hpc", Operator: corev1.TolerationOpExists}},
		SecurityContext:              &corev1.PodSecurityContext{FSGroup: new(int64(1000))},
	}
}

func TestGoldenObjects(t *testing.T) {
	for name, mc := range map[string]*v1alpha2.MiniCluster{
		"tutorial":   makeMiniCluster(withInstallRoot),
		"everything": makeMiniCluster(everything),
	} {
		t.Run(name, func(t *testing.T) {
			f := decide(mc, nil, nil, testSite)
			job, err := BuildJob(mc, f, mc.RequestedSize())
			require.NoError(t, err)
			goldenYAML(t, name+"/job.yaml", job)
			conf, err := BuildConfigMap(mc, f, mc.RequestedSize(), &metav1.OwnerReference{APIVersion: "v1", Kind: "Secret", Name: SecretName(mc), UID: "secret-uid"})
			require.NoError(t, err)
			goldenYAML(t, name+"/configmap.yaml", conf)
			goldenYAML(t, name+"/service.yaml", BuildHeadlessService(mc, f))
		})
	}
}

func TestPodFailurePolicy(t *testing.T) {
	withPolicy := func(p corev1.RestartPolicy) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) { mc.Spec.Pod = &v1alpha2.PodSpec{RestartPolicy: p} }
	}
	assert.Len(t, podFailurePolicy(makeMiniCluster()).Rules, 3)
	assert.Nil(t, podFailurePolicy(makeMiniCluster(withPolicy(corev1.RestartPolicyOnFailure))), "Kubernetes forbids it")
	for name, mod := range map[string]func(*v1alpha2.MiniCluster){
		"a restart policy": withPolicy(corev1.RestartPolicyNever),
		"a limit":          func(mc *v1alpha2.MiniCluster) { mc.Spec.BackoffLimit = new(int32(3)) },
	} {
		rules := podFailurePolicy(makeMiniCluster(mod)).Rules
		require.Len(t, rules, 1, "the user decided, with %s, about all failures that are no disruptions", name)
		assert.Equal(t, batchv1.PodFailurePolicyActionIgnore, rules[0].Action)
		assert.Equal(t, corev1.DisruptionTarget, rules[0].OnPodConditions[0].Type)
	}
}

func TestBuildSecret(t *testing.T) {
	mc := makeMiniCluster()
	secret, err := BuildSecret(mc, zeroes{}, metav1.Now().Time)
	require.NoError(t, err)
	assert.True(t, *secret.Immutable)
	assert.Equal(t, "flux-sample-curve-3f6c1a52", secret.Name)
	_, err = fluxconfig.ParseCertificate(secret.Data[KeyCertificate], "rank")
	require.NoError(t, err)

	text := string(secret.Data[KeyCertificate])
	mc.Spec.Flux = &v1alpha2.FluxSpec{CurveCert: text}
	secret, err = BuildSecret(mc, nil, metav1.Now().Time)
	require.NoError(t, err)
	assert.Equal(t, text, string(secret.Data[KeyCertificate]), "the user's own text")
}

func TestPasswords(t *testing.T) {
	mc := makeMiniCluster(func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Users = []v1alpha2.MiniClusterUser{{Name: "ada", Password: "given"}, {Name: "bob"}}
	})
	secret, err := BuildSecret(mc, zeroes{}, metav1.Now().Time)
	require.NoError(t, err)
	assert.JSONEq(t, `{"ada": "given", "bob": "abcdefgh"}`, string(secret.Data[KeyPasswords]))
	assert.Contains(t, secret.Data, KeyCertificate)
	conf, err := BuildConfigMap(mc, NewFacts(mc, testSite), 4, nil)
	require.NoError(t, err)
	assert.NotContains(t, conf.Data[KeyPlan], "given")

	// The certificate may be in another Secret; then ours has the passwords only.
	mc.Spec.Flux = &v1alpha2.FluxSpec{CurveCertSecret: "mine"}
	assert.True(t, needsSecret(mc))
	secret, err = BuildSecret(mc, rand.Reader, metav1.Now().Time)
	require.NoError(t, err)
	assert.Len(t, secret.Data, 1)
	var passwords map[string]string
	require.NoError(t, json.Unmarshal(secret.Data[KeyPasswords], &passwords))
	assert.Regexp(t, `^[a-z2-9]{8}$`, passwords["bob"])
	mc.Spec.Users = nil
	assert.False(t, needsSecret(mc))

	_, err = BuildSecret(makeMiniCluster(func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Flux, mc.Spec.Users = &v1alpha2.FluxSpec{CurveCertSecret: "mine"}, []v1alpha2.MiniClusterUser{{Name: "a"}}
	}), strings.NewReader("short"), metav1.Now().Time)
	assert.ErrorContains(t, err, "making a password")
}

// zeroes is a source of randomness for tests.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}
