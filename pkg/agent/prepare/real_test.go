package prepare_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"minicluster.internal/operator/pkg/agent/prepare"
	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// These tests prepare and start brokers of the installed Flux in separate mount, network and host name spaces: /etc,
// /run, /var/lib and /home are copies that a test can modify.
const realChild = "MINICLUSTER_TEST_REAL_FLUX"

func TestRealFlux(t *testing.T) {
	if text := os.Getenv(realChild); text != "" {
		var test realCase
		require.NoError(t, json.Unmarshal([]byte(text), &test))
		realStage(t, test)
		return
	}
	if _, err := exec.LookPath("flux"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and an installed Flux")
	}
	cpus, err := exec.CommandContext(t.Context(), "sh", "-c", "grep Cpus_allowed_list /proc/self/status | cut -f2").Output()
	require.NoError(t, err)
	program := prepare.ProgramForAll(t)
	for _, test := range realCases() {
		t.Run(test.Name, func(t *testing.T) {
			if _, err := exec.LookPath(test.Needs); test.Needs != "" && err != nil {
				t.Skip("needs " + test.Needs)
			}
			mount := "/run/mnt/flux"
			viewPaths := strings.NewReplacer("MOUNT", mount, "ALLCPUS", strings.TrimSpace(string(cpus)))
			test.Script, test.Want = viewPaths.Replace(test.Script), viewPaths.Replace(test.Want)
			curve, err := fluxconfig.NewCertificate(rand.Reader, "flux-sample", time.Now())
			require.NoError(t, err)
			test.Stage, test.Curve = stageNet, string(curve.Text())
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := realCommand(ctx, t, program, test)
			cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "--- PASS: TestRealFlux", "%s", out)
		})
	}
}

// realCommand returns a command that runs this test binary in another role.
func realCommand(ctx context.Context, t *testing.T, program string, test realCase) *exec.Cmd {
	text, err := json.Marshal(test)
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, program, "-test.run=^TestRealFlux$", "-test.v", "-test.count=1")
	cmd.Env = append(environ(), realChild+"="+string(text), "HOME=/")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	return cmd
}

// environ returns the environment of the container. It has no GOFLAGS, whose words sudo would take for options.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, realChild) || strings.HasPrefix(entry, "GOFLAGS=")
	})
}

// realStage runs the stage of a child process.
func realStage(t *testing.T, test realCase) {
	switch test.Stage {
	case stageNet:
		require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		require.NoError(t, unix.Mount("proc", "/proc", "proc", 0, ""))
		require.NoError(t, exec.CommandContext(t.Context(), "ip", "link", "set", "lo", "up").Run())
		test.Stage = stageWorld
		for test.Index = test.Followers; test.Index >= 0; test.Index-- {
			cmd := realCommand(t.Context(), t, os.Args[0], test)
			cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNS | unix.CLONE_NEWUTS
			if test.Index > 0 {
				cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
				require.NoError(t, cmd.Start()) // ends with the lead, or this process
				continue
			}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
	case stageWorld:
		realWorld(t, test)
		test.Stage = stageBroker
		cmd := realCommand(t.Context(), t, os.Args[0], test)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(test.UID), Gid: uint32(test.UID)}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	case stageBroker:
		realBroker(t, test)
	case stageClient:
		command, err := prepare.FluxCommand(t.Context(), realPlan(t, test), prepare.Options{Environ: environ()}, test.Client)
		require.NoError(t, err)
		require.NoError(t, command.Exec())
	}
}

// realBroker prepares and runs a broker. For the lead, the output of its program is checked.
func realBroker(t *testing.T, test realCase) {
	start := time.Now()
	i, err := prepare.Prepare(t.Context(), realPlan(t, test), prepare.Options{
		Index: test.Index, Hostname: "flux-sample-" + strconv.Itoa(test.Index), Environ: environ(),
	})
	require.NoError(t, err)
	t.Logf("Flux %s, prepared in %v", i.Version, time.Since(start))
	run := prepare.BrokerRun{CleanupTimeout: 5 * time.Second, ShutdownTimeout: 5 * time.Second}
	if i.Lead {
		run.Quorum, run.Program = int32(1+test.Followers), []string{"sh", "-c", test.Script}
	}
	argv, err := i.BrokerArgs(run)
	require.NoError(t, err)
	t.Log(argv)
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = i.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: i.Credential}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Start())
	if test.Client != nil {
		realClient(t, test, i)
	}
	err = cmd.Wait()
	if i.Lead {
		require.NoError(t, err, "%s\n%s", &out, &errs)
		assert.Equal(t, test.Want, out.String(), "%s", &errs)
	}
}

