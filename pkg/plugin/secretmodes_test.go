package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// agentsOfUsers are documents whose agents run as different users.
const agentsOfUsers = `apiVersion: flux-framework.org/v1alpha2
kind: MiniCluster
metadata: {name: image}
spec:
  size: 2
  flux: {mungeSecret: munge}
  containers:
    - {image: app, runFlux: true}
    - {image: nginx, name: nginx, ports: [80]}
---
apiVersion: flux-framework.org/v1alpha2
kind: MiniCluster
metadata: {name: number}
spec:
  size: 2
  flux: {curveCertSecret: mine}
  pod: {securityContext: {runAsUser: 1000, fsGroup: 2000}}
  containers: [{image: app, runFlux: true}, {image: side, name: side, command: sleep 1}]
---
apiVersion: flux-framework.org/v1alpha2
kind: MiniCluster
metadata: {name: root}
spec:
  size: 2
  flux: {mungeSecret: munge}
  containers: [{image: app, securityContext: {runAsUser: 0}}]
---
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: users}
spec:
  size: 2
  flux: {mungeSecret: munge}
  users: [{name: ada, password: bumble}, {name: grace}]
  containers: [{image: app}]
`

// TestSecretFiles: no file of a Secret of the cluster is readable by others, its agent can
// read it, and no other container mounts it.
func TestSecretFiles(t *testing.T) {
	out, problems, err := command(t, agentsOfUsers, "render", "-f", "-")
	require.NoError(t, err, problems)
	modes := map[string]int32{}
	groups := map[string]*int64{}
	for name, job := range renderedJobs(t, out) {
		modes[name] = assertSecretFiles(t, job)
		if s := job.Spec.Template.Spec.SecurityContext; s != nil {
			groups[name] = s.FSGroup
		}
	}
	assert.Equal(t, map[string]int32{"image": 0o440, "number": 0o440, "root": 0o400, "users": 0o400}, modes)
	assert.Equal(t, map[string]*int64{"image": new(int64(65532)), "number": new(int64(2000))}, groups)

	out, _, err = command(t, agentsOfUsers, "render", "-f", "-", "--secret-group=0")
	require.NoError(t, err)
	assert.Nil(t, renderedJobs(t, out)["image"].Spec.Template.Spec.SecurityContext, "the platform assigns the group")
}

// TestSecretFilesOfTheCorpus checks the same of all documents of users of flux-operator.
func TestSecretFilesOfTheCorpus(t *testing.T) {
	dir := os.Getenv("MINICLUSTER_CORPUS")
	if dir == "" {
		dir = filepath.FromSlash("../../../shared/corpus")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.yaml"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skipf("no documents in %s; set MINICLUSTER_CORPUS to a folder that has them", dir)
	}
	jobs := 0
	for _, file := range files {
		out, _, err := command(t, "", "render", "-f", file)
		if err != nil {
			continue // other tests say which documents are refused
		}
		for _, job := range renderedJobs(t, out) {
			jobs++
			assertSecretFiles(t, job)
		}
	}
	t.Logf("%d Jobs", jobs)
	assert.Greater(t, jobs, 50)
}

func renderedJobs(t *testing.T, out string) map[string]*batchv1.Job {
	t.Helper()
	jobs := map[string]*batchv1.Job{}
	for name, text := range splitObjects(t, out) {
		if kind, name, _ := strings.Cut(name, "/"); kind == "Job" {
			job := &batchv1.Job{}
			require.NoError(t, yaml.Unmarshal([]byte(text), job))
			jobs[name] = job
		}
	}
	return jobs
}

// assertSecretFiles returns the mode that all files of the cluster's Secrets have.
func assertSecretFiles(t *testing.T, job *batchv1.Job) int32 {
	t.Helper()
	pod := &job.Spec.Template.Spec
	modes, secret := map[int32]bool{}, map[string]bool{"minicluster-curve-copy": true}
	for i := range pod.Volumes {
		v := &pod.Volumes[i]
		if strings.HasPrefix(v.Name, "minicluster-") && (v.Secret != nil || v.Projected != nil) {
			secret[v.Name] = true
			for _, mode := range secretModes(v) {
				modes[mode] = true
			}
		}
	}
	require.Len(t, modes, 1, "%s: files have the same mode", job.Name)
	var mode int32
	for mode = range modes {
		assert.Zero(t, mode&0o007, "%s: others can read mode %o", job.Name, mode)
		if mode&0o040 != 0 {
			require.NotNil(t, pod.SecurityContext, job.Name)
			assert.NotNil(t, pod.SecurityContext.FSGroup, "%s: the agent is in no group that can read", job.Name)
		}
	}
	for _, c := range append(append([]corev1.Container{}, pod.InitContainers...), pod.Containers...) {
		for _, mount := range c.VolumeMounts {
			if c.Name != job.Name {
				assert.False(t, secret[mount.Name], "%s: container %s mounts %s", job.Name, c.Name, mount.Name)
			}
			if mount.MountPath == "/etc/curve" {
				assert.Equal(t, "minicluster-curve-copy", mount.Name, job.Name)
			}
		}
	}
	return mode
}

// secretModes returns the modes of the files that a volume takes from Secrets.
func secretModes(v *corev1.Volume) []int32 {
	var modes []int32
	add := func(whole *int32, items []corev1.KeyToPath) {
		if len(items) == 0 {
			modes = append(modes, *whole)
		}
		for _, item := range items {
			if item.Mode != nil {
				modes = append(modes, *item.Mode)
			} else {
				modes = append(modes, *whole)
			}
		}
	}
	if v.Secret != nil {
		add(v.Secret.DefaultMode, v.Secret.Items)
	}
	if v.Projected != nil {
		for _, source := range v.Projected.Sources {
			if source.Secret != nil {
				add(v.Projected.DefaultMode, source.Secret.Items)
			}
		}
	}
	return modes
}
