package messages

// Events about restored and adopted objects.
const (
	// CacheOutdated takes the time that the controller waited.
	CacheOutdated = "A cache of the controller has not been up to date for %s: it read the API server directly and continues with what it returned"
	// GenerationRestored takes the generation that the Job records and the current one.
	GenerationRestored = "The Job was sized for generation %s of this MiniCluster, which has generation %d: one of them was restored from a backup. The current spec applies"
)
