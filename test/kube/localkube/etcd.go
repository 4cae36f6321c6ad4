package main

import (
	"context"
	"fmt"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

const (
	// etcd listens on sockets in the state directory: there are no ports to choose, and other users of the machine
	// cannot connect. Its URLs must have the form of a host and a port without a path, so they are the names of the
	// socket files, relative to the state directory. Therefore main changes to that directory. (This also keeps the
	// names short, as required for sockets.)
	etcdClientURL = "unix://etcd-client:0"
	etcdPeerURL   = "unix://etcd-peer:0"

	etcdTick     = 20  // milliseconds
	etcdElection = 100 // milliseconds

	// etcd fails a request after 5 s and the time of two elections, and the API server does not retry it. On a machine
	// with more work than processors, a request may take longer than the 5.2 s that follow from a fast election. With
	// this number of ticks it is 45 s.
	etcdElectionTicks = 1000

	// etcd reserves two log segments on the disk, of 64 MB each by default.
	etcdLogSegment = 4 << 20

	// The default of 2 GiB is too little for the benchmark with thousands of MiniClusters.
	etcdQuota = 8 << 30
)

// startEtcd returns once etcd serves. The data does not have to survive a power failure, so no write waits for the
// disk; a killed process loses nothing.
func startEtcd(ctx context.Context, dataDir string) (*embed.Etcd, error) {
	client, err := url.Parse(etcdClientURL)
	if err != nil {
		return nil, fmt.Errorf("parsing etcd's client URL: %w", err)
	}
	peer, err := url.Parse(etcdPeerURL)
	if err != nil {
		return nil, fmt.Errorf("parsing etcd's peer URL: %w", err)
	}
	config := embed.NewConfig()
	config.Dir = dataDir
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true
	config.QuotaBackendBytes = etcdQuota
	// A cluster of one member elects itself, but not before its election timeout: most of a second by default.
	config.TickMs, config.ElectionMs = etcdTick, etcdElection
	config.LogLevel = "error"

	wal.SegmentSizeBytes = etcdLogSegment
	server, err := embed.StartEtcd(config)
	if err != nil {
		return nil, fmt.Errorf("starting etcd: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-server.Server.ReadyNotify():
		server.Server.Cfg.ElectionTicks = etcdElectionTicks // raft has its own copy
		return server, nil
	case err := <-server.Err():
		server.Close()
		return nil, fmt.Errorf("starting etcd: %w", err)
	case <-ctx.Done():
		server.Close()
		return nil, fmt.Errorf("waiting for etcd to serve: %w", ctx.Err())
	}
}
