package agent

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agent/serve"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// serve answers health and metrics, and the controller, from now on. Without it the
// pod works, but is never ready.
func (r *runner) serve(ctx context.Context) {
	if r.plan.HTTPPort == 0 {
		return
	}
	o := r.serveOptions(ctx)
	go func() {
		if err := serve.Run(ctx, o); err != nil {
			klog.FromContext(ctx).Error(err, "The pod will not become ready")
		}
	}()
}

func (r *runner) serveOptions(ctx context.Context) serve.Options {
	o := serve.Options{
		Addr: ":" + strconv.Itoa(int(r.plan.HTTPPort)), Socket: r.path(r.instance.Files.Socket), User: -1, Lead: r.instance.Lead, Ended: r.lastEnd,
	}
	if r.instance.Credential != nil {
		o.User = int(r.instance.Credential.Uid)
	}
	if !o.Lead {
		return o
	}
	credentials, err := control.ReadServerCredentials(r.path(plan.CertificateDir))
	switch {
	case err == nil:
		o.Credentials, o.ControlAddr = credentials, ":"+strconv.Itoa(int(control.Port(r.plan.HTTPPort)))
	case !errors.Is(err, control.ErrNoCredentials): // a Secret may be older than they are
		klog.FromContext(ctx).Error(err, "The controller cannot drain ranks before they go")
	}
	return o
}

// brokerEnded keeps how a broker ended for whoever asks why the pod is not ready.
func (r *runner) brokerEnded(status reaper.Status, attempts int) {
	text := fmt.Sprintf("the broker was started %d times in a row, and ended the last time with %s", attempts, status)
	r.ended.Store(&text)
}

func (r *runner) lastEnd() string {
	if text := r.ended.Load(); text != nil {
		return *text
	}
	return ""
}
