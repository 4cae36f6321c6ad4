package fluxconfig

import (
	"errors"
	"path"
	"slices"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// checkpointPeriod limits how much a lost lead forgets. By default, Flux writes a checkpoint only when it stops, so
// all jobs would be lost after a crash. Flux writes nothing while nothing changes.
const checkpointPeriod = "2s"

// BrokerTOML returns the broker.toml of a MiniCluster: the user's text (spec.flux.brokerConfig) unchanged, or else
// BrokerConfig.
func BrokerTOML(mc *v1alpha2.MiniCluster, p Params) (string, error) {
	if mc.Spec.Flux != nil && mc.Spec.Flux.BrokerConfig != "" {
		if _, err := ParseBrokerTOML(mc.Spec.Flux.BrokerConfig); err != nil {
			return "", &FieldError{Field: "spec.flux.brokerConfig", Err: err}
		}
		return mc.Spec.Flux.BrokerConfig, nil
	}
	c, err := BrokerConfig(mc, p)
	if err != nil {
		return "", err
	}
	return c.Text()
}

// BrokerConfig returns the generated configuration of a MiniCluster. It is the same for all brokers.
func BrokerConfig(mc *v1alpha2.MiniCluster, p Params) (Config, error) {
	p = p.withDefaults(mc)
	paths, err := pathsOf(mc, p.Layout)
	if err != nil {
		return Config{}, err
	}
	bootstrap, err := bootstrapTable(mc, p, paths)
	if err != nil {
		return Config{}, err
	}
	tbon, err := TBONSettings(&mc.Spec)
	if err != nil {
		return Config{}, err
	}
	qmanager, err := qmanagerTable(&mc.Spec)
	if err != nil {
		return Config{}, err
	}
	c := Config{
		// The users of a pod are its containers and those who may exec into it. The socket of the Flux user is open to all
		// of them, and root is an owner.
		Access:    Access{AllowGuestUser: true, AllowRootOwner: true},
		Resource:  Resource{Path: paths.R, Noverify: fluxResourcesDerived(mc)},
		Bootstrap: bootstrap,
		TBON:      tbon,
		KVS:       &KVS{CheckpointPeriod: checkpointPeriod},
		Qmanager:  qmanager,
	}
	if p.Layout == LayoutSystem {
		c.Exec = execTable(&mc.Spec)
		c.Archive = &Archive{DBPath: paths.JobArchive, Period: "1m", BusyTimeout: "50s"}
	}
	return c, nil
}

func pathsOf(mc *v1alpha2.MiniCluster, layout Layout) (plan.Files, error) {
	mountPath := MountPath(&mc.Spec)
	switch layout {
	case LayoutView:
		if err := checkMountPath(mountPath); err != nil {
			return plan.Files{}, &FieldError{Field: "spec.flux.container.mountPath", Err: err}
		}
	case LayoutSystem:
		// The layout may come from an earlier spec than this one.
		if err := checkPath(installRoot(&mc.Spec)); err != nil {
			return plan.Files{}, &FieldError{Field: "spec.flux.installRoot", Err: err}
		}
	}
	return Paths(layout, mountPath), nil
}

func bootstrapTable(mc *v1alpha2.MiniCluster, p Params, paths plan.Files) (Bootstrap, error) {
	hosts, err := Hosts(mc, p)
	if err != nil {
		return Bootstrap{}, err
	}
	var lead *v1alpha2.LeadBroker
	if mc.Spec.Flux != nil && mc.Spec.Flux.Bursting != nil {
		lead = mc.Spec.Flux.Bursting.LeadBroker
	}
	entries, err := hostEntries(hosts, lead)
	if err != nil {
		return Bootstrap{}, err
	}
	return Bootstrap{
		// Pods may have addresses of either family. In clusters without IPv6, brokers still connect with names of one
		// family, and with a kernel without IPv6.
		EnableIPv6:  true,
		CurveCert:   paths.CurveCert,
		DefaultPort: v1alpha2.DefaultBrokerPort,
		// Every interface, since its name depends on the network plugin.
		DefaultBind:    "tcp://*:%p",
		DefaultConnect: "tcp://%h." + p.domain() + ":%p",
		Hosts:          entries,
	}, nil
}

// fluxResourcesDerived calls DerivedResources for the container that runs Flux.
func fluxResourcesDerived(mc *v1alpha2.MiniCluster) bool {
	i := mc.FluxContainerIndex()
	return i >= 0 && DerivedResources(mc, &mc.Spec.Containers[i])
}

// installRoot returns the prefix of Flux in the system layout.
func installRoot(spec *v1alpha2.MiniClusterSpec) string {
	if spec.Flux != nil && spec.Flux.InstallRoot != "" {
		return spec.Flux.InstallRoot
	}
	return "/usr"
}

// execTable configures the IMP (flux-imp(8)), which runs jobs of other users than the owner of the instance. It is
// only needed if the spec names such users or has a MUNGE key to authenticate them.
func execTable(spec *v1alpha2.MiniClusterSpec) *Exec {
	if len(spec.Users) == 0 && (spec.Flux == nil || spec.Flux.MungeSecret == "") {
		return nil
	}
	return &Exec{IMP: path.Join(installRoot(spec), "libexec/flux/flux-imp")}
}

// queuePolicies are the policies of Fluxion. With another one, its qmanager does not load and the lead does not
// start.
func queuePolicies() []string {
	return []string{"fcfs", "easy", "conservative", "hybrid"}
}

func qmanagerTable(spec *v1alpha2.MiniClusterSpec) (*Qmanager, error) {
	policy := "fcfs"
	if spec.Flux != nil && spec.Flux.Scheduler != nil {
		if spec.Flux.Scheduler.Simple {
			return nil, nil // Fluxion is not used
		}
		if p := spec.Flux.Scheduler.QueuePolicy; p != "" {
			policy = p
		}
	}
	if !slices.Contains(queuePolicies(), policy) {
		return nil, &FieldError{
			Field: "spec.flux.scheduler.queuePolicy",
			Err:   errors.New("must be fcfs, easy, conservative or hybrid"),
		}
	}
	return &Qmanager{QueuePolicy: policy}, nil
}
