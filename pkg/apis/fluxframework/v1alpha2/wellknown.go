package v1alpha2

// Labels and annotations that the controller puts on objects.
const (
	// LabelHPASelector selects the pods of a MiniCluster, and no other pod; its
	// value is the MiniCluster's name. It is status.selector.
	LabelHPASelector = "hpa-selector"
	// LabelName carries the MiniCluster's name on pods and on every object that
	// is made for it.
	LabelName = "app.kubernetes.io/name"
	// LabelManagedBy carries ManagedBy on every object that the controller makes;
	// its informers see no other objects.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelHeadlessService carries the name of the headless Service on the pods
	// that it gives host names to.
	LabelHeadlessService = "flux-framework.org/headless-service"
	// LabelMiniClusterUID carries the UID of a MiniCluster on the PersistentVolumes
	// that were made for it: they lie in no namespace, and nothing that does can own
	// them.
	LabelMiniClusterUID = "flux-framework.org/minicluster-uid"

	// FinalizerVolumes on a MiniCluster holds up its deletion until its
	// PersistentVolumes are deleted.
	FinalizerVolumes = "flux-framework.org/volumes"
	// AnnotationKeepVolume on a PersistentVolume, with any value, lets it outlive its
	// MiniCluster.
	AnnotationKeepVolume = "flux-framework.org/keep-volume"

	// AnnotationAppliedSize on a Job is the spec.size that the controller last
	// gave it. Another size of the Job is somebody else's work.
	AnnotationAppliedSize = "flux-framework.org/applied-size"
	// AnnotationAppliedGeneration on a Job is the generation of the MiniCluster
	// that its size comes from: a controller that knows only an older one has to
	// wait for its cache.
	AnnotationAppliedGeneration = "flux-framework.org/applied-generation"
	// AnnotationDrainedFrom on a Job is a rank. That one and those above it may be
	// drained by us, from when the Job shrank, and have to be given back when they
	// come back; those below are not.
	AnnotationDrainedFrom = "flux-framework.org/drained-from"
	// AnnotationMaximumSize on a Job and ConfigMap is the size that was registered
	// with the brokers at creation.
	AnnotationMaximumSize = "flux-framework.org/maximum-size"
	// AnnotationLayout on a Job and ConfigMap is the layout that was decided at
	// creation: system or view.
	AnnotationLayout = "flux-framework.org/layout"
	// AnnotationSpecHash on a Job holds a hash of each field of the spec that is
	// fixed at creation, so that a later edit can be named.
	AnnotationSpecHash = "flux-framework.org/spec-hash"
	// AnnotationConfigHash on a Job is a hash of the configuration that its brokers
	// were given, so that a ConfigMap that is lost is made again only if it comes
	// out the same.
	AnnotationConfigHash = "flux-framework.org/config-hash"
	// AnnotationRejectedSize on a MiniCluster records the last size that was not
	// granted, in the same write that puts the size back.
	AnnotationRejectedSize = "flux-framework.org/rejected-size"
	// AnnotationCapacityReserve on a MiniCluster says how much it leaves free for
	// others when it asks how far it may grow, such as "30", "15%" or
	// "cpu=30,memory=10%".
	AnnotationCapacityReserve = "flux-framework.org/capacity-reserve"

	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "minicluster-controller"
)
