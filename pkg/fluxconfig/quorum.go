package fluxconfig

// Quorum returns the number of brokers that the lead waits for before it starts its program (broker attribute
// broker.quorum, flux-broker-attributes(7)): minSize, or the size at creation. It must always be set: otherwise Flux
// waits for every host of the list, including those above the size, which do not exist.
//
// A lead that is replaced later waits for the same number. ShrunkQuorum limits it to the size.
func Quorum(size, minSize int32) int32 {
	if minSize > 0 {
		size = min(size, minSize)
	}
	return max(1, size)
}

// ShrunkQuorum returns the recorded quorum lowered to a new size, so that a lead that is replaced after a shrink does
// not wait for removed brokers. It never rises: growth does not increase the number of required brokers.
func ShrunkQuorum(recorded, size int32) int32 {
	return max(1, min(recorded, size))
}
