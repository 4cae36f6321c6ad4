package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nodeinit would change the mounts and the network of this machine.
func TestRunRefusesNamespacesThatAreNotNew(t *testing.T) {
	err := run([]string{"--address=10.240.0.1/24", "--service-cidr=10.96.0.0/16"})
	assert.ErrorContains(t, err, "not a new process ID namespace")
	assert.Error(t, run([]string{"--nosuch"}))
}

func TestPrepareNetworkReadsItsFlagsFirst(t *testing.T) {
	assert.ErrorContains(t, prepareNetwork("10.240.0.1", "10.96.0.0/16"), "--address")
	assert.ErrorContains(t, prepareNetwork("10.240.0.1/24", "10.96.0.0"), "--service-cidr")
}

func TestKernelSettingsExist(t *testing.T) {
	for name := range kernelSettings() {
		content, err := os.ReadFile("/proc/sys/" + name)
		require.NoError(t, err)
		assert.NotEmpty(t, strings.TrimSpace(string(content)))
	}
}

func TestHoldReapsAndEnds(t *testing.T) {
	child := exec.Command("/bin/true")
	require.NoError(t, child.Start())
	ended := make(chan struct{})
	go func() {
		hold(syscall.SIGUSR1)
		close(ended)
	}()
	// Until a process is reaped, its status can be queried.
	require.Eventually(t, func() bool { return syscall.Kill(child.Process.Pid, 0) != nil }, time.Minute, time.Millisecond)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	<-ended
}
