// Command nodeinit is the first process of a real node on this machine. Started in new namespaces, it makes them fit
// for a kubelet, says so on standard output, and from then on only holds them and reaps orphans. When it ends, the
// kernel ends everything that was started in them, down to the last container, and with the last process their mounts
// and network interfaces go.
//
// Called as "nodeinit pause" it keeps the namespaces of a pod.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

// readyLine is printed when the namespaces are ready.
const readyLine = "ready"

type options struct {
	address     string
	serviceCIDR string
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "pause" {
		hold(syscall.SIGTERM, syscall.SIGINT)
		return
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "nodeinit:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var o options
	fs := pflag.NewFlagSet("nodeinit", pflag.ContinueOnError)
	fs.StringVar(&o.address, "address", "", "the node's address, as in 10.240.0.1/24")
	fs.StringVar(&o.serviceCIDR, "service-cidr", "", "addresses of Services")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if os.Getpid() != 1 {
		return errors.New("this is not a new process ID namespace, and the other ones would be those of this machine too")
	}
	if err := prepareMounts(); err != nil {
		return err
	}
	if err := prepareNetwork(o.address, o.serviceCIDR); err != nil {
		return err
	}
	fmt.Println(readyLine)
	// A node is taken away by SIGKILL: nothing here is to be saved.
	hold()
	return nil
}

// hold reaps orphans until one of the signals comes.
func hold(until ...os.Signal) {
	stop := make(chan os.Signal, 1)
	if len(until) > 0 {
		signal.Notify(stop, until...)
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for {
		reap()
		select {
		case <-stop:
			return
		case <-children:
		}
	}
}

func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}
