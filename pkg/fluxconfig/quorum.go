package fluxconfig

// Quorum is the number of brokers that the lead waits for before it starts the
// first program (broker attribute broker.quorum, flux-broker-attributes(7)):
// minSize, or the size at creation. It is to be stated always: where it is not,
// Flux waits for every host of the list, and those above the size don't exist.
//
// A lead that is replaced later waits for the same number. ShrunkQuorum keeps it
// at or below the size.
func Quorum(size, minSize int32) int32 {
	if minSize > 0 {
		size = min(size, minSize)
	}
	return max(1, size)
}

// ShrunkQuorum is the recorded quorum lowered to a new size, so that a lead that
// is replaced after a shrink does not wait for brokers that left. It never
// rises: growth needs no more brokers to start with.
func ShrunkQuorum(recorded, size int32) int32 {
	return max(1, min(recorded, size))
}
