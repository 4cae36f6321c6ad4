package v1alpha2

import "k8s.io/apimachinery/pkg/api/meta"

// Defaults of fields. Those outside of lists are also defaults of the schema of the CRD. SetDefaults repeats them for
// objects that the API server has not stored (render, lint, tests), and so that adding an object with only defaults
// is not a change.
//
// Fields below a list have no default in the schema, because kubectl apply and GitOps tools compare lists as a whole
// and would always see a difference.
const (
	// DefaultInstallRoot is spec.flux.installRoot where a document of v1alpha1 omits
	// it. v1alpha2 has no such default.
	DefaultInstallRoot = "/usr"
	// DefaultImage is the image of a container that names none.
	DefaultImage = "ghcr.io/rse-ops/accounting:app-latest"
	// DefaultViewImage is the image that provides Flux in the view layout.
	DefaultViewImage = "ghcr.io/converged-computing/flux-view-ubuntu:tag-noble"
	// DefaultMountPath is the directory of the view.
	DefaultMountPath = "/mnt/flux"
	// DefaultViewName is the name of the container of the view.
	DefaultViewName = "flux-view"
	// DefaultConnectTimeout is tbon.connect_timeout (Flux Standard Duration).
	DefaultConnectTimeout = "5s"
	// DefaultLogLevel is the severity up to which brokers print messages (info).
	DefaultLogLevel int32 = 6
	// DefaultDeadlineSeconds is a few hours less than a year.
	DefaultDeadlineSeconds int64 = 31500000
	// DefaultSystemHeadlessName is the headless Service of the system layout.
	DefaultSystemHeadlessName = "flux-service"
	// DefaultBrokerPort is the port of the overlay network of the brokers.
	DefaultBrokerPort int32 = 8050
	// DefaultHibernationGraceSeconds is spec.hibernation.gracePeriodSeconds.
	DefaultHibernationGraceSeconds int32 = 300
	// DefaultIdleSeconds is spec.autoscaling.idleSeconds.
	DefaultIdleSeconds int32 = 300
	// DefaultCPUUtilization is spec.autoscaling.cpuUtilization with metric CPU.
	DefaultCPUUtilization int32 = 80
	// DefaultFluxUser is the owner of the Flux instance.
	DefaultFluxUser = "flux"
	// DefaultFluxUID is the user ID of that owner.
	DefaultFluxUID int64 = 1000
)

// SetDefaults sets the default of every field that is unset: those of the schema
// of v1alpha2, and those of fields below a list.
func SetDefaults(mc *MiniCluster) { defaults(set).apply(mc) }

// DropDefaults unsets every field that has its default. It is the inverse of SetDefaults: MiniClusters that differ
// only in whether defaults are set become equal, including those that were stored before a field existed.
func DropDefaults(mc *MiniCluster) { defaults(drop).apply(mc) }

// defaults is an operation on the fields that have a default: set or drop it.
type defaults bool

const (
	set  = true
	drop = false
)

func (d defaults) apply(mc *MiniCluster) {
	s := &mc.Spec
	pointer(d, &s.Size, mc.MinimumSize())
	pointer(d, &s.Tasks, 1)
	pointer(d, &s.DeadlineSeconds, DefaultDeadlineSeconds)
	for i := range s.Containers {
		d.container(&s.Containers[i])
	}
	for i := range s.Services {
		d.container(&s.Services[i])
	}
	if s.ScaleDown != nil {
		value(d, &s.ScaleDown.OnUnreachable, OnUnreachableProceed)
	}
	if h := s.Hibernation; h != nil {
		value(d, &h.State, HibernationKeep)
		pointer(d, &h.GracePeriodSeconds, DefaultHibernationGraceSeconds)
		value(d, &h.RestartForChanges, RestartNever)
	}
	if s.Disruption != nil {
		value(d, &s.Disruption.WhenIdle, WhenIdleKeep)
	}
	if o := s.Opportunistic; o != nil {
		value(d, &o.Weight, 1)
	}
	if a := s.Autoscaling; a != nil {
		value(d, &a.Metric, AutoscalingRecommended)
		pointer(d, &a.IdleSeconds, DefaultIdleSeconds)
	}
	if s.Flux != nil {
		d.flux(s.Flux)
	}
	for name, v := range s.Volumes {
		value(d, &v.Capacity, "5Gi")
		pointer(d, &v.Delete, true)
		value(d, &v.SecretNamespace, mc.Namespace)
		value(d, &v.StorageClass, "hostpath")
		s.Volumes[name] = v
	}
	if r := s.FluxRestful; r != nil {
		value(d, &r.Branch, "main")
		value(d, &r.Port, 5000)
	}
}

