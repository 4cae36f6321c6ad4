// Package fluxconfig derives the texts that Flux brokers read from a MiniCluster: the host list, broker.toml and the
// CURVE certificate. It also derives the plan of the agents.
//
// All functions are pure: they use no Kubernetes client, no clock and no source of randomness but the one that is
// passed. Keep the texts valid for Flux 0.49 (the images of 2023) to 0.88, since the version in the image is not
// known. Do not change the text for an existing MiniCluster without a reason: running brokers keep the old one.
//
// Sources: Flux RFC 22 (idset), 23 (standard duration) and 29 (hostlist); flux-config(5), flux-config-bootstrap(5),
// flux-config-resource(5), flux-config-tbon(5), flux-config-kvs(5), flux-config-access(5); ZeroMQ RFC 26 (CURVE) and
// 32 (Z85).
package fluxconfig
