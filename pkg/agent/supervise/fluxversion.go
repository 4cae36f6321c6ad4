package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/archive"
	"minicluster.internal/operator/pkg/agent/atomicfile"
	"minicluster.internal/operator/pkg/agent/prepare"
)

// fileFlux has the latest version of Flux that has written to a state directory on a volume.
const fileFlux = "minicluster.flux-version"

// guardContent returns an error if a later version of Flux has written the content of the volume: an earlier one may
// not find the jobs in it, and would start without them. Otherwise it records the version. An archive has one format
// for all versions.
func (v *Supervisor) guardContent(ctx context.Context) error {
	if v.Plan.StateVolume == "" {
		return nil
	}
	content, err := archive.HasContent(v.stateDir())
	if err != nil {
		return err
	}
	file := filepath.Join(v.stateDir(), fileFlux)
	written := ""
	if content {
		if written, err = v.writtenBy(file); err != nil {
			return err
		}
	}
	if written != "" {
		// What can't be parsed is of no version that this agent knows.
		version, err := prepare.ParseVersion(written)
		if err == nil && v.instance.Version.Before(version) {
			return fmt.Errorf("the state on the volume was written by Flux %s, and Flux %s of this image would not find its jobs; nothing was changed: "+
				"use an image with Flux %s or later", written, v.instance.Version, written)
		}
	}
	if written == v.instance.Version.Text {
		return nil
	}
	if err := atomicfile.Write(file, []byte(v.instance.Version.Text+"\n"), 0o644, v.brokerOwner()); err != nil {
		klog.FromContext(ctx).Error(err, "Failed to record the version of Flux on the volume of the state; it may be full")
	}
	return nil
}

// writtenBy returns the version of Flux that has written the content; "" if it is not known, because a release without
// this record has.
func (v *Supervisor) writtenBy(file string) (string, error) {
	text, err := os.ReadFile(file)
	switch {
	case err == nil:
		return strings.TrimSpace(string(text)), nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("reading which Flux has written the state: %w", err)
	}
	if r := v.hibernation.Record(); r != nil {
		return r.Flux, nil
	}
	return "", nil
}
