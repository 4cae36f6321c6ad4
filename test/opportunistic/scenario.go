package main

import "time"

// What is played. The numbers are the tutorial's: 184 cores, 30 of them for what else runs there, 30 to stay free, paying
// pods of 4 cores, of which there are between 2 and 17, and an application of pods with one core.
const (
	cores       = 184
	otherCores  = 30
	reserve     = 30
	payingCores = 4
)

// target is the part of the cores that is to be in use.
const target = float64(cores-reserve) / cores

// step is a moment at which the load changes.
type step struct {
	at     time.Duration
	paying int // pods
}

// steps are the load: it is there before anything fills what it leaves, grows in steps, goes back in steps, comes once
// more all at once and for a short time, and goes.
func steps() []step {
	return []step{
		{0, 2},
		{150 * time.Second, 7}, {180 * time.Second, 12}, {210 * time.Second, 17},
		{360 * time.Second, 9}, {390 * time.Second, 2},
		{540 * time.Second, 20}, {600 * time.Second, 2},
	}
}

const (
	// length of what is played.
	length = 720 * time.Second
	// settling is the time after a change of the load in which the fill level doesn't count: two periods of the
	// autoscaler and the time for pods to come and go.
	settling = 25 * time.Second
	// The settings of the autoscalers' controller that the tutorial has, as far as Kubernetes still knows them.
	syncPeriod    = 10 * time.Second
	stabilization = 30 * time.Second
)

// fits is how many pods of one core there could be beside so many paying cores.
func fits(paying int) int { return max(0, cores-otherCores-reserve-paying) }
