package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agent/reaper"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// leadAttempts is how many brokers in a row may end soon, without having started
// the initial program, until the pod is given up.
const leadAttempts = 5

// lead runs the lead broker until its program has ended, or the pod is told to
// stop. A broker that ends before is started again, with the state that it has.
func (r *runner) lead(ctx context.Context) (int, error) {
	lock, err := r.lockState(ctx)
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	var wait backoff
	for !r.stop.Told() {
		begin := time.Now()
		run, err := r.leadRun()
		if err != nil {
			return 0, exit(plan.ExitBroker, err)
		}
		if err := r.clear(markerProgram); err != nil {
			return 0, exit(plan.ExitBroker, err)
		}
		p, err := r.startBroker(run)
		if err != nil {
			return 0, exit(plan.ExitBroker, err)
		}
		before := r.awaitLead(ctx, p)
		if code, over := r.leadCode(ctx, p.Status(), before); over {
			return code, nil
		}
		r.endLeftBehind(ctx)
		d := wait.next(time.Since(begin))
		r.brokerEnded(p.Status(), wait.fast)
		if wait.fast >= leadAttempts {
			return 0, exit(plan.ExitBroker, fmt.Errorf("the broker ended %d times in a row, the last time with %s", wait.fast, p.Status()))
		}
		klog.FromContext(ctx).Info("The lead broker has ended before its program; it is started again", "status", p.Status().String(), "after", d)
		r.stop.Sleep(d)
	}
	return plan.ExitStopped, nil
}

// leadRun is one start of the lead broker.
func (r *runner) leadRun() (prepare.BrokerRun, error) {
	run := prepare.BrokerRun{CleanupTimeout: r.stop.grace / 5, ShutdownTimeout: r.stop.grace / 5}
	var err error
	if run.Quorum, err = r.quorum(); err != nil {
		return run, err
	}
	if run.Restore, err = r.archiveToRestore(r.stateDir()); err != nil {
		return run, err
	}
	if r.plan.Lead.Mode == plan.ModeNone && r.plan.Archive.Path == "" {
		run.Interactive = true
		return run, nil
	}
	run.Program, err = r.initialWords(run.Restore != "")
	return run, err
}

// initialWords are the command line of the initial program.
func (r *runner) initialWords(restored bool) ([]string, error) {
	certificate, err := os.ReadFile(r.path(plan.CertificateDir, plan.FileCertificate))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	words := r.self("initial", "--state", r.stateDir(), "--cluster", clusterID(certificate))
	content, err := instanceFiles(r.stateDir())
	switch {
	case err != nil:
		return nil, err
	case restored:
		words = append(words, "--restored")
	case len(content) == 0:
		words = append(words, "--fresh")
	}
	return words, nil
}

// clusterID identifies the MiniCluster: all its pods have the same certificate, and
// none of another one's has. It tells nothing about the key.
func clusterID(certificate []byte) string {
	sum := sha256.Sum256(append([]byte("minicluster\n"), certificate...))
	return hex.EncodeToString(sum[:8])
}

// quorum is the number of brokers that the lead waits for. A shrink lowers it while
// the cluster lives, so it is read at each start.
func (r *runner) quorum() (int32, error) {
	text, err := os.ReadFile(r.path(plan.ConfigDir, plan.FileQuorum))
	if err != nil {
		return 0, fmt.Errorf("reading the quorum: %w", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 32)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("reading the quorum: %q: must be a number from 1 on", text)
	}
	return int32(n), nil
}

// awaitLead waits for the end of the lead broker, and stops it when the pod is told
// to stop, or when its program is over and it does not end by itself. It returns
// the program's outcome as far as it was known before the pod was told to stop.
func (r *runner) awaitLead(ctx context.Context, p *reaper.Process) *outcome {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var over time.Time
	for {
		select {
		case <-p.Done():
			return r.readOutcome()
		case <-r.stop.Done:
			before := r.readOutcome()
			r.stopBroker(ctx, p)
			return before
		case <-ticker.C:
		}
		if out := r.readOutcome(); out == nil || out.Saving {
			continue
		}
		if over.IsZero() {
			over = time.Now()
		}
		if time.Since(over) > r.stop.grace {
			klog.FromContext(ctx).Info("The program has ended, but the broker does not; it is stopped")
			p.Stop(ctx, brokerReserve(r.stop.grace))
			return r.readOutcome()
		}
	}
}

// leadCode is the exit code of the lead's pod after the end of its broker, if there
// is nothing left to do: the program's own. What fails after it, when Flux is
// stopped, does not change the result of the work.
func (r *runner) leadCode(ctx context.Context, broker reaper.Status, out *outcome) (code int, over bool) {
	switch {
	case out != nil && (!out.Stopped || !r.stop.Told()):
		if broker.Code() != out.Code {
			klog.FromContext(ctx).Info("The broker ended otherwise than its program", "broker", broker.String(), "program", out.Code)
		}
		return out.Code, true
	case r.stop.Told():
		return plan.ExitStopped, true
	case r.plan.Lead.Mode == plan.ModeNone && broker.Code() == 0:
		return 0, true // flux shutdown
	default:
		return 0, false
	}
}
