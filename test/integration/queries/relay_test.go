package queries_test

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"

	"k8s.io/client-go/tools/clientcmd"
)

// relay forwards connections to an API server, and can end them all, including watches, which otherwise last for half
// an hour and more even if their rights are revoked.
type relay struct {
	to       string
	listener net.Listener

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// redirect makes a kubeconfig, which may be overwritten, use a relay.
func redirect(kubeconfig string) (*relay, error) {
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	listener, err := listen()
	if err != nil {
		return nil, fmt.Errorf("opening a port: %w", err)
	}
	r := &relay{listener: listener, conns: map[net.Conn]struct{}{}}
	for _, cluster := range config.Clusters {
		server, err := url.Parse(cluster.Server)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", kubeconfig, err)
		}
		r.to = server.Host
		server.Host = listener.Addr().String() // another port of the same address
		cluster.Server = server.String()
	}
	go r.serve()
	return r, clientcmd.WriteToFile(*config, kubeconfig)
}

func (r *relay) serve() {
	for {
		from, err := r.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", r.to) //nolint:noctx // until the other one ends
		if err != nil {
			_ = from.Close()
			continue
		}
		for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
			r.keep(pair[0])
			go func() {
				_, _ = io.Copy(pair[0], pair[1])
				r.end(pair[0], pair[1])
			}()
		}
	}
}

func (r *relay) keep(conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[conn] = struct{}{}
}

func (r *relay) end(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
		delete(r.conns, conn)
	}
}

// cut ends all connections; new ones can be made.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		_ = conn.Close()
	}
}
