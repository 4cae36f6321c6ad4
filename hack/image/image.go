package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"minicluster.internal/operator/hack/ociimage"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/test/framework/gobuild"
)

// The programs.
const (
	controller = "./cmd/minicluster-controller"
	metrics    = "./cmd/minicluster-metrics"
	agent      = "./cmd/minicluster-agent"
)

const (
	// user is the customary number of a user without rights in images without a distribution. It is a number because a
	// kubelet cannot tell from a name that it is not root.
	user = "65532"

	passwd = "root:x:0:0:root:/:/sbin/nologin\nminicluster:x:" + user + ":" + user + ":minicluster:/:/sbin/nologin\n"
	group  = "root:x:0:\nminicluster:x:" + user + ":\n"
)

// goFlags compile as hack/goflags.sh does, so that Go's cache has each package once for the image and everything else.
// The user's own flags do not change the image.
const goFlags = "GOFLAGS=-trimpath -gcflags=all=-dwarf=false -buildvcs=false"

func environment(platform ocispec.Platform) []string {
	return []string{"CGO_ENABLED=0", goFlags, "GOOS=" + platform.OS, "GOARCH=" + platform.Architecture}
}

// stale counts the packages that have to be compiled.
func stale(ctx context.Context, progress *gobuild.Progress, platforms []ocispec.Platform) (int, error) {
	total := 0
	for _, platform := range platforms {
		count, err := gobuild.Stale(ctx, "", environment(platform), progress, controller, metrics, agent)
		if err != nil {
			return 0, err
		}
		total += count
	}
	return total, nil
}

// compile compiles the programs into a folder and returns their paths.
func compile(ctx context.Context, progress *gobuild.Progress, dir string, platform ocispec.Platform, ldflags string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making a folder for the programs: %w", err)
	}
	// The agent, which is the first process of containers, has another entry.
	for _, target := range []struct{ ldflags, program string }{
		{ldflags, controller},
		{ldflags, metrics},
		{ldflags + " -E=" + shutdown.EntrySymbol, agent},
	} {
		_, err := gobuild.Run(ctx, "", environment(platform), progress,
			"build", "-v", "-ldflags=-s -w "+target.ldflags, "-o", dir+string(filepath.Separator), target.program)
		if err != nil {
			return nil, fmt.Errorf("building for %s/%s: %w", platform.OS, platform.Architecture, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for the programs: %w", err)
	}
	var programs []string
	for _, entry := range entries {
		programs = append(programs, filepath.Join(dir, entry.Name()))
	}
	return programs, nil
}

// image has the programs in its root, where manifests and the controller expect them.
func image(version string, platform ocispec.Platform, programs []string) ociimage.Image {
	files := []ociimage.File{
		ociimage.Text("/etc/passwd", passwd),
		ociimage.Text("/etc/group", group),
		ociimage.Dir("/tmp", 0o777|os.ModeSticky),
	}
	for _, program := range programs {
		files = append(files, ociimage.Program("/"+filepath.Base(program), program))
	}
	return ociimage.Image{
		Platform: platform,
		Compress: true,
		Files:    files,
		Config: ocispec.ImageConfig{
			User:       user + ":" + user,
			Entrypoint: []string{"/minicluster-controller"},
			WorkingDir: "/",
			Labels: map[string]string{
				ocispec.AnnotationTitle:       name,
				ocispec.AnnotationDescription: "Elastic Flux clusters in Kubernetes: controller, agent and metrics API server",
				ocispec.AnnotationVersion:     version,
				ocispec.AnnotationLicenses:    "Apache-2.0",
			},
		},
	}
}
