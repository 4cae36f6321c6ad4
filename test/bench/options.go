package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"minicluster.internal/operator/test/framework/cluster"
)

// Sizes of the MiniClusters: they are created with the first, resized to the second at once, and to the third one by
// one.
const (
	sizeAtFirst = 2
	sizeSecond  = 3
	sizeThird   = 4
)

// options are the settings of a measurement.
type options struct {
	// N is the number of MiniClusters.
	N int
	// Singles is the number of MiniClusters that are resized one by one.
	Singles int
	// Rounds is how often each of the two creates and deletes everything.
	Rounds int
	// Workers is the number of the raw client's workers; it should equal the operator's.
	Workers int
	// Users is the number of requests of users (MiniClusters made or resized) that are in progress at the same time.
	Users int
	// Nodes is the number of simulated nodes.
	Nodes int
	// Idle is the duration of the measurement of the idle operator.
	Idle time.Duration
	// OperatorCommand starts the operator; empty for the one in bin/.
	OperatorCommand string
	// User is the name of the operator's user in the API server.
	User string
	// CRD is the path of the CRD of MiniClusters.
	CRD string
	// Version is the API version of the MiniClusters.
	Version string
	// JSON is the path of a file for the results.
	JSON string
	// Verbose shows the operator's log on standard error.
	Verbose bool
}

func parse(args []string) (*options, error) {
	o := &options{}
	fs := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	fs.IntVarP(&o.N, "number", "n", 300, "MiniClusters to create.")
	fs.IntVar(&o.Singles, "singles", 100, "MiniClusters to resize one by one.")
	fs.IntVar(&o.Rounds, "rounds", 2, "Number of rounds, in which the operator and the raw client alternately create and delete everything.")
	fs.IntVar(&o.Workers, "workers", 10, "Workers of the raw client; use the operator's number.")
	fs.IntVar(&o.Users, "users", 10, "Number of concurrent requests of users.")
	fs.IntVar(&o.Nodes, "nodes", 50, "Simulated nodes.")
	fs.DurationVar(&o.Idle, "idle", 30*time.Second, "Duration of the measurement of the idle operator.")
	fs.StringVar(&o.OperatorCommand, "operator-command", "", "Shell command that starts another operator, with KUBECONFIG set. Unset: bin/minicluster-controller with the rights of its service account.")
	fs.StringVar(&o.User, "user", cluster.ServiceAccountUser("minicluster-system", "minicluster-controller"), "User of the operator in the API server, whose requests are counted.")
	fs.StringVar(&o.CRD, "crd", "", "Path of the CRD. Unset: manifests/crd.")
	fs.StringVar(&o.Version, "api-version", "v1alpha2", "API version of flux-framework.org to write.")
	fs.StringVar(&o.JSON, "json", "", "File to write the results to.")
	fs.BoolVarP(&o.Verbose, "verbose", "v", false, "Show the operator's log.")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%q: unexpected argument, see --help", fs.Args())
	}
	if o.N < 1 || o.Rounds < 1 || o.Workers < 1 || o.Users < 1 || o.Nodes < 1 || o.Singles < 0 {
		return nil, errors.New("--number, --rounds, --workers, --users and --nodes must be at least 1, --singles at least 0")
	}
	o.Singles = min(o.Singles, o.N)
	return o, nil
}
