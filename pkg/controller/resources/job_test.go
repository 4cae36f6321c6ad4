package resources

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

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
	"minicluster.internal/operator/test/framework/sample"
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
		PriorityClassName:            "below-others",
		RuntimeClassName:             "nvidia",
		NodeSelector:                 map[string]string{"pool": "hpc"},
		NodeAffinity:                 map[string][]string{"zone": {"b", "a"}, "arch": {"amd64"}},
		Tolerations:                  []corev1.Toleration{{Key: "hpc", Operator: corev1.TolerationOpExists}},
		SecurityContext:              &corev1.PodSecurityContext{FSGroup: new(int64(1000))},
		HostNetwork:                  true,
		DNSConfig:                    &corev1.PodDNSConfig{Searches: []string{"site.example"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: new("2")}}},
		ResourceClaims:               []corev1.PodResourceClaim{{Name: "gpus", ResourceClaimTemplateName: new("two-gpus")}},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{
			{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway},
		},
		StopSignal: "SIGQUIT",
	}
	mc.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "gpus"}}
	mc.Spec.JobAnnotations = map[string]string{"kueue.x-k8s.io/elastic-job": "true"}
}

func TestGoldenObjects(t *testing.T) {
	for name, mc := range map[string]*v1alpha2.MiniCluster{
		"tutorial":   sample.MiniCluster(sample.WithInstallRoot),
		"everything": sample.MiniCluster(everything),
	} {
		t.Run(name, func(t *testing.T) {
			f := ResolveFixed(mc, nil, nil)
			job, err := BuildJob(mc, f, testEnvironment, mc.RequestedSize())
			require.NoError(t, err)
			sample.GoldenYAML(t, name+"/job.yaml", job)
			conf, err := BuildConfigMap(mc, f, testEnvironment, mc.RequestedSize(), &metav1.OwnerReference{APIVersion: "v1", Kind: "Secret", Name: SecretName(mc), UID: "secret-uid"})
			require.NoError(t, err)
			sample.GoldenYAML(t, name+"/configmap.yaml", conf)
			sample.GoldenYAML(t, name+"/service.yaml", BuildHeadlessService(mc, f))
		})
	}
}

func TestPodFailurePolicy(t *testing.T) {
	withPolicy := func(p corev1.RestartPolicy) func(*v1alpha2.MiniCluster) {
		return func(mc *v1alpha2.MiniCluster) { mc.Spec.Pod = &v1alpha2.PodSpec{RestartPolicy: p} }
	}
	assert.Len(t, podFailurePolicy(sample.MiniCluster()).Rules, 3)
	assert.Nil(t, podFailurePolicy(sample.MiniCluster(withPolicy(corev1.RestartPolicyOnFailure))), "Kubernetes forbids it")
	for name, mod := range map[string]func(*v1alpha2.MiniCluster){
		"a restart policy": withPolicy(corev1.RestartPolicyNever),
		"a limit":          func(mc *v1alpha2.MiniCluster) { mc.Spec.BackoffLimit = new(int32(3)) },
	} {
		rules := podFailurePolicy(sample.MiniCluster(mod)).Rules
		require.Len(t, rules, 1, "with %s, the user decides about all failures except disruptions", name)
		assert.Equal(t, batchv1.PodFailurePolicyActionIgnore, rules[0].Action)
		assert.Equal(t, corev1.DisruptionTarget, rules[0].OnPodConditions[0].Type)
	}
}

func TestBackoffLimits(t *testing.T) {
	onFailure := func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod = &v1alpha2.PodSpec{RestartPolicy: corev1.RestartPolicyOnFailure}
	}
	three := func(mc *v1alpha2.MiniCluster) { mc.Spec.BackoffLimit = new(int32(3)) }
	for name, tc := range map[string]struct {
		mods            []func(*v1alpha2.MiniCluster)
		minor           int
		limit, perIndex *int32
	}{
		"nothing set":                       {perIndex: new(defaultBackoffLimit)},
		"a limit of the user":               {mods: []func(*v1alpha2.MiniCluster){three}, limit: new(int32(3)), perIndex: new(int32(3))},
		"containers restart in place":       {mods: []func(*v1alpha2.MiniCluster){onFailure}, limit: new(defaultBackoffLimit)},
		"in place, with a limit":            {mods: []func(*v1alpha2.MiniCluster){onFailure, three}, limit: new(int32(3))},
		"a server without limits per index": {minor: 28, limit: new(defaultBackoffLimit), perIndex: new(defaultBackoffLimit)},
	} {
		t.Run(name, func(t *testing.T) {
			mc := sample.MiniCluster(tc.mods...)
			env := testEnvironment
			if tc.minor > 0 {
				env.ServerMinor = tc.minor
			}
			job, err := BuildJob(mc, NewFixed(mc), env, 4)
			require.NoError(t, err)
			assert.Equal(t, tc.limit, job.Spec.BackoffLimit)
			assert.Equal(t, tc.perIndex, job.Spec.BackoffLimitPerIndex)
			assert.Equal(t, tc.perIndex != nil, job.Spec.MaxFailedIndexes != nil)
		})
	}
}

