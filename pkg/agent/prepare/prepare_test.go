package prepare

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can create files of other users")
	}
}

func TestPrepareSystemLayout(t *testing.T) {
	needRoot(t)
	root := image(t, map[string]string{
		"/etc/sudoers.d/README":                 "",
		"/usr/libexec/flux/flux-imp":            "#!",
		plan.CertificateDir + "/passwords.json": `{"ada": ""}`,
	})
	// Mounts as the init container creates them.
	for _, m := range plan.SystemMounts() {
		dir := filepath.Join(root, m.Path)
		require.NoError(t, os.MkdirAll(dir, 0o777))
		require.NoError(t, os.Chown(dir, 65532, 65532))
		require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	}
	p := systemPlan(func(p *plan.Plan) { p.Users = []plan.Account{{Name: "ada"}} })
	i, err := Prepare(t.Context(), p, options(root))
	require.NoError(t, err)
	assert.Equal(t, "flux", i.User)
	assert.Equal(t, "/home/flux", i.Home)
	assert.Equal(t, []uint32{44}, i.Credential.Groups)
	assert.Equal(t, p.Files, i.Files)
	assert.True(t, i.Lead)
	assert.Equal(t, "/usr/bin/flux", i.Flux)
	assert.Equal(t, 88, i.Version.Minor)
	got := "Env:\n" + strings.Join(i.Env, "\n") + "\n\nHookEnv:\n" + strings.Join(i.HookEnv, "\n") + "\n\n" +
		tree(t, root, "/etc/curve", "/etc/flux", "/etc/group", "/etc/passwd", "/etc/shadow", "/etc/sudoers.d", "/home", "/run", "/tmp", "/usr/libexec", "/var")
	golden(t, "system.txt", got)

	again, err := Prepare(t.Context(), p, options(root))
	require.NoError(t, err, "a restarted container")
	assert.Equal(t, i, again)
	golden(t, "system.txt", "Env:\n"+strings.Join(again.Env, "\n")+"\n\nHookEnv:\n"+strings.Join(again.HookEnv, "\n")+"\n\n"+
		tree(t, root, "/etc/curve", "/etc/flux", "/etc/group", "/etc/passwd", "/etc/shadow", "/etc/sudoers.d", "/home", "/run", "/tmp", "/usr/libexec", "/var"))
}

// viewImage has a view of two packages, as spack creates it.
func viewImage(t *testing.T) string {
	return image(t, map[string]string{
		"/mnt/flux/view/bin/flux":                                      "-> ../../software/core/bin/flux",
		"/mnt/flux/view/lib/python3.9/site-packages/":                  "",
		"/mnt/flux/view/lib/python3.11/site-packages/":                 "",
		"/mnt/flux/view/etc/flux/rc1.d/02-cron":                        "-> ../../../../software/core/etc/flux/rc1.d/02-cron",
		"/mnt/flux/view/etc/flux/rc1.d/01-sched-fluxion":               "-> ../../../../software/sched/etc/flux/rc1.d/01-sched-fluxion",
		"/mnt/flux/view/etc/flux/rc1.d/gone":                           "-> ../../../../software/gone",
		"/mnt/flux/view/libexec/flux/modprobe/modprobe.d/fluxion.toml": "-> ../../../../../software/sched/fluxion.toml",
		"/mnt/flux/view/lib/flux/modules/sched-fluxion.so":             "-> ../../../../software/sched/sched-fluxion.so",
		"/mnt/flux/software/core/bin/flux":                             fakeFlux("0.49.0"),
		"/mnt/flux/software/core/etc/flux/rc1.d/02-cron":               "#!",
		"/mnt/flux/software/sched/etc/flux/rc1.d/01-sched-fluxion":     "#!",
		"/mnt/flux/software/sched/fluxion.toml":                        "",
		"/mnt/flux/software/sched/sched-fluxion.so":                    "",
	})
}

func TestPrepareViewLayout(t *testing.T) {
	needRoot(t)
	root := viewImage(t)
	p := viewPlan(func(p *plan.Plan) {
		p.Broker.Environment = map[string]string{"A": "it's $HOME", "fluxsocket": "mine"}
		p.Lead.Logs = "/tmp/logs"
	})
	i, err := Prepare(t.Context(), p, options(root))
	require.NoError(t, err)
	assert.Equal(t, "/mnt/flux/view/bin/flux", i.Flux, "not that of the image")
	assert.Equal(t, Version{Minor: 49, Text: "0.49.0"}, i.Version)
	assert.Nil(t, i.Credential)
	assert.Equal(t, "root", i.User)
	golden(t, "view.txt", "Env:\n"+strings.Join(i.Env, "\n")+"\n\n"+
		tree(t, root, "/etc/curve", "/mnt/flux/config", "/mnt/flux/flux-view.sh", "/mnt/flux/flux-connect.sh", "/mnt/flux/load-fluxion.sh", "/tmp"))
}

func TestSimpleScheduler(t *testing.T) {
	root := viewImage(t)
	i, err := Prepare(t.Context(), viewPlan(func(p *plan.Plan) { p.Broker.SimpleScheduler = true }), options(root))
	require.NoError(t, err)
	assert.NoFileExists(t, filepath.Join(root, "/mnt/flux/config/etc/flux/system/extra/rc1.d/01-sched-fluxion"))
	assert.FileExists(t, filepath.Join(root, "/mnt/flux/config/etc/flux/system/extra/rc1.d/90-minicluster-affinity"))
	assert.NotContains(t, strings.Join(i.Env, "\n"), "FLUX_MODULE_PATH")
}

func TestPrepareFails(t *testing.T) {
	for name, test := range map[string]struct {
		plan    *plan.Plan
		files   map[string]string
		options func(*Options)
		want    string
	}{
		"another host name":             {viewPlan(), nil, func(o *Options) { o.Index = 1 }, `the host name of the pod is "flux-sample-0"; the brokers expect "flux-sample-1"`},
		"no flux":                       {viewPlan(), nil, func(o *Options) { o.Environ = []string{"PATH=/bin"} }, "no command flux in the PATH of the container: /mnt/flux/config/etc/flux/system/bin:/bin:/mnt/flux/view/bin"},
		"an old flux":                   {viewPlan(), map[string]string{"/usr/bin/flux": fakeFlux("0.48.0")}, nil, "Flux 0.48.0 is too old: 0.49 or later is needed"},
		"a broken flux":                 {viewPlan(), map[string]string{"/usr/bin/flux": "#!/bin/sh\necho no library >&2; exit 127\n"}, nil, "determining the version of /usr/bin/flux: exit status 127: no library"},
		"R without cores":               {viewPlan(func(p *plan.Plan) { p.Resources.GPUs = 1 }), map[string]string{"/usr/bin/flux": strings.Replace(fakeFlux("0.88.0"), `"core": "0-7"`, "", 1)}, nil, "writing the resources of the instance: reading R: it has no cores"},
		"a file instead of a directory": {viewPlan(), map[string]string{"/mnt/flux/config": "x"}, nil, "making the directory /mnt/flux/config/etc/flux/config: "},
		"passwords":                     {viewPlan(func(p *plan.Plan) { p.Users = []plan.Account{{Name: "ada"}} }), map[string]string{plan.CertificateDir + "/passwords.json": `{"ada": secret}`}, nil, "the passwords of users are not a JSON object of strings"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "passwords" {
				needRoot(t)
			}
			root := image(t, test.files)
			o := options(root)
			if test.options != nil {
				test.options(&o)
			}
			test.plan.View.Copied = name == "no flux"
			_, err := Prepare(t.Context(), test.plan, o)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}
