// Package fluxsource is the source of what Flux says of itself: the agents of all lead
// brokers are asked in rounds, and the numbers of the last round are given out as
// metrics of the MiniCluster and of its Service.
package fluxsource
