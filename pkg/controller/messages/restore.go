package messages

// Events about restored and adopted objects.
const (
	// CacheOutdated takes the time that the controller waited.
	CacheOutdated = "A cache of the controller has not been up to date for %s: it read the API server directly and continues with what it returned"
	// Adopted takes the kind and the name of an object.
	Adopted = "Adopted %s %s, which has the labels of this MiniCluster and had no owner"
	// EditReverted takes the kind and the name of an object, and its fields.
	EditReverted = "%s %s was edited, and the pods depend on it: restored %s"
	// ConfigMapEdited takes the name of a ConfigMap and the fields of the spec that were edited.
	ConfigMapEdited = "ConfigMap %s was edited, and pods that are replaced read it; it can't be restored, because the spec describes another configuration: restore %s"
	// GenerationRestored takes the generation that the Job records and the current one.
	GenerationRestored = "The Job was sized for generation %s of this MiniCluster, which has generation %d: one of them was restored from a backup. The current spec applies"
)

// OrphanPodsDeleted is the message of pods of an earlier Job that had no owner.
func OrphanPodsDeleted(names []string) string {
	return "Deleted " + podList(names) + " of an earlier Job, because nothing controlled them and a rank must not have two brokers"
}
