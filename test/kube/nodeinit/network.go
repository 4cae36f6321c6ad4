package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/vishvananda/netlink"
)

const (
	// interfaceName has the node's address. Its peer only exists because an interface without one has no carrier.
	interfaceName = "node0"
	peerName      = "node0-peer"
)

// prepareNetwork creates a network without external access: the node's address, and a route for Services, so that the
// first routing decision about a packet to a Service succeeds; the rules of kube-proxy then change its destination.
func prepareNetwork(address, serviceCIDR string) error {
	node, err := netlink.ParseAddr(address)
	if err != nil {
		return fmt.Errorf("reading --address %q: %w", address, err)
	}
	_, services, err := net.ParseCIDR(serviceCIDR)
	if err != nil {
		return fmt.Errorf("reading --service-cidr: %w", err)
	}
	pair := netlink.NewVeth(netlink.LinkAttrs{Name: interfaceName})
	pair.PeerName = peerName
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("making interface %s: %w", interfaceName, err)
	}
	for _, name := range []string{"lo", interfaceName, peerName} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("finding interface %s: %w", name, err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("setting interface %s up: %w", name, err)
		}
	}
	if err := netlink.AddrAdd(pair, node); err != nil {
		return fmt.Errorf("setting the address of interface %s to %s: %w", interfaceName, address, err)
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: pair.Attrs().Index, Dst: services}); err != nil {
		return fmt.Errorf("adding a route to %s: %w", serviceCIDR, err)
	}
	return forward()
}

// forward permits packets between pods, also through the rules of kube-proxy.
func forward() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("enabling packet forwarding: %w", err)
	}
	// Without the kernel's br_netfilter, a pod cannot reach itself or another pod of the node through a Service.
	err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("1"), 0o644)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sending bridged packets through iptables: %w", err)
	}
	return nil
}
