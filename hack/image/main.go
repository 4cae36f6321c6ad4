// Command image builds the container image of the project: the programs of cmd/ that run in a cluster, static, in an
// image with nothing else in it. It needs Go alone, pulls nothing, and makes the same image from the same sources. From
// the root of the repository:
//
//	go run ./hack/image --version v1.2.3
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"minicluster.internal/operator/hack/ociimage"
	"minicluster.internal/operator/test/framework/gobuild"
)

const name = "minicluster"

type options struct {
	output    string
	version   string
	ldflags   string
	platforms []ocispec.Platform
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "minicluster-image-")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)

	images, err := build(ctx, log, dir, o)
	if err != nil {
		return err
	}
	names := []string{name + ":latest", name + ":" + tag(o.version)}
	return write(out, o.output, names, images)
}

// build builds the images of all platforms at the same time, and shows the progress.
func build(ctx context.Context, log io.Writer, dir string, o options) ([]ociimage.Image, error) {
	progress := gobuild.NewProgress(log)
	defer progress.Finish()
	total, err := stale(ctx, progress, o.platforms)
	if err != nil {
		return nil, err
	}
	progress.Compiling("the image", total)
	images := make([]ociimage.Image, len(o.platforms))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, platform := range o.platforms {
		group.Go(func() error {
			programs, err := compile(groupCtx, progress, filepath.Join(dir, platform.Architecture), platform, o.ldflags)
			if err != nil {
				return err
			}
			images[i] = image(o.version, platform, programs)
			return nil
		})
	}
	return images, group.Wait()
}

func parse(args []string) (options, error) {
	var o options
	var platforms string
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.StringVar(&o.output, "output", filepath.Join("dist", name+"-image.tar"), "archive to write")
	flags.StringVar(&o.version, "version", "v0.0.0-unknown", "version of the programs")
	flags.StringVar(&o.ldflags, "ldflags", "", "further flags of the linker, for the version")
	flags.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64", "platforms to build for; \"native\" is that of this machine")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected arguments %q", flags.Args())
	}
	for platform := range strings.SplitSeq(platforms, ",") {
		if platform == "native" {
			platform = "linux/" + runtime.GOARCH
		}
		system, architecture, found := strings.Cut(platform, "/")
		if !found || system != "linux" || architecture == "" {
			return options{}, fmt.Errorf("%q is not a platform that containers run on, such as linux/amd64", platform)
		}
		o.platforms = append(o.platforms, ocispec.Platform{OS: system, Architecture: architecture})
	}
	return o, nil
}

// tag makes a version fit for an image's tag.
func tag(version string) string {
	tag := regexp.MustCompile(`[^A-Za-z0-9_.-]`).ReplaceAllString(version, "-")
	return tag[:min(len(tag), 128)]
}

// write leaves no half-written archive behind.
func write(out io.Writer, output string, names []string, images []ociimage.Image) error {
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return fmt.Errorf("making the archive's folder: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(output), "."+filepath.Base(output)+"-")
	if err != nil {
		return fmt.Errorf("making the archive: %w", err)
	}
	// Once it is in place, neither finds anything to do.
	defer os.RemoveAll(file.Name())
	defer file.Close()
	digest, err := ociimage.Write(file, names, images...)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Chmod(0o644), file.Close(), os.Rename(file.Name(), output)); err != nil {
		return fmt.Errorf("putting the archive in place: %w", err)
	}
	for _, name := range names {
		fmt.Fprintln(out, name)
	}
	fmt.Fprintln(out, digest)
	fmt.Fprintln(out, output)
	return nil
}
