package v1alpha2

// Defaults of fields. Those outside of lists are defaults of the schema of the
// CRD, too: SetDefaults repeats them for objects that the API server has not
// stored (render, lint, tests), and so that an object that is added with nothing
// but defaults is no change.
//
// Fields below a list have no default in the schema, because kubectl apply and
// GitOps tools compare lists as a whole and would see a difference forever.
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
	// DefaultFluxUser is the owner of the Flux instance.
	DefaultFluxUser = "flux"
	// DefaultFluxUID is the user ID of that owner.
	DefaultFluxUID int64 = 1000
)

// SetDefaults sets the default of every field that is unset: those of the schema
// of v1alpha2, and those of fields below a list.
func SetDefaults(mc *MiniCluster) {
	s := &mc.Spec
	setDefault(&s.Size, mc.MinimumSize())
	setDefault(&s.Tasks, 1)
	setDefault(&s.DeadlineSeconds, DefaultDeadlineSeconds)
	for i := range s.Containers {
		setContainerDefaults(&s.Containers[i])
	}
	for i := range s.Services {
		setContainerDefaults(&s.Services[i])
	}
	if s.ScaleDown != nil {
		setZero(&s.ScaleDown.OnUnreachable, OnUnreachableProceed)
	}
	if s.Flux != nil {
		setFluxDefaults(s.Flux)
	}
	for name, v := range s.Volumes {
		setZero(&v.Capacity, "5Gi")
		setDefault(&v.Delete, true)
		setZero(&v.SecretNamespace, mc.Namespace)
		setZero(&v.StorageClass, "hostpath")
		s.Volumes[name] = v
	}
	if r := s.FluxRestful; r != nil {
		setZero(&r.Branch, "main")
		setZero(&r.Port, 5000)
	}
}

func setContainerDefaults(c *MiniClusterContainer) {
	setZero(&c.Image, DefaultImage)
	if u := c.FluxUser; u != nil {
		setZero(&u.Name, DefaultFluxUser)
		setDefault(&u.UID, DefaultFluxUID)
	}
}

func setFluxDefaults(f *FluxSpec) {
	setZero(&f.ConnectTimeout, DefaultConnectTimeout)
	setDefault(&f.LogLevel, DefaultLogLevel)
	if c := f.Container; c != nil {
		setZero(&c.Image, DefaultViewImage)
		setZero(&c.MountPath, DefaultMountPath)
		setZero(&c.Name, DefaultViewName)
	}
	if f.Bursting != nil && f.Bursting.LeadBroker != nil {
		setZero(&f.Bursting.LeadBroker.Port, DefaultBrokerPort)
	}
}

func setDefault[T any](p **T, value T) {
	if *p == nil {
		*p = &value
	}
}

func setZero[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// RequestedSize returns spec.size, or the smallest size where it is unset.
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

// LowerBound returns the smallest size that the controller accepts for a
// MiniCluster with the given maximum. A minSize above the maximum is invalid and
// without effect.
func (mc *MiniCluster) LowerBound(maximum int32) int32 {
	if mc.Spec.MinSize > maximum {
		return 1
	}
	return mc.MinimumSize()
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
