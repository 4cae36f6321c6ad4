package hardening_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/faults"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

// Lease durations of these tests: short, so that a standby takes over soon, and long enough for a busy machine to
// renew one in time, and to end a process between the deadline and the end of the lease.
const (
	leaseDuration = 20 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 300 * time.Millisecond
)

// The only lease that the rights of the controller permit.
const (
	leaseNamespace = user.SystemNamespace
	lease          = "minicluster-controller"
)

// mostVerbose makes a process log everything.
const mostVerbose = "-v=10"

// process is a real process of the controller.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error

	mu   sync.Mutex
	log  bytes.Buffer
	news chan struct{}
}

// startProcess starts this test binary as the controller, which watches all namespaces.
func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	kubeconfig, err := processes.Cluster(t).KubeconfigFor(user.Controller, user.SystemGroups...)
	require.NoError(t, err)
	binary, err := os.Executable()
	require.NoError(t, err)
	args = append([]string{
		"--kubeconfig=" + kubeconfig, "--health-bind-address=127.0.0.1:0", "--metrics-bind-address=", "--agent-unreachable-timeout=0s",
		"--leader-elect-resource-namespace=" + leaseNamespace, "--leader-elect-resource-name=" + lease,
		"--leader-elect-lease-duration=" + leaseDuration.String(),
		"--leader-elect-renew-deadline=" + renewDeadline.String(), "--leader-elect-retry-period=" + retryPeriod.String(),
	}, args...)
	// Not the context of the test, which would kill it before functions of Cleanup.
	p := &process{cmd: exec.CommandContext(context.Background(), binary, args...), done: make(chan struct{}), news: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asController+"=1", "GORACE=exitcode="+strconv.Itoa(raceExit(args))+" halt_on_error=0")
	p.cmd.Stdout, p.cmd.Stderr = p, p
	require.NoError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // most have ended by now
		<-p.done
	})
	return p
}

// raceExit is the exit code of a process in which the race detector reported a race. It is ignored at the highest
// verbosity, where the transport that client-go uses to trace connections has a race with itself.
func raceExit(args []string) int {
	if slices.Contains(args, mostVerbose) {
		return 0
	}
	return 66
}

// Write stores the log of the process.
func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() {
		close(p.news)
		p.news = make(chan struct{})
	}()
	return p.log.Write(text)
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// says waits for a text in the log of the process.
func (p *process) says(t *testing.T, what string) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		p.mu.Lock()
		found, news := strings.Contains(p.log.String(), what), p.news
		p.mu.Unlock()
		if found {
			return
		}
		select {
		case <-news:
		case <-p.done:
			require.Failf(t, "the process ended", "before it said %q: %v\n%s", what, p.err, p.logged())
		case <-timeout.C:
			require.Failf(t, "timed out", "waiting for %q in\n%s", what, p.logged())
		}
	}
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		require.ErrorIs(t, err, os.ErrProcessDone)
	}
}

// ended waits for the end and returns the exit code, -1 after a signal.
func (p *process) ended(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		require.Fail(t, "the process does not end", p.logged())
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	require.NoError(t, p.err)
	return 0
}

func (p *process) terminate(t *testing.T) int {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	return p.ended(t)
}

// inProcess is the whole process of a controller within this process, so that faults can be injected into its
// requests. It watches all namespaces.
type inProcess struct {
	*faults.Injector
	cancel context.CancelFunc
	// done is closed at the end, when err and end are set.
	done chan struct{}
	err  error
	end  time.Time
}

// runInProcess starts one with short leases, on the cluster of processes.
func runInProcess(t *testing.T) *inProcess {
	t.Helper()
	return runInProcessOn(t, processes.Cluster(t), func(o *app.Options) {
		o.LeaderElection.LeaseDuration = metav1.Duration{Duration: leaseDuration}
		o.LeaderElection.RenewDeadline = metav1.Duration{Duration: renewDeadline}
		o.LeaderElection.RetryPeriod = metav1.Duration{Duration: retryPeriod}
	})
}

func runInProcessOn(t *testing.T, kube *cluster.Cluster, change func(*app.Options)) *inProcess {
	t.Helper()
	config, err := kube.ConfigFor(user.Controller, user.SystemGroups...)
	require.NoError(t, err)
	p := &inProcess{Injector: faults.New(), done: make(chan struct{})}
	config.Wrap(p.Wrap)
	o := programs.ControllerOptions(change)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() {
		defer close(p.done)
		p.err = app.RunWith(ctx, o, config)
		p.end = time.Now()
	}()
	t.Cleanup(func() {
		p.Kill()
		cancel()
		<-p.done
	})
	return p
}

func (p *inProcess) ended(t *testing.T) error {
	t.Helper()
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		require.Fail(t, "the controller does not end")
		return nil
	}
}

var _ io.Writer = (*process)(nil)
