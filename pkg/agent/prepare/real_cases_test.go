package prepare_test

// realCase is passed to a child process as JSON.
type realCase struct {
	Name string
	// System: the system layout.
	System bool
	// UID of the container's user.
	UID int
	// Root sets runFluxAsRoot.
	Root bool
	// Config is a broker.toml of the user, except for the paths in it.
	Config string
	// Cores is the stated number of cores.
	Cores         int32
	DisableSocket bool
	Wrap          string
	// Needs is a program without which the case is skipped.
	Needs string
	Munge bool
	// Followers is the number of brokers besides the lead.
	Followers int
	// Client is a flux command to run from outside the instance while the program waits for its output, in the file out
	// of the home directory.
	Client []string
	// Script is the initial program.
	Script string
	// Want is the expected output of the script.
	Want string

	// Arguments of the child processes: stage, rank and certificate.
	Stage stage
	Index int
	Curve string
}

// stage is the role of a child process.
type stage string

const (
	// stageNet creates the network of all brokers of a case.
	stageNet stage = "net"
	// stageWorld creates the file system of a pod.
	stageWorld stage = "world"
	// stageBroker prepares and runs a broker, as the container's user.
	stageBroker stage = "broker"
	// stageClient runs a flux command like kubectl exec.
	stageClient stage = "client"
)

func realCases() []realCase {
	return []realCase{
		{Name: "system layout", System: true, Script: "id -un; echo $HOME; flux uri $PPID 2>/dev/null; flux getattr local-uri; flux getattr rundir; flux getattr statedir",
			Want: "flux\n/home/flux\nlocal:///run/flux/local\n/run/flux\n/var/lib/flux\n"},
		{Name: "as root", System: true, Root: true, Script: "id -un; flux getattr statedir; flux resource list -no '{nnodes} {ncores} {state}' | grep -v ^0",
			Want: "root\n/var/lib/flux\n1 2 free\n3 6 down\n", Cores: 2},
		{Name: "other user", System: true, UID: 12345, Script: "id -u; FLUX_URI= flux proxy local:///run/flux/local flux getattr rundir; flux getattr statedir; test -w $HOME && echo home",
			Want: "12345\n/run/flux/broker\n/var/lib/flux/broker\nhome\n"},
		{Name: "view layout, other user", UID: 1000, Script: "id -u; flux getattr local-uri; . MOUNT/flux-view.sh; FLUX_URI= flux proxy $fluxsocket flux getattr statedir",
			Want: "1000\nlocal://MOUNT/config/run/flux/local\nMOUNT/config/var/lib/flux\n"},
		{Name: "view layout, root", Script: "id -u; flux run -n1 sh -c 'grep Cpus_allowed_list /proc/self/status'; flux run -n1 -o cpu-affinity=on sh -c 'grep -c Cpus_allowed_list:.0$ /proc/self/status'",
			Want: "0\nCpus_allowed_list:\tALLCPUS\n1\n"},
		{Name: "instance in a job", System: true, Script: "flux alloc -n1 flux run -n1 sh -c 'grep Cpus_allowed_list /proc/self/status'",
			Want: "Cpus_allowed_list:\tALLCPUS\n"},
		{Name: "own configuration", System: true, Config: "[bootstrap]\ncurve_cert = \"/etc/curve/curve.cert\"\ndefault_port = 8050\ndefault_bind = \"tcp://*:%p\"\ndefault_connect = \"tcp://%h:%p\"\nhosts = [{host=\"flux-sample-[0-3]\"}]\n[resource]\npath = \"/etc/flux/system/R\"\nnoverify = true\n",
			Script: "flux getattr size; flux resource list -no '{nnodes} {state}' | grep -v ^0", Want: "4\n1 free\n3 down\n"},
		{Name: "private socket", DisableSocket: true, Script: "flux getattr local-uri; stat -c %a MOUNT/config/run/flux/agent", Want: "local://MOUNT/config/run/flux/agent/local\n700\n"},
		{Name: "wrapped", Wrap: "env,A=b  c", Script: "echo \"$A\"", Want: "b  c\n"},
		// With the path of flux, because the PATH that sudo sets (secure_path) may lack its directory.
		{Name: "sudo", Needs: "sudo", System: true, Script: "sudo -n id -un; F=$(command -v flux); sudo -n sudo -u flux -E $(env) -E HOME=/home/flux $F proxy local:///run/flux/local $F getattr rank",
			Want: "root\n0\n"},
		{Name: "munge", Needs: "munged", System: true, Munge: true, Script: "munge -n | unmunge | grep -c ^STATUS:.*Success; stat -c %a /var/lib/munge/minicluster.key",
			Want: "1\n400\n"},
		{Name: "two brokers", System: true, Followers: 1, Script: "flux run -N2 hostname | sort; flux run -N2 -n2 sh -c 'grep Cpus_allowed_list /proc/self/status' | sort -u",
			Want: "flux-sample-0\nflux-sample-1\nCpus_allowed_list:\tALLCPUS\n"},
		{Name: "two brokers of another user", System: true, UID: 12345, Followers: 1, Script: "flux run -N2 hostname | sort",
			Want: "flux-sample-0\nflux-sample-1\n"},
		{Name: "a client", System: true, Client: []string{"getattr", "local-uri"}, Script: "until test -s $HOME/out; do sleep 0.1; done; cat $HOME/out",
			Want: "local:///run/flux/local\n"},
		{Name: "a client and a private socket", System: true, UID: 12345, DisableSocket: true, Client: []string{"getattr", "local-uri"}, Script: "until test -s $HOME/out; do sleep 0.1; done; cat $HOME/out",
			Want: "local:///run/flux/broker/agent/local\n"},
		{Name: "quoting is preserved", Script: `printf '%s\n' 'x  y' "\\" '$HOME' "it's" 'ünï'`, Want: "x  y\n\\\n$HOME\nit's\nünï\n"},
	}
}
