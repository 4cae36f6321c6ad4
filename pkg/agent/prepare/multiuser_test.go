package prepare

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// A mounted MUNGE key is copied for munged, which is started.
func TestMunge(t *testing.T) {
	needRoot(t)
	root := image(t, map[string]string{
		"/etc/passwd":          "root:x:0:0::/root:/bin/sh\nmunge:x:120:121::/:/bin/false\n",
		"/etc/munge/munge.key": "key",
		"/usr/sbin/munged":     "#!/bin/sh\nid -u\n[ \"$(id -u):$1:$3\" = 120:--force:--socket=/run/munge/munge.socket.2 ] || { echo wrong >&2; exit 1; }\n",
	})
	_, err := Prepare(t.Context(), systemPlan(), options(root))
	require.NoError(t, err)
	assert.Contains(t, tree(t, root, "/var/lib/munge"), "-r-------- 120:121 /var/lib/munge/minicluster.key\n\tkey")
	assert.Contains(t, tree(t, root, "/run/munge"), "drwxr-xr-x 120:121 /run/munge")

	require.NoError(t, os.WriteFile(filepath.Join(root, "usr/sbin/munged"), []byte("#!/bin/sh\necho \"munged: Error: it's broken\" >&2\nsleep 2 &\nexit 1\n"), 0o755))
	_, err = Prepare(t.Context(), systemPlan(), options(root))
	assert.EqualError(t, err, "starting munged: exit status 1: munged: Error: it's broken")

	require.NoError(t, os.Remove(filepath.Join(root, "usr/sbin/munged")))
	_, err = Prepare(t.Context(), systemPlan(), options(root))
	assert.NoError(t, err, "jobs of the owner do not need munged")
}

func TestIMP(t *testing.T) {
	needRoot(t)
	users := func(p *plan.Plan) { p.Users = []plan.Account{{Name: "ada"}} }
	for name, test := range map[string]struct {
		plan  *plan.Plan
		files map[string]string
		want  string
	}{
		"with users":      {systemPlan(users), map[string]string{"/usr/libexec/flux/flux-imp": "#!"}, "[exec]\nallowed-users = [\"flux\"]\nallowed-shells = [\"/usr/libexec/flux/flux-shell\"]\n"},
		"of root":         {systemPlan(users, func(p *plan.Plan) { p.User = plan.User{} }), map[string]string{"/usr/libexec/flux/flux-imp": "#!"}, "[exec]\nallowed-users = [\"root\"]\nallowed-shells = [\"/usr/libexec/flux/flux-shell\"]\n"},
		"without the IMP": {systemPlan(users), nil, ""},
		"for one user":    {systemPlan(), map[string]string{"/usr/libexec/flux/flux-imp": "#!"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := image(t, test.files)
			_, err := Prepare(t.Context(), test.plan, options(root))
			require.NoError(t, err)
			text, err := os.ReadFile(filepath.Join(root, "etc/flux/imp/conf.d/imp.toml"))
			assert.Equal(t, test.want == "", err != nil)
			assert.Equal(t, test.want, string(text))
		})
	}
	assert.Equal(t, "/opt/flux/etc", sysconfDir("/opt/flux"))
}

func TestSudoers(t *testing.T) {
	needRoot(t)
	for name, test := range map[string]struct {
		plan  *plan.Plan
		files map[string]string
		want  bool
	}{
		"sudo in the image": {systemPlan(), map[string]string{"/etc/sudoers.d/": ""}, true},
		"no sudo":           {systemPlan(), nil, false},
		"Flux is root's":    {systemPlan(func(p *plan.Plan) { p.User = plan.User{} }), map[string]string{"/etc/sudoers.d/": ""}, false},
		"view layout":       {viewPlan(), map[string]string{"/etc/sudoers.d/": ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			root := image(t, test.files)
			_, err := Prepare(t.Context(), test.plan, options(root))
			require.NoError(t, err)
			_, err = os.Stat(filepath.Join(root, sudoersFile))
			assert.Equal(t, test.want, err == nil)
		})
	}
}
