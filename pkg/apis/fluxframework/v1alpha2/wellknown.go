package v1alpha2

// Labels and annotations that the controller puts on objects.
const (
	// LabelHPASelector selects the pods of a MiniCluster, and no other pod; its value is the name of the MiniCluster. It
	// is the selector in status.selector.
	LabelHPASelector = "hpa-selector"
	// LabelName has the name of the MiniCluster, on pods and on every object that is created for it.
	LabelName = "app.kubernetes.io/name"
	// LabelController has the value ManagedBy on every object that the controller creates, except the pods of the Job;
	// its informers select by it.
	LabelController = "flux-framework.org/controller"
	// LabelManagedBy has the value ManagedBy on the same objects, for people and for tools. The controller does not read
	// it: policies and tools may own it.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelHeadlessService has the name of the headless Service, on the pods that it gives host names to.
	LabelHeadlessService = "flux-framework.org/headless-service"
	// LabelMiniClusterUID has the UID of a MiniCluster, on the PersistentVolumes that were created for it. They are
	// cluster-scoped, so a namespaced object cannot own them.
	LabelMiniClusterUID = "flux-framework.org/minicluster-uid"

	// FinalizerVolumes on a MiniCluster delays its deletion until its PersistentVolumes are deleted.
	FinalizerVolumes = "flux-framework.org/volumes"
	// AnnotationKeepVolume on a PersistentVolume, with any value, keeps it when its MiniCluster is deleted.
	AnnotationKeepVolume = "flux-framework.org/keep-volume"

	// AnnotationAppliedSize on a Job is the last spec.size that the controller applied. If the Job has another size,
	// another client resized it.
	AnnotationAppliedSize = "flux-framework.org/applied-size"
	// AnnotationAppliedGeneration on a Job is the generation of the MiniCluster that its size comes from: a controller
	// that knows only an older generation has to wait for its cache.
	AnnotationAppliedGeneration = "flux-framework.org/applied-generation"
	// AnnotationDrainedFrom on a Job is a rank. The controller may have drained that rank and those above it since the
	// Job shrank, and has to undrain them when they are added again. It has drained no rank below.
	AnnotationDrainedFrom = "flux-framework.org/drained-from"
	// AnnotationMaximumSize on a Job and ConfigMap is the number of hosts in the brokers' configuration, fixed at
	// creation.
	AnnotationMaximumSize = "flux-framework.org/maximum-size"
	// AnnotationLayout on a Job and ConfigMap is the layout, fixed at creation: system or view.
	AnnotationLayout = "flux-framework.org/layout"
	// AnnotationSpecHash on a Job has a hash of each field of the spec that is fixed at creation, so that the controller
	// can name fields that are edited later.
	AnnotationSpecHash = "flux-framework.org/spec-hash"
	// AnnotationConfigHash on a Job is a hash of the configuration of its brokers, so that a lost ConfigMap is only
	// created again if its content would be the same.
	AnnotationConfigHash = "flux-framework.org/config-hash"
	// AnnotationDataHash on a ConfigMap is a hash of its data, as the controller wrote them, so that an edit is found.
	AnnotationDataHash = "flux-framework.org/data-hash"
	// AnnotationRejectedSize on a MiniCluster records the last size that was not granted. The write that resets the size
	// sets it.
	AnnotationRejectedSize = "flux-framework.org/rejected-size"
	// AnnotationHibernation on a ConfigMap records the last hibernation: which Job was deleted after its state had been
	// saved, and what was saved. As long as it does, a missing Job is not lost.
	AnnotationHibernation = "flux-framework.org/hibernation"
	// AnnotationIncarnation on a Job and ConfigMap is the UID of the Job that the last hibernation deleted.
	AnnotationIncarnation = "flux-framework.org/incarnation"
	// AnnotationRestoreFrom on a Job and ConfigMap is the path of the archive of another MiniCluster, fixed at creation.
	AnnotationRestoreFrom = "flux-framework.org/restore-from"

	// AnnotationLeadNodeSelector on the pods of a Job is spec.lead.nodeSelector, as key=value, comma-separated. The
	// admission policy of manifests/lead-placement applies it to the pod of index 0.
	AnnotationLeadNodeSelector = "flux-framework.org/lead-node-selector"
	// AnnotationLeadTolerations on the pods of a Job is spec.lead.tolerations, comma-separated, each as
	// key|operator|value|effect|seconds. The same policy applies it.
	AnnotationLeadTolerations = "flux-framework.org/lead-tolerations"

	// AnnotationUnschedulableSize on a MiniCluster records the last size that was reduced because pods could not be
	// scheduled, and until when larger sizes are rejected.
	AnnotationUnschedulableSize = "flux-framework.org/unschedulable-size"
	// AnnotationDisruptionBudget on a Job is the name of the disruption budget that was created for its pods.
	AnnotationDisruptionBudget = "flux-framework.org/disruption-budget"
	// AnnotationDrain on a node drains the ranks of its pods. The value is the reason.
	AnnotationDrain = "flux-framework.org/drain"
	// LabelRankState on a pod whose node goes away is the state of its rank: RankDraining or RankDrained.
	LabelRankState = "flux-framework.org/rank-state"
	// RankDraining: the rank gets no more jobs, and runs some. RankDrained: it runs none. RankIdle on any pod: the rank
	// has been idle for some minutes, and the pod may be evicted.
	RankDraining = "draining"
	RankDrained  = "drained"
	RankIdle     = "idle"
	// PodConditionDrained on a pod whose node goes away reports whether its rank is drained and runs nothing.
	PodConditionDrained = "flux-framework.org/Drained"

	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "minicluster-controller"
)
