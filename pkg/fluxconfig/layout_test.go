package fluxconfig

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestLayoutOf(t *testing.T) {
	assert.Equal(t, LayoutView, LayoutOf(&v1alpha2.MiniClusterSpec{}))
	assert.Equal(t, LayoutView, LayoutOf(&v1alpha2.MiniClusterSpec{Flux: &v1alpha2.FluxSpec{}}))
	assert.Equal(t, LayoutSystem, LayoutOf(&v1alpha2.MiniClusterSpec{Flux: &v1alpha2.FluxSpec{InstallRoot: "/usr"}}))
}

func TestHeadlessService(t *testing.T) {
	mc := cluster()
	assert.Equal(t, "flux-sample", HeadlessService(mc, LayoutView))
	assert.Equal(t, "flux-service", HeadlessService(mc, LayoutSystem))
	mc.Spec.Network = &v1alpha2.Network{}
	assert.Equal(t, "flux-service", HeadlessService(mc, LayoutSystem))
	mc.Spec.Network.HeadlessName = "shared"
	assert.Equal(t, "shared", HeadlessService(mc, LayoutView))
	assert.Equal(t, "shared", HeadlessService(mc, LayoutSystem))
}

func TestMountPath(t *testing.T) {
	assert.Equal(t, "/mnt/flux", MountPath(&v1alpha2.MiniClusterSpec{}))
	assert.Equal(t, "/mnt/flux", MountPath(&v1alpha2.MiniClusterSpec{Flux: &v1alpha2.FluxSpec{Container: &v1alpha2.FluxContainer{}}}))
	assert.Equal(t, "/x", MountPath(&v1alpha2.MiniClusterSpec{Flux: &v1alpha2.FluxSpec{Container: &v1alpha2.FluxContainer{MountPath: "/x"}}}))
}

// The paths are an interface: scripts and flux proxy commands of users contain them.
func TestPaths(t *testing.T) {
	assert.Equal(t, plan.Files{
		ConfigDir:  "/etc/flux/config",
		BrokerTOML: "/etc/flux/config/broker.toml",
		CurveCert:  "/etc/curve/curve.cert",
		R:          "/etc/flux/system/R",
		Hostlist:   "/etc/flux/system/hostlist",
		CronDir:    "/etc/flux/system/cron.d",
		RunDir:     "/run/flux",
		StateDir:   "/var/lib/flux",
		Socket:     "/run/flux/local",
		SocketURI:  "local:///run/flux/local",
		JobArchive: "/var/lib/flux/job-archive.sqlite",
	}, Paths(LayoutSystem, "/ignored"))
	assert.Equal(t, plan.Files{
		ConfigDir:  "/mnt/flux/config/etc/flux/config",
		BrokerTOML: "/mnt/flux/config/etc/flux/config/broker.toml",
		CurveCert:  "/etc/curve/curve.cert",
		R:          "/mnt/flux/config/etc/flux/system/R",
		Hostlist:   "/mnt/flux/config/etc/flux/system/hostlist",
		CronDir:    "/mnt/flux/config/etc/flux/system/cron.d",
		RunDir:     "/mnt/flux/config/run/flux",
		StateDir:   "/mnt/flux/config/var/lib/flux",
		Socket:     "/mnt/flux/config/run/flux/local",
		SocketURI:  "local:///mnt/flux/config/run/flux/local",
		JobArchive: "/mnt/flux/config/var/lib/flux/job-archive.sqlite",
	}, Paths(LayoutView, "/mnt/flux/"))
}
