package app

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOptions(t *testing.T) {
	require.NoError(t, NewOptions().Validate())
	for _, tc := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--apis=custom"}, ""},
		{[]string{"--apis=custom,node"}, `--apis: "node"`},
		{[]string{"--apis="}, "--apis: must not be empty"},
		{[]string{"--bind-address=here"}, "--bind-address"},
		{[]string{"--secure-port=0"}, "--secure-port"},
		{[]string{"--service-port=70000"}, "--service-port"},
		{[]string{"--metrics-bind-address=8080"}, "--metrics-bind-address"},
		{[]string{"--metrics-bind-address="}, ""},
		{[]string{"--tls-cert-file=a"}, "--tls-cert-file"},
		{[]string{"--tls-cert-file=a", "--tls-private-key-file=b", "--tls-ca-file=c"}, ""},
		{[]string{"--collect-interval=20s"}, "--metric-max-age"},
		{[]string{"--collect-timeout=0s"}, "--collect-timeout"},
		{[]string{"--collect-concurrency=0"}, "--collect-concurrency"},
		{[]string{"--kube-api-qps=5", "--kube-api-burst=0"}, "--kube-api-burst"},
	} {
		o := NewOptions()
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		o.AddFlags(fs)
		require.NoError(t, fs.Parse(tc.flags))
		err := o.Validate()
		if tc.want == "" {
			assert.NoError(t, err, tc.flags)
		} else {
			assert.ErrorContains(t, err, tc.want, tc.flags)
		}
	}
	assert.Equal(t, 5*time.Second, NewOptions().CollectInterval)
}
