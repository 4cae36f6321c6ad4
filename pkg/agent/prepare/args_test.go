package prepare

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

func instance(p *plan.Plan, minor int) *Instance {
	return &Instance{plan: p, Flux: "/usr/bin/flux", Files: p.Files, hostname: "flux-sample-0", Lead: true, Version: Version{Minor: minor}}
}

func TestBrokerArgs(t *testing.T) {
	const common = "-Scron.directory=/etc/flux/system/cron.d -Slocal-uri=local:///run/flux/local -Slog-stderr-level=6 -Slog-stderr-mode=local -Srundir=/run/flux -Sstatedir=/var/lib/flux"
	errorsOnly := strings.Replace(common, "-Slog-stderr-level=6", "-Slog-stderr-level=3", 1)
	lead := BrokerRun{Quorum: 2, CleanupTimeout: 7500 * time.Millisecond, ShutdownTimeout: 5 * time.Second}
	for name, test := range map[string]struct {
		plan  *plan.Plan
		minor int
		run   BrokerRun
		want  string
	}{
		"a follower": {systemPlan(), 88, BrokerRun{}, "broker --config-path /etc/flux/config " + common},
		"a lead": {systemPlan(), 88, lead, "broker --config-path /etc/flux/config " +
			"-Sbroker.cleanup-timeout=7.500s -Sbroker.quorum=2 -Sbroker.shutdown-timeout=5s " + common},
		"a lead of 0.68": {systemPlan(), 68, lead, "broker --config-path /etc/flux/config " +
			"-Sbroker.cleanup-timeout=7.500s -Sbroker.quorum=2 " + common},
		"a lead of 0.50": {systemPlan(), 50, lead, "broker --config-path /etc/flux/config -Sbroker.quorum=0-1 " + common},
		"a quorum of 1":  {systemPlan(), 50, BrokerRun{Quorum: 1}, "broker --config-path /etc/flux/config -Sbroker.quorum=0 " + common},
		"interactive": {systemPlan(), 88, BrokerRun{Interactive: true}, "broker --config-path /etc/flux/config -Sbroker.rc2_none=1 " +
			common},
		"a program": {systemPlan(), 88, BrokerRun{Program: []string{"-c", "a b", "$x"}}, "broker --config-path /etc/flux/config " +
			common + " -- -c a b $x"},
		"an archive, and a state elsewhere": {systemPlan(), 88, BrokerRun{Restore: "/a.tar", StateDir: "/vol"}, "broker --config-path /etc/flux/config -Scontent.restore=/a.tar " +
			strings.Replace(common, "/var/lib/flux", "/vol", 1)},
		"wrapped": {systemPlan(func(p *plan.Plan) { p.Broker.Wrap = "strace,-f" }), 88, BrokerRun{}, "start --wrap=strace,-f -o--config-path /etc/flux/config " +
			common},
		"the network of the host": {systemPlan(func(p *plan.Plan) { p.HostNetwork = true }), 88, BrokerRun{}, "broker --config-path /etc/flux/config " +
			strings.Replace(common, "-Slocal-uri", "-Shostname=flux-sample-0 -Slocal-uri", 1)},
		"quiet":              {systemPlan(func(p *plan.Plan) { p.Logging.Quiet = true }), 88, BrokerRun{}, "broker --config-path /etc/flux/config " + errorsOnly},
		"a negative level":   {systemPlan(func(p *plan.Plan) { p.Broker.LogLevel = -1 }), 88, BrokerRun{}, "broker --config-path /etc/flux/config " + errorsOnly},
		"quiet, 0.49":        {systemPlan(func(p *plan.Plan) { p.Logging.Quiet = true }), 49, BrokerRun{}, "broker --config-path /etc/flux/config " + errorsOnly},
		"attributes":         {systemPlan(withAttributes), 88, BrokerRun{}, "broker --config-path /etc/flux/config " + common + " -Stbon.connect_timeout=5s -Stbon.topo=kary:2"},
		"attributes of 0.49": {systemPlan(withAttributes), 49, BrokerRun{}, "broker --config-path /etc/flux/config " + common + " -Stbon.topo=kary:2"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := instance(test.plan, test.minor).BrokerArgs(test.run)
			require.NoError(t, err)
			assert.Equal(t, "/usr/bin/flux "+test.want, strings.Join(got, " "))
		})
	}
}

func withAttributes(p *plan.Plan) {
	p.Broker.Attributes = map[string]string{"tbon.connect_timeout": "5s", "tbon.topo": "kary:2"}
}

func TestBrokerArgsRefuses(t *testing.T) {
	i := instance(systemPlan(), 88)
	_, err := i.BrokerArgs(BrokerRun{Interactive: true, Program: []string{"true"}})
	require.ErrorContains(t, err, "without an initial program")
	i.Lead = false
	_, err = i.BrokerArgs(BrokerRun{Restore: "/a"})
	require.ErrorContains(t, err, "only the lead")
}

func TestParseVersion(t *testing.T) {
	for output, want := range map[string]Version{
		"commands:    \t\t0.88.0-59-g4a5e79f56\nlibflux-core:\t\t0.1.0\n": {0, 88, 0, "0.88.0-59-g4a5e79f56"},
		"libflux-core:\t0.49.1\n":   {0, 49, 1, "0.49.1"},
		"commands: v1.2\n":          {1, 2, 0, "v1.2"},
		"commands: 0.51.0rc1\n":     {},
		"commands:\n":               {},
		"commands: 0.99999999999\n": {},
		"":                          {},
		"libflux-security: 0.9.0\n": {},
	} {
		got, err := parseVersion(output)
		assert.Equal(t, want, got, output)
		assert.Equal(t, want == Version{}, err != nil, output)
	}
	assert.True(t, Version{Minor: 51}.atLeast(51))
	assert.False(t, Version{Minor: 50}.atLeast(51))
	assert.True(t, Version{Major: 1}.atLeast(51))
	assert.Equal(t, "0.49.0", Version{Text: "0.49.0"}.String())
}

func FuzzParseVersion(f *testing.F) {
	f.Add("commands:\t0.88.0-59-g4a5e79f56\n")
	f.Fuzz(func(t *testing.T, output string) {
		v, err := parseVersion(output)
		if err == nil && (v.Major < 0 || v.Minor < 0 || v.Patch < 0 || v.Text == "") {
			t.Fatalf("%+v", v)
		}
	})
}