func TestBuildSecret(t *testing.T) {
	mc := sample.MiniCluster()
	secret, err := BuildSecret(mc, sample.Zeroes{}, metav1.Now().Time)
	require.NoError(t, err)
	assert.True(t, *secret.Immutable)
	assert.Equal(t, "flux-sample-curve-3f6c1a52", secret.Name)
	_, err = fluxconfig.ParseCertificate(secret.Data[keyCertificate], "rank")
	require.NoError(t, err)

	_, err = control.NewClient(secret.Data, "flux-sample-0")
	require.NoError(t, err)
	_, err = control.ServerTLS(secret.Data)
	require.NoError(t, err)
	assert.Len(t, secret.Data, 6)

	text := string(secret.Data[keyCertificate])
	mc.Spec.Flux = &v1alpha2.FluxSpec{CurveCert: text}
	secret, err = BuildSecret(mc, nil, metav1.Now().Time)
	require.NoError(t, err)
	assert.Equal(t, text, string(secret.Data[keyCertificate]), "the user's own text")
}

func TestPasswords(t *testing.T) {
	mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Users = []v1alpha2.MiniClusterUser{{Name: "ada", Password: "given"}, {Name: "bob"}}
	})
	secret, err := BuildSecret(mc, sample.Zeroes{}, metav1.Now().Time)
	require.NoError(t, err)
	assert.JSONEq(t, `{"ada": "given", "bob": "abcdefgh"}`, string(secret.Data[keyPasswords]))
	assert.Contains(t, secret.Data, keyCertificate)
	conf, err := BuildConfigMap(mc, NewFixed(mc), testEnvironment, 4, nil)
	require.NoError(t, err)
	assert.NotContains(t, conf.Data[keyPlan], "given")

	// The certificate may be in another Secret.
	mc.Spec.Flux = &v1alpha2.FluxSpec{CurveCertSecret: "mine"}
	secret, err = BuildSecret(mc, rand.Reader, metav1.Now().Time)
	require.NoError(t, err)
	assert.NotContains(t, secret.Data, keyCertificate)
	var passwords map[string]string
	require.NoError(t, json.Unmarshal(secret.Data[keyPasswords], &passwords))
	assert.Regexp(t, `^[a-z2-9]{8}$`, passwords["bob"])

	_, err = BuildSecret(sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Flux, mc.Spec.Users = &v1alpha2.FluxSpec{CurveCertSecret: "mine"}, []v1alpha2.MiniClusterUser{{Name: "a"}}
	}), strings.NewReader("short"), metav1.Now().Time)
	assert.ErrorContains(t, err, "making a password")
}

// Pods get the files of the Secrets that they need, but never the controller's own key.
func TestWhatPodsSeeOfSecrets(t *testing.T) {
	withUsers := func(mc *v1alpha2.MiniCluster) { mc.Spec.Users = []v1alpha2.MiniClusterUser{{Name: "ada"}} }
	withSecret := func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &v1alpha2.FluxSpec{CurveCertSecret: "mine"} }
	const ours = "flux-sample-curve-3f6c1a52"
	all := func(mode int32, keys ...string) map[string]int32 {
		modes := map[string]int32{"control-ca.crt": mode, "control-server.crt": mode, "control-server.key": mode}
		for _, key := range keys {
			modes[key] = mode
		}
		return modes
	}
	for name, tc := range map[string]struct {
		mods []func(*v1alpha2.MiniCluster)
		want map[string]map[string]int32
	}{
		"one Secret": {nil, map[string]map[string]int32{ours: all(0o440, "curve.cert")}},
		"users": {[]func(*v1alpha2.MiniCluster){withUsers}, map[string]map[string]int32{
			ours: all(0o400, "curve.cert", "passwords.json"),
		}},
		"root": {[]func(*v1alpha2.MiniCluster){func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].SecurityContext = &v1alpha2.SecurityContext{SecurityContext: corev1.SecurityContext{RunAsUser: new(int64(0))}}
		}}, map[string]map[string]int32{ours: all(0o400, "curve.cert")}},
		"another user of the container, root of the pod": {[]func(*v1alpha2.MiniCluster){func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Pod = &v1alpha2.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsUser: new(int64(0))}}
			mc.Spec.Containers[0].SecurityContext = &v1alpha2.SecurityContext{SecurityContext: corev1.SecurityContext{RunAsUser: new(int64(7))}}
		}}, map[string]map[string]int32{ours: all(0o440, "curve.cert")}},
		"a certificate of the user": {[]func(*v1alpha2.MiniCluster){withSecret}, map[string]map[string]int32{"mine": {"curve.cert": 0o440}, ours: all(0o440)}},
		"both": {[]func(*v1alpha2.MiniCluster){withSecret, withUsers}, map[string]map[string]int32{
			"mine": {"curve.cert": 0o400}, ours: all(0o400, "passwords.json"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			mc := sample.MiniCluster(tc.mods...)
			volume := credentialsVolume(mc)
			got := map[string]map[string]int32{}
			note := func(secret string, items []corev1.KeyToPath) {
				got[secret] = map[string]int32{}
				for _, item := range items {
					assert.Equal(t, item.Key, item.Path)
					got[secret][item.Key] = *item.Mode
				}
			}
			if volume.Secret != nil {
				note(volume.Secret.SecretName, volume.Secret.Items)
			} else {
				for _, source := range volume.Projected.Sources {
					note(source.Secret.Name, source.Secret.Items)
				}
			}
			assert.Equal(t, tc.want, got)
			job, err := BuildJob(mc, NewFixed(mc), testEnvironment, 1)
			require.NoError(t, err)
			assert.True(t, MountsSecret(job, ours))
			assert.False(t, MountsSecret(job, "another"))
		})
	}
}
