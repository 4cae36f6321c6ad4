package app

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want []string // parts of the error
	}{
		{name: "defaults"},
		{name: "no throttle", args: []string{"--kube-api-qps=0", "--kube-api-burst=0"}},
		{name: "no servers", args: []string{"--health-bind-address=", "--metrics-bind-address="}},
		{name: "workers", args: []string{"--workers=0"}, want: []string{"--workers"}},
		{name: "burst", args: []string{"--kube-api-qps=5", "--kube-api-burst=0"}, want: []string{"--kube-api-burst"}},
		{name: "domain", args: []string{"--cluster-domain="}, want: []string{"--cluster-domain", "cluster.local"}},
		{name: "address", args: []string{"--metrics-bind-address=8080"}, want: []string{"--metrics-bind-address", ":PORT"}},
		{name: "lease", args: []string{"--leader-elect-lease-duration=5s"}, want: []string{"--leader-elect-lease-duration", "--leader-elect-renew-deadline"}},
		{name: "lock", args: []string{"--leader-elect-resource-lock=configmaps"}, want: []string{"--leader-elect-resource-lock", "leases"}},
		{name: "agent", args: []string{"--agent-image=a:1", "--agent-image-pull-policy=Never", "--agent-image-pull-secrets=a,b", "--image-volumes"}},
		{name: "no agent", args: []string{"--agent-image= "}, want: []string{"--agent-image"}},
		{name: "own image", args: []string{"--agent-image="}},
		{name: "pull policy", args: []string{"--agent-image-pull-policy=sometimes"}, want: []string{"--agent-image-pull-policy", "IfNotPresent"}},
		{name: "pull secrets", args: []string{"--agent-image-pull-secrets=a,A"}, want: []string{"--agent-image-pull-secrets", `"A"`}},
		{name: "namespaces", args: []string{"--namespaces=a,b", "--namespaces=c"}},
		{name: "no namespace", args: []string{"--namespaces="}, want: []string{"--namespaces", "omit the flag"}},
		{name: "an empty namespace", args: []string{"--namespaces=a,,b"}, want: []string{`--namespaces: ""`}},
		{name: "invalid namespaces", args: []string{"--namespaces=Team_A,*"}, want: []string{`--namespaces: "Team_A": must be the name of a namespace`, `"*"`}},
		{name: "a namespace twice", args: []string{"--namespaces=a,b,a"}, want: []string{`--namespaces: "a": duplicate`}},
		{name: "all at once", args: []string{"--workers=-1", "--cluster-domain="}, want: []string{"--workers", "--cluster-domain"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := NewOptions()
			fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
			o.AddFlags(fs)
			require.NoError(t, fs.Parse(tc.args))
			err := o.Validate()
			if tc.want == nil {
				require.NoError(t, err)
				return
			}
			for _, part := range tc.want {
				require.ErrorContains(t, err, part)
			}
		})
	}
}

func TestDefaultsLeadSafely(t *testing.T) {
	l := NewOptions().LeaderElection
	assert.True(t, l.LeaderElect)
	// The renew deadline of a leader must be over before another process becomes the leader.
	assert.Greater(t, l.LeaseDuration.Duration-l.RenewDeadline.Duration, l.RetryPeriod.Duration)
	assert.GreaterOrEqual(t, l.LeaseDuration.Duration, 15*time.Second)
}
