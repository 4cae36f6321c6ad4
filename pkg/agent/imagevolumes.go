package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// useMountedImages makes what the init containers make where images are not volumes. The agents of the containers of a
// pod call it concurrently, maybe as different users. Only the Flux container links the agent to its usual path.
func (a *agent) useMountedImages(ctx context.Context, linkAgent bool) error {
	if err := makeStickyDir(a.Path(plan.MarkerDir)); err != nil {
		return fmt.Errorf("creating a shared directory: %w", err)
	}
	if linkAgent {
		link := a.Path(plan.AgentPath)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return fmt.Errorf("creating a shared directory: %w", err)
		}
		if err := os.Symlink(plan.AgentImageDir+plan.AgentInImage, link); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("linking the agent: %w", err)
		}
	}
	view := a.Plan.View
	if view == nil || !view.Copied {
		return nil
	}
	if err := prepare.View(ctx, view, prepare.ViewOptions{Root: a.PrepareRoot(), Image: plan.ViewImageDir}); err != nil {
		return fmt.Errorf("linking the view of Flux: %w", err)
	}
	return nil
}

// makeStickyDir makes a directory in which every user may create files, and only their owner may remove them. The
// directory has its mode from the start, because an agent of another user could not wait for a later change.
func makeStickyDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	umask := syscall.Umask(0)
	defer syscall.Umask(umask)
	if err := os.Mkdir(dir, 0o777|os.ModeSticky); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
