// Command nodeinit is the first process of a real node on this machine. Started in new namespaces, it prepares them
// for a kubelet, prints a line on standard output, and then only holds them and reaps orphans. When it ends, the
// kernel ends all processes in them, including containers, and then removes their mounts and network interfaces.
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
		return errors.New("this is not a new process ID namespace, so the other namespaces are probably those of this machine too")
	}
	if err := prepareMounts(); err != nil {
		return err
	}
	if err := prepareNetwork(o.address, o.serviceCIDR); err != nil {
		return err
	}
	fmt.Println(readyLine)
	// A node is stopped by SIGKILL: there is nothing to save.
	hold()
	return nil
}

// hold reaps orphans until one of the signals arrives.
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
