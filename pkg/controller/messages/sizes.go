package messages

import "fmt"

// SizeGranted is the message of a size that the Job has.
func SizeGranted(size int32) string { return fmt.Sprintf("size %d was granted", size) }

// SizeWithinBounds is the message of a size that the Job does not have, or not yet.
func SizeWithinBounds(size int32) string { return fmt.Sprintf("size %d is within the bounds", size) }

// SizeAfterEnd is the message of a size that was requested too late.
func SizeAfterEnd(size int32) string {
	return fmt.Sprintf("size %d was requested after the work had finished", size)
}

// SizeWithoutCertificate is the message of a growth that is impossible.
func SizeWithoutCertificate(size int32) string {
	return fmt.Sprintf("size %d is rejected: new pods can't join brokers whose certificate is lost", size)
}

// JobResizedExternally is the message of a Job that another client resized.
func JobResizedExternally(parallelism, completions, size int32) string {
	return fmt.Sprintf("another client resized the Job to parallelism %d and completions %d; the controller keeps that size until spec.size (%d) changes",
		parallelism, completions, size)
}

// AboveMaximum is the message of a size that is too large.
func AboveMaximum(requested, maximum, granted int32) string {
	return fmt.Sprintf("size %d was rejected: the maximum is %d, the number of hosts registered with the brokers when the cluster was created; size is now %d",
		requested, maximum, granted)
}

// BelowMinimum is the message of a size that is too small.
func BelowMinimum(requested, minimum, granted int32) string {
	return fmt.Sprintf("size %d was rejected: the minimum is %d; size is now %d (to end the cluster, delete the MiniCluster)", requested, minimum, granted)
}

// NotElastic is the message of a size that Kueue would admit only after it has deleted all pods.
func NotElastic(requested, granted int32) string {
	return fmt.Sprintf("size %d was rejected: Kueue has admitted the Job with size %d, and would delete all its pods to admit another size; "+
		"size is now %d (to resize a MiniCluster while it runs, create it with kueue.x-k8s.io/elastic-job: \"true\" and without "+
		"kueue.x-k8s.io/job-min-parallelism in spec.jobAnnotations, and enable Kueue's feature gate ElasticJobsViaWorkloadSlices)",
		requested, granted, granted)
}

// NotSchedulable is the message of a size for which there are not enough nodes. until is when larger sizes are accepted
// again.
func NotSchedulable(requested, granted int32, until string) string {
	return fmt.Sprintf("size %d was rejected: its pods could not be scheduled within spec.scaleUp.unschedulableTimeoutSeconds; "+
		"size is now %d, and larger sizes are rejected until %s", requested, granted, until)
}

// Events about the size of a Job.
const (
	// JobCreated takes the name, the size and the maximum.
	JobCreated = "Created Job %s of size %d, maximum %d"
	// JobResized takes both sizes.
	JobResized = "Resized from %d to %d"
)
