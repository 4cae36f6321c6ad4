package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"
)

// agentMetric is the metric that identifies an agent: its value is the number of the agent.
const agentMetric = "node_up_count"

// agentPort is the default port of agents.
const agentPort = 9560

// agentAddress returns the address of an agent, on the loopback interface.
func agentAddress(i int) string { return fmt.Sprintf("127.1.%d.%d", i/250, i%250+1) }

// agents simulate the agents of lead brokers.
type agents struct {
	server *http.Server
	text   func(number int) string
	index  map[string]int // by address
	busy   []atomic.Bool
	// hanging is the number of agents that do not respond, starting with the first.
	hanging atomic.Int64
	// overlaps counts requests that arrived while the same agent had another one.
	overlaps atomic.Int64
}

// startAgents starts n agents on a port, which respond with this text and their number.
func startAgents(ctx context.Context, n, port int, text string) (*agents, error) {
	a := &agents{text: saying(text), index: map[string]int{}, busy: make([]atomic.Bool, n)}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: time.Minute}
	for i := range n {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(agentAddress(i), strconv.Itoa(port)))
		if err != nil {
			a.close()
			return nil, fmt.Errorf("starting an agent: %w", err)
		}
		a.index[listener.Addr().String()] = i
		go func() {
			if err := a.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				klog.FromContext(ctx).Error(err, "A simulated agent has ended")
			}
		}()
	}
	return a, nil
}

// saying adds the numbers and the time to the response of agents.
func saying(text string) func(number int) string {
	var before []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "flux_nodes_up ") && !strings.HasPrefix(line, "flux_last_update_timestamp_seconds ") {
			before = append(before, line)
		}
	}
	rest := strings.Join(before, "")
	return func(number int) string {
		return fmt.Sprintf("%sflux_nodes_up %d\nflux_last_update_timestamp_seconds %.3f\n", rest, number, float64(time.Now().UnixMilli())/1000)
	}
}

func (a *agents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		http.Error(w, "the agent does not exist", http.StatusNotFound)
		return
	}
	i := a.index[local.String()]
	if a.busy[i].Swap(true) {
		a.overlaps.Add(1)
	}
	defer a.busy[i].Store(false)
	if int64(i) < a.hanging.Load() {
		<-r.Context().Done()
		return
	}
	_, _ = w.Write([]byte(a.text(i)))
}

// hang makes the first n agents stop responding.
func (a *agents) hang(n int) { a.hanging.Store(int64(n)) }

func (a *agents) close() { _ = a.server.Close() }
