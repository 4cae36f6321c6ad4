package agent

import (
	"context"
	"errors"
	"strconv"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/appmetric"
	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/serve"
	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// listen listens for probes before anything else is done: a connection that is refused would delay the readiness by
// the period of the probe. Requests wait until serve.
func (a *agent) listen(ctx context.Context) {
	if a.Plan.HTTPPort == 0 {
		return
	}
	listener, err := serve.Listen(ctx, httpAddress(a.Plan))
	if err != nil {
		return // serve tries again, and logs it
	}
	a.listener = listener
}

func httpAddress(p *plan.Plan) string { return ":" + strconv.Itoa(int(p.HTTPPort)) }

// serve starts the server for health, metrics and the controller. Without it the pod works, but never becomes ready.
func (r *runner) serve(ctx context.Context) {
	if r.Plan.HTTPPort == 0 {
		return
	}
	o := r.serveOptions(ctx)
	go func() {
		if err := serve.Run(ctx, o); err != nil {
			klog.FromContext(ctx).Error(err, "Failed to serve health; the pod will not become ready")
		}
	}()
}

func (r *runner) serveOptions(ctx context.Context) serve.Options {
	o := serve.Options{
		Addr: httpAddress(r.Plan), Listener: r.listener, Socket: r.Path(r.instance.Files.Socket), User: -1,
		Lead: r.instance.Lead, Ended: r.broker.LastEnd, Ranks: r.Plan.Ranks,
	}
	if r.instance.Credential != nil {
		o.User = int(r.instance.Credential.Uid)
	}
	if !o.Lead {
		return o
	}
	o.LowerQuorum, o.Hibernation = r.broker.LowerQuorum, r.broker.Hibernation()
	uid, gid := -1, -1
	if c := r.instance.Credential; c != nil {
		uid, gid = int(c.Uid), int(c.Gid)
	}
	if err := appmetric.Prepare(r.File(pod.DirMetrics), uid, gid); err != nil {
		klog.FromContext(ctx).Error(err, "Failed to prepare metrics of the application, which cannot set any")
	} else {
		o.ApplicationMetrics = r.File(pod.DirMetrics)
	}
	credentials, err := control.ReadServerCredentials(r.Path(plan.CertificateDir))
	switch {
	case err == nil:
		o.Credentials, o.ControlAddr = credentials, ":"+strconv.Itoa(int(control.Port(r.Plan.HTTPPort)))
	case !errors.Is(err, control.ErrNoCredentials): // an older Secret has none
		klog.FromContext(ctx).Error(err, "Failed to read the certificates; the controller cannot drain ranks before they are removed")
	}
	return o
}
