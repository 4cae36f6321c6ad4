package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"

	"minicluster.internal/operator/test/kube/pki"
)

func TestWriteKubeconfigs(t *testing.T) {
	o := options{dir: t.TempDir()}
	require.NoError(t, pki.Ensure(o.path(pkiDir)))
	require.NoError(t, writeKubeconfigs(o, "https://127.0.0.1:20001"))

	for _, file := range []string{kubeconfigFile, controllerManagerKubeconfigFile, schedulerKubeconfigFile} {
		config, err := clientcmd.BuildConfigFromFlags("", o.path(file))
		require.NoError(t, err)
		assert.Equal(t, "https://127.0.0.1:20001", config.Host)
		assert.NotEmpty(t, config.CAData)
		assert.NotEmpty(t, config.CertData)
		assert.NotEmpty(t, config.KeyData)

		info, err := os.Stat(o.path(file))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

func TestWriteKubeconfigsWithoutCertificates(t *testing.T) {
	assert.Error(t, writeKubeconfigs(options{dir: t.TempDir()}, "https://127.0.0.1:20001"))
}
