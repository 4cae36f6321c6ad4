package v1alpha2

// Defaults that the CRD's schema sets too. The controller sets them again, for
// objects that reached it in another way (render, lint, tests) and so that a
// parent object that appears later with nothing but defaults is no change.
const (
	// DefaultInstallRoot is spec.flux.installRoot where a document of v1alpha1 leaves it
	// out. In v1alpha2 it has no default.
	DefaultInstallRoot = "/usr"
	// DefaultImage is the image of a container that names none.
	DefaultImage = "ghcr.io/rse-ops/accounting:app-latest"
	// DefaultViewImage is the image that brings Flux in the view layout.
	DefaultViewImage = "ghcr.io/converged-computing/flux-view-ubuntu:tag-noble"
	// DefaultMountPath is the directory of the view.
	DefaultMountPath = "/mnt/flux"
	// DefaultViewName is the name of the view's container.
	DefaultViewName = "flux-view"
	// DefaultConnectTimeout is tbon.connect_timeout (Flux standard duration).
	DefaultConnectTimeout = "5s"
	// DefaultLogLevel is the severity that brokers print (info).
	DefaultLogLevel int32 = 6
	// DefaultDeadlineSeconds is a year less a few hours.
	DefaultDeadlineSeconds int64 = 31500000
	// DefaultSystemHeadlessName is the headless Service of the system layout.
	DefaultSystemHeadlessName = "flux-service"
	// DefaultBrokerPort is the port of the brokers' overlay network.
	DefaultBrokerPort int32 = 8050
	// DefaultFluxUser is the owner of the Flux instance.
	DefaultFluxUser = "flux"
	// DefaultFluxUID is that owner's numeric id.
	DefaultFluxUID int64 = 1000
)

// SetDefaults fills every field that the CRD's schema of v1alpha2 defaults.
func SetDefaults(mc *MiniCluster) {
	s := &mc.Spec
	setDefault(&s.Size, 1)
	setDefault(&s.Tasks, 1)
	setDefault(&s.DeadlineSeconds, DefaultDeadlineSeconds)
	for i := range s.Containers {
		setContainerDefaults(&s.Containers[i])
	}
	for i := range s.Services {
		setContainerDefaults(&s.Services[i])
	}
	if s.Flux != nil {
		setFluxDefaults(s.Flux)
	}
	for name, v := range s.Volumes {
		setZero(&v.Capacity, "5Gi")
		setDefault(&v.Delete, true)
		setZero(&v.SecretNamespace, "default")
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

// RequestedSize is spec.size, 1 where unset.
func (mc *MiniCluster) RequestedSize() int32 {
	if mc.Spec.Size == nil {
		return 1
	}
	return *mc.Spec.Size
}

// MinimumSize is the smallest size that is asked for at creation: minSize, and at
// least 1.
func (mc *MiniCluster) MinimumSize() int32 {
	return max(1, mc.Spec.MinSize)
}

// LowerBound is the smallest size that the controller grants to a MiniCluster with a
// maximum. A minSize above the maximum is reported as invalid and has no effect.
func (mc *MiniCluster) LowerBound(maximum int32) int32 {
	if mc.Spec.MinSize > maximum {
		return 1
	}
	return mc.MinimumSize()
}

// Granted is the nearest size that the controller grants, as far as the status tells: no
// maximum is known before the MiniCluster was first looked at.
func (mc *MiniCluster) Granted(size int64) int64 {
	maximum := mc.Status.MaximumSize
	if maximum == 0 {
		return max(size, int64(mc.MinimumSize()))
	}
	return max(min(size, int64(maximum)), int64(mc.LowerBound(maximum)))
}

// FluxContainerIndex is the index in spec.containers of the container that runs
// Flux: the one marked runFlux, or the only one; -1 when there is none.
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