// realClient runs the client once the socket exists, and passes its output to the program.
func realClient(t *testing.T, test realCase, i *prepare.Instance) {
	require.Eventually(t, func() bool {
		_, err := os.Stat(i.Files.Socket)
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)
	test.Stage = stageClient
	out, err := realCommand(t.Context(), t, os.Args[0], test).Output()
	require.NoError(t, err)
	_, answer, _ := strings.Cut(string(out), "=== RUN   TestRealFlux\n")
	require.NoError(t, os.WriteFile(i.Home+"/out", []byte(answer), 0o644))
}

// realWorld creates the file system of a pod.
func realWorld(t *testing.T, test realCase) {
	require.NoError(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"))
	require.NoError(t, unix.Sethostname([]byte("flux-sample-"+strconv.Itoa(test.Index))))
	for _, dir := range []string{"/etc", "/home", "/var/lib", "/root"} {
		upper, work := "/run/over"+dir+"/u", "/run/over"+dir+"/w"
		require.NoError(t, os.MkdirAll(upper, 0o755))
		require.NoError(t, os.MkdirAll(work, 0o755))
		require.NoError(t, unix.Mount("o", dir, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work)))
	}
	// As the init containers leave them: owned by another user, writable by all.
	dirs := []string{"/run/mnt/flux", "/home/flux-operator", plan.CurveDir}
	if test.System {
		for _, m := range plan.SystemMounts() {
			dirs = append(dirs, m.Path)
		}
	}
	for _, dir := range dirs {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.Chmod(dir, 0o777))
		require.NoError(t, os.Chown(dir, 65532, 65532))
	}
	mc := realCluster(test)
	config, err := fluxconfig.BrokerTOML(mc, fluxconfig.Params{})
	require.NoError(t, err)
	files := map[string]string{
		filepath.Join(plan.ConfigDir, plan.FileBrokerTOML):       config,
		filepath.Join(plan.CertificateDir, plan.FileCertificate): test.Curve,
		"/etc/hosts": "127.0.0.1 localhost flux-sample-0.flux-service.flux-operator.svc.cluster.local\n",
	}
	if test.Munge {
		files[filepath.Join(plan.MungeDir, "munge.key")] = rand.Text() + rand.Text()
	}
	for file, content := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o444))
	}
}

func realCluster(test realCase) *v1alpha2.MiniCluster {
	mc := &v1alpha2.MiniCluster{}
	mc.Name, mc.Namespace = "flux-sample", "flux-operator"
	mc.Spec.Size, mc.Spec.MaxSize = new(int32(1)), 4
	mc.Spec.Containers = []v1alpha2.MiniClusterContainer{{Image: "app", Command: "true", Cores: test.Cores}}
	mc.Spec.Flux = &v1alpha2.FluxSpec{BrokerConfig: test.Config, DisableSocket: test.DisableSocket, Wrap: test.Wrap}
	if test.System {
		mc.Spec.Flux.InstallRoot = "/usr"
	} else {
		mc.Spec.Flux.Container = &v1alpha2.FluxContainer{MountPath: "/run/mnt/flux", Disable: true}
	}
	if test.Root {
		mc.Spec.Containers[0].Commands = &v1alpha2.Commands{RunFluxAsRoot: true}
	}
	v1alpha2.SetDefaults(mc)
	return mc
}

func realPlan(t *testing.T, test realCase) *plan.Plan {
	p, err := fluxconfig.AgentPlan(realCluster(test), fluxconfig.Params{}, 1, 30)
	require.NoError(t, err)
	p.Broker.LogLevel = 4
	return p
}
