package app

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPrometheusOptions(t *testing.T) {
	for _, tc := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--prometheus-url=http://prometheus.monitoring:9090"}, ""},
		{[]string{"--prometheus-url=https://prometheus/base", "--prometheus-bearer-token-file=t", "--prometheus-ca-file=c"}, ""},
		{[]string{"--prometheus-url=prometheus:9090"}, `--prometheus-url: "prometheus:9090": must be http://HOST:PORT`},
		{[]string{"--prometheus-url=http://"}, "--prometheus-url"},
		{[]string{"--prometheus-url=ftp://x"}, "--prometheus-url"},
		{[]string{"--prometheus-url=http://user:secret@x"}, "--prometheus-url: must contain neither a user nor a query"},
		{[]string{"--prometheus-url=http://x/?a=b"}, "--prometheus-url"},
		{[]string{"--prometheus-url=http://x", "--prometheus-bearer-token-file=t"}, "--prometheus-bearer-token-file: requires https"},
		{[]string{"--prometheus-ca-file=c"}, "--prometheus-url: must be set"},
		{[]string{"--prometheus-timeout=1m30s"}, ""},
		{[]string{"--prometheus-timeout=1.5s"}, "--prometheus-timeout: 1.5s: Prometheus accepts whole seconds"},
		{[]string{"--prometheus-url=https://p", "--prometheus-username-file=u", "--prometheus-password-file=p", "--prometheus-headers-file=h"}, ""},
		{[]string{"--prometheus-url=https://p", "--prometheus-cert-file=c", "--prometheus-key-file=k"}, ""},
		{[]string{"--prometheus-url=https://p", "--prometheus-cert-file=c"}, "--prometheus-cert-file: requires --prometheus-key-file"},
		{[]string{"--prometheus-url=https://p", "--prometheus-password-file=p"}, "--prometheus-username-file: requires --prometheus-password-file"},
		{[]string{"--prometheus-url=http://p", "--prometheus-username-file=u", "--prometheus-password-file=p"}, "--prometheus-username-file: requires https"},
		{[]string{"--prometheus-url=http://p", "--prometheus-cert-file=u", "--prometheus-key-file=p"}, "--prometheus-cert-file: requires https"},
		{[]string{"--prometheus-url=https://p", "--prometheus-username-file=u", "--prometheus-password-file=p", "--prometheus-bearer-token-file=t"}, "must not be set together"},
		{[]string{"--prometheus-headers-file=h"}, "--prometheus-url: must be set if"},
		{[]string{"--prometheus-timeout=0s"}, "--prometheus-timeout: 0s"},
		{[]string{"--prometheus-queries="}, "--prometheus-queries: must not be empty"},
	} {
		o := NewOptions()
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		o.AddFlags(fs)
		require.NoError(t, fs.Parse(tc.flags))
		err := o.Validate()
		if tc.want == "" {
			assert.NoError(t, err, tc.flags)
		} else {
			require.ErrorContains(t, err, tc.want, tc.flags)
			assert.NotContains(t, err.Error(), "secret")
		}
	}
}
