package main

import "time"

// Numbers of the tutorial: 184 cores, of which other pods use 30 and 30 stay free, between 2 and 17 paying pods of
// 4 cores, and an application with pods of one core.
const (
	cores       = 184
	otherCores  = 30
	reserve     = 30
	payingCores = 4
)

// target is the fraction of cores that should be in use.
const target = float64(cores-reserve) / cores

// step is a change of the load.
type step struct {
	at     time.Duration
	paying int // pods
}

// steps returns the changes of the load: it grows in steps, shrinks in steps, and has a short peak.
func steps() []step {
	return []step{
		{0, 2},
		{150 * time.Second, 7}, {180 * time.Second, 12}, {210 * time.Second, 17},
		{360 * time.Second, 9}, {390 * time.Second, 2},
		{540 * time.Second, 20}, {600 * time.Second, 2},
	}
}

const (
	// length of the run.
	length = 720 * time.Second
	// settling is the time after a change of the load in which the fill level is ignored: two periods of the
	// autoscaler and the time to start and stop pods.
	settling = 25 * time.Second
	// Settings of the HorizontalPodAutoscaler controller in the tutorial, as far as Kubernetes still supports them.
	syncPeriod    = 10 * time.Second
	stabilization = 30 * time.Second
)

// fits returns how many pods of one core fit in addition to some paying cores.
func fits(paying int) int { return max(0, cores-otherCores-reserve-paying) }
