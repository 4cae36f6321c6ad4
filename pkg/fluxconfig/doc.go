// Package fluxconfig turns a MiniCluster into the texts that Flux brokers read:
// the host list, broker.toml and the CURVE certificate.
//
// Everything here is pure: no Kubernetes client, no clock and no source of
// randomness of its own. What is generated is accepted by Flux 0.49 (the images
// of 2023) to 0.88, without knowing which of them will read it.
//
// Sources: Flux RFC 22 (idset), 23 (standard duration) and 29 (hostlist);
// flux-config(5), flux-config-bootstrap(5), flux-config-resource(5),
// flux-config-tbon(5), flux-config-kvs(5), flux-config-access(5); ZeroMQ RFC 26
// (CURVE) and 32 (Z85).
package fluxconfig
