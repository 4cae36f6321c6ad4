package fluxconfig

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Layout says where Flux and its files are in the pods. It is fixed when a MiniCluster is created.
type Layout string

const (
	// LayoutSystem is the layout of a system instance, and of v1alpha1: Flux is installed in the user's image, its files
	// are in /etc/flux, /run/flux and /var/lib/flux.
	LayoutSystem Layout = "system"
	// LayoutView is the layout of v1alpha2: Flux comes from a view that is mounted at spec.flux.container.mountPath, and
	// its files are there too.
	LayoutView Layout = "view"
)

// LayoutOf returns the layout of a spec.
func LayoutOf(spec *v1alpha2.MiniClusterSpec) Layout {
	if spec.Flux != nil && spec.Flux.InstallRoot != "" {
		return LayoutSystem
	}
	return LayoutView
}

// MountPath returns the directory where a spec mounts the view.
func MountPath(spec *v1alpha2.MiniClusterSpec) string {
	if spec.Flux != nil && spec.Flux.Container != nil && spec.Flux.Container.MountPath != "" {
		return spec.Flux.Container.MountPath
	}
	return v1alpha2.DefaultMountPath
}

// HeadlessService returns the name of the Service that gives the pods their host names.
func HeadlessService(mc *v1alpha2.MiniCluster, layout Layout) string {
	switch {
	case mc.Spec.Network != nil && mc.Spec.Network.HeadlessName != "":
		return mc.Spec.Network.HeadlessName
	case layout == LayoutSystem:
		return v1alpha2.DefaultSystemHeadlessName
	default:
		return mc.Name
	}
}

// Paths returns the paths of a layout. The mount path is used in the view layout only.
func Paths(layout Layout, mountPath string) plan.Files {
	root := "/"
	if layout == LayoutView {
		root = path.Join(mountPath, "config")
	}
	at := func(elem string) string { return path.Join(root, elem) }
	return plan.Files{
		ConfigDir:  at("etc/flux/config"),
		BrokerTOML: at("etc/flux/config/broker.toml"),
		CurveCert:  path.Join(plan.CurveDir, "curve.cert"),
		R:          at("etc/flux/system/R"),
		Hostlist:   at("etc/flux/system/hostlist"),
		CronDir:    at("etc/flux/system/cron.d"),
		RunDir:     at("run/flux"),
		StateDir:   at("var/lib/flux"),
		Socket:     at("run/flux/local"),
		SocketURI:  "local://" + at("run/flux/local"),
		JobArchive: at("var/lib/flux/job-archive.sqlite"),
	}
}

// maxSocketPath is the maximal length of the address of a Unix socket, unix(7).
const maxSocketPath = 107

// checkPath rejects a directory that cannot be used everywhere: in broker.toml, the address of a socket, and lists
// like PATH.
func checkPath(dir string) error {
	switch {
	case !path.IsAbs(dir):
		return errors.New("must be an absolute path")
	case !utf8.ValidString(dir):
		return errors.New("must be UTF-8")
	case strings.ContainsFunc(dir, func(c rune) bool { return c <= ' ' || c == 0x7f || c == ':' }):
		return errors.New("must not contain a blank, a control character or a colon")
	}
	return nil
}

// checkMountPath rejects a mount path with which brokers would not start.
func checkMountPath(mountPath string) error {
	if err := checkPath(mountPath); err != nil {
		return err
	}
	if path.Clean(mountPath) == "/" {
		return errors.New("must be another directory than /")
	}
	if n := len(Paths(LayoutView, mountPath).Socket); n > maxSocketPath {
		return fmt.Errorf("too long: the path of the broker's socket would have %d characters, more than %d", n, maxSocketPath)
	}
	return nil
}