func (d defaults) container(c *MiniClusterContainer) {
	value(d, &c.Image, DefaultImage)
	if u := c.FluxUser; u != nil {
		value(d, &u.Name, DefaultFluxUser)
		pointer(d, &u.UID, DefaultFluxUID)
	}
}

func (d defaults) flux(f *FluxSpec) {
	value(d, &f.ConnectTimeout, DefaultConnectTimeout)
	pointer(d, &f.LogLevel, DefaultLogLevel)
	if c := f.Container; c != nil {
		value(d, &c.Image, DefaultViewImage)
		value(d, &c.MountPath, DefaultMountPath)
		value(d, &c.Name, DefaultViewName)
	}
	if f.Bursting != nil && f.Bursting.LeadBroker != nil {
		value(d, &f.Bursting.LeadBroker.Port, DefaultBrokerPort)
	}
}

// pointer sets or unsets a field whose zero value is a valid value.
func pointer[T comparable](d defaults, p **T, v T) {
	switch {
	case bool(d) && *p == nil:
		*p = &v
	case !bool(d) && *p != nil && **p == v:
		*p = nil
	}
}

// value sets or unsets a field whose zero value means unset.
func value[T comparable](d defaults, p *T, v T) {
	var unset T
	switch {
	case bool(d) && *p == unset:
		*p = v
	case !bool(d) && *p == v:
		*p = unset
	}
}

// RequestedSize returns spec.size, or the smallest size if it is unset.
func (mc *MiniCluster) RequestedSize() int32 {
	if mc.Spec.Size == nil {
		return mc.MinimumSize()
	}
	return *mc.Spec.Size
}

// MinimumSize returns the smallest size at creation: minSize, at least 1.
func (mc *MiniCluster) MinimumSize() int32 {
	return max(1, mc.Spec.MinSize)
}

// LowerBound returns the smallest size that the controller accepts for a MiniCluster with the given maximum. A
// minSize above the maximum is invalid and has no effect.
func (mc *MiniCluster) LowerBound(maximum int32) int32 {
	if mc.Spec.MinSize > maximum {
		return 1
	}
	return mc.MinimumSize()
}

// ScalesToZero reports whether size 0 hibernates the cluster.
func (mc *MiniCluster) ScalesToZero() bool {
	return mc.Spec.Hibernation != nil && mc.Spec.Hibernation.ScaleToZero
}

// Hibernates reports whether the status says that the cluster hibernates: its Job was deleted, and its state is kept.
func (mc *MiniCluster) Hibernates() bool {
	return mc.Status.Hibernation != nil && meta.IsStatusConditionTrue(mc.Status.Conditions, ConditionHibernated)
}

// StoppedDemand returns the size that the saved jobs of a cluster need that has no
// Job because it hibernates; false if it is not known to hibernate. A size that wakes
// the cluster counts as a demand until the controller has started it: an autoscaler
// would take the size back otherwise.
func (mc *MiniCluster) StoppedDemand() (int64, bool) {
	h, c := mc.Status.Hibernation, meta.FindStatusCondition(mc.Status.Conditions, ConditionHibernated)
	if h == nil || c == nil || c.Reason != ReasonHibernated && c.Reason != ReasonNothingKept {
		return 0, false
	}
	demand := int64(h.Demand)
	if h.Cause == CauseScaledToZero {
		demand = max(demand, int64(mc.RequestedSize()))
	}
	return demand, true
}

// GrantedDemand is like Granted for the size that jobs need. Without jobs it is 0
// where that size hibernates the cluster.
func (mc *MiniCluster) GrantedDemand(size int64) int64 {
	if size <= 0 && mc.ScalesToZero() {
		return 0
	}
	return mc.Granted(size)
}

// Granted returns the nearest size within the bounds that the status reports. No
// maximum is known before the controller has processed the MiniCluster.
func (mc *MiniCluster) Granted(size int64) int64 {
	maximum := mc.Status.MaximumSize
	if maximum == 0 {
		return max(size, int64(mc.MinimumSize()))
	}
	return max(min(size, int64(maximum)), int64(mc.LowerBound(maximum)))
}

// FluxContainerIndex returns the index in spec.containers of the container that
// runs Flux: the one with runFlux, or the only one; -1 if there is none.
func (mc *MiniCluster) FluxContainerIndex() int {
	if len(mc.Spec.Containers) == 1 {
		return 0
	}
	for i := range mc.Spec.Containers {
		if mc.Spec.Containers[i].RunFlux {
			return i
		}
	}
	return -1
}
