package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// execution is a command to run in a container.
type execution struct {
	pod       *corev1.Pod
	container string
	command   []string
	stdin     io.Reader
	stdout    io.Writer
	stderr    io.Writer
	// tty allocates a terminal in the container.
	tty   bool
	sizes remotecommand.TerminalSizeQueue
}

// executor runs commands in containers, as kubectl exec does.
type executor interface {
	// Execute runs a command to its end. The error of a command that ends with another exit code than 0 implements
	// k8s.io/client-go/util/exec.CodeExitError.
	Execute(ctx context.Context, e execution) error
}

// podExecutor runs commands through the API server: by WebSocket, by SPDY with servers that lack that.
type podExecutor struct {
	config *rest.Config
	client rest.Interface
}

// Execute runs a command through the API server.
func (p *podExecutor) Execute(ctx context.Context, e execution) error {
	url := p.client.Post().Resource("pods").Namespace(e.pod.Namespace).Name(e.pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: e.container, Command: e.command, TTY: e.tty,
			Stdin: e.stdin != nil, Stdout: e.stdout != nil, Stderr: e.stderr != nil && !e.tty,
		}, scheme.ParameterCodec).URL()
	// The API server accepts WebSocket upgrades of GET requests only.
	websocket, err := remotecommand.NewWebSocketExecutor(p.config, "GET", url.String())
	if err != nil {
		return err
	}
	spdy, err := remotecommand.NewSPDYExecutor(p.config, "POST", url)
	if err != nil {
		return err
	}
	exec, err := remotecommand.NewFallbackExecutor(websocket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return err
	}
	options := remotecommand.StreamOptions{Stdin: e.stdin, Stdout: e.stdout, Tty: e.tty, TerminalSizeQueue: e.sizes}
	if !e.tty {
		options.Stderr = e.stderr
	}
	return exec.StreamWithContext(ctx, options)
}

// fluxCommand returns the command line that runs a flux command against the broker of a pod, as the broker's user.
func fluxCommand(args ...string) []string {
	return append([]string{plan.AgentPath, "flux", "--"}, args...)
}

// runFlux runs a flux command in the lead pod with the streams of the user.
func (s *session) runFlux(ctx context.Context, name string, args ...string) error {
	mc, lead, err := s.leadOf(ctx, name)
	if err != nil {
		return err
	}
	e := execution{pod: lead, container: mc.Name, command: fluxCommand(args...), stdout: s.Out, stderr: s.ErrOut}
	if !isTerminal(s.In) {
		e.stdin = s.In
	}
	return s.executor.Execute(ctx, e)
}

// fluxOutput returns what a flux command in a pod prints. The error of a command that fails has its error output.
func (s *session) fluxOutput(ctx context.Context, pod *corev1.Pod, container string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	err := s.executor.Execute(ctx, execution{pod: pod, container: container, command: fluxCommand(args...), stdout: &stdout, stderr: &stderr})
	if text := strings.TrimSpace(stderr.String()); err != nil && text != "" {
		return "", fmt.Errorf("flux %s: %s", strings.Join(args, " "), text)
	}
	return stdout.String(), err
}

// terminal runs a command in a pod with the user's terminal, in raw mode.
func (s *session) terminal(ctx context.Context, e execution) error {
	in, ok := s.In.(*os.File)
	if !ok || !isTerminal(s.In) {
		return errors.New("standard input is not a terminal")
	}
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("setting the terminal to raw mode: %w", err)
	}
	defer func() { _ = term.Restore(int(in.Fd()), state) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.tty, e.stdin, e.stdout, e.sizes = true, in, s.Out, terminalSizes(ctx, int(in.Fd()))
	return s.executor.Execute(ctx, e)
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
