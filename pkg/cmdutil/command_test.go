package cmdutil

import (
	"context"
	"errors"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/component-base/cli"
	logsapi "k8s.io/component-base/logs/api/v1"
)

// someSettings are the settings of a program that serves.
type someSettings struct {
	ClientOptions
	address string
}

func (s *someSettings) AddFlags(fs *pflag.FlagSet) {
	s.AddClientFlags(fs)
	fs.StringVar(&s.address, "address", "", "")
}

func (s *someSettings) Validate() error {
	var errs FlagErrors
	s.ValidateClient(&errs)
	errs.AddAddress("address", s.address)
	return errs.Join()
}

func TestCommand(t *testing.T) {
	for _, tc := range []struct {
		name  string
		args  []string
		err   error // of the run
		want  string
		ended bool // before it ran
	}{
		{name: "defaults"},
		{name: "flags", args: []string{"--address=:80", "--kube-api-qps=5", "--kube-api-burst=1", "--v=2"}},
		{name: "a run that fails", err: errors.New("no luck"), want: "no luck"},
		{name: "an unknown flag", args: []string{"--nothing"}, want: "unknown flag: --nothing", ended: true},
		{name: "an argument", args: []string{"run"}, want: `unknown command "run"`, ended: true},
		{name: "an invalid address", args: []string{"--address=80"}, want: `--address: "80": must be HOST:PORT or :PORT`, ended: true},
		{name: "a burst that permits no request", args: []string{"--kube-api-qps=5", "--kube-api-burst=0"}, want: "--kube-api-burst: 0: must be at least 1", ended: true},
		{name: "an unknown format", args: []string{"--logging-format=verse"}, want: "setting up logs: ", ended: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.NoError(t, logsapi.ResetForTest(nil)) // a process can set up its log only once
			ran := false
			settings := &someSettings{ClientOptions: NewClientOptions()}
			cmd := NewCommand(&cobra.Command{Use: "some"}, settings, func(ctx context.Context) error {
				ran = true
				require.NoError(t, ctx.Err())
				return tc.err
			})
			cmd.SetArgs(tc.args)
			err := cli.RunNoErrOutput(cmd)
			assert.Equal(t, !tc.ended, ran)
			if tc.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, tc.want)
		})
	}
}

func TestFlagErrors(t *testing.T) {
	var errs FlagErrors
	require.NoError(t, errs.Join())
	errs.Add("a", "%d", 1)
	errs.AddError(errors.New("--b: 2"))
	assert.EqualError(t, errs.Join(), "--a: 1\n--b: 2")
}
