package trace

import (
	"math"
	"math/rand/v2"
	"slices"
)

// job is a rigid job of a trace. Times are in seconds.
type job struct {
	arrives, runs float64
	// size is the number of nodes, or of cores, that it needs.
	size int
}

// The model of U. Lublin and D. G. Feitelson, "The workload on parallel supercomputers: modeling the characteristics of
// rigid jobs", J. Parallel and Distributed Computing 63, 2003, with the parameters that it publishes for all jobs of
// the logs: San Diego Paragon, Los Alamos CM-5, and the SP2 of Stockholm (Parallel Workloads Archive), 128 processors.
const (
	serialShare, powerOfTwoShare  = 0.244, 0.576
	log2Low, log2Medium, log2High = 0.8, 4.5, 7
	lowShare                      = 0.86
	shortShape, shortScale        = 4.2, 0.94
	longShape, longScale          = 312, 0.03
	shortShare, shortSharePerNode = 0.78, -0.0054
	gapShape, gapScale            = 10.2303 * 1.0225, 0.4871
	dayShape, dayScale            = 8.1737, 3.9631
	dayStart                      = 11 // half hours after midnight
	maxLogTime                    = 12.0
	halfHour                      = 1800.0
	halfHours                     = 48
	maxSize                       = 1 << log2High
	secondsPerDay                 = 24 * 3600
)

// generate returns the jobs of some days, thinned so that they need a part of the capacity of 128 nodes.
func generate(seed uint64, days int, load float64) []job {
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a simulation
	weights := dayWeights()
	var jobs []job
	work, now, bucket, points := 0.0, 0.0, 0, 0.0
	for now < float64(days)*secondsPerDay {
		points += math.Exp(min(gamma(random, gapShape, gapScale), maxLogTime)) / halfHour
		for points > weights[bucket%halfHours] {
			points -= weights[bucket%halfHours]
			bucket++
		}
		now = (float64(bucket) + points/weights[bucket%halfHours]) * halfHour
		j := job{arrives: now, size: size(random)}
		j.runs = runtime(random, j.size)
		work += j.runs * float64(j.size)
		jobs = append(jobs, j)
	}
	keep := load * maxSize * float64(days) * secondsPerDay / work
	return slices.DeleteFunc(jobs, func(job) bool { return random.Float64() >= keep })
}

// dayWeights returns the share of the jobs that arrive in each half hour, 1 on average.
func dayWeights() [halfHours]float64 {
	var weights [halfHours]float64
	sum := 0.0
	for i := 1; i <= halfHours; i++ {
		x := float64(i)
		w := math.Pow(x, dayShape-1) * math.Exp(-x/dayScale)
		weights[(i+dayStart-1)%halfHours] = w
		sum += w
	}
	for i := range weights {
		weights[i] = max(weights[i]*halfHours/sum, 0.01)
	}
	return weights
}

func size(random *rand.Rand) int {
	u := random.Float64()
	if u < serialShare {
		return 1
	}
	low, high := log2Low, log2Medium
	if random.Float64() > lowShare {
		low, high = log2Medium, float64(log2High)
	}
	exponent := low + (high-low)*random.Float64()
	if u < serialShare+powerOfTwoShare {
		exponent = math.Round(exponent)
	}
	return min(int(math.Round(math.Pow(2, exponent))), maxSize)
}

func runtime(random *rand.Rand, nodes int) float64 {
	short := min(max(shortSharePerNode*float64(nodes)+shortShare, 0), 1)
	for {
		logTime := gamma(random, longShape, longScale)
		if random.Float64() < short {
			logTime = gamma(random, shortShape, shortScale)
		}
		if logTime <= maxLogTime {
			return math.Exp(logTime)
		}
	}
}

// gamma returns a number with the gamma distribution, by the method of Marsaglia and Tsang for shapes of at least 1.
func gamma(random *rand.Rand, shape, scale float64) float64 {
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := random.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-random.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v * scale
		}
	}
}
