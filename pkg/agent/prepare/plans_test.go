package prepare

import (
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// systemPlan returns the plan of a MiniCluster of v1alpha1.
func systemPlan(change ...func(*plan.Plan)) *plan.Plan {
	p := &plan.Plan{
		Name: "flux-sample", Namespace: "flux-operator", Hosts: "flux-sample-[0-3]", HostCount: 4, Size: 2,
		System: true, InstallRoot: "/usr", User: plan.User{Name: "flux", UID: 1000},
		Broker: plan.Broker{LogLevel: 6},
		Files: plan.Files{
			ConfigDir:  "/etc/flux/config",
			BrokerTOML: "/etc/flux/config/broker.toml",
			CurveCert:  "/etc/curve/curve.cert",
			R:          "/etc/flux/system/R",
			Hostlist:   "/etc/flux/system/hostlist",
			CronDir:    "/etc/flux/system/cron.d",
			RunDir:     "/run/flux",
			StateDir:   "/var/lib/flux",
			Socket:     "/run/flux/local",
			SocketURI:  "local:///run/flux/local",
			JobArchive: "/var/lib/flux/job-archive.sqlite",
		},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

// viewPlan returns the plan of a MiniCluster of v1alpha2.
func viewPlan(change ...func(*plan.Plan)) *plan.Plan {
	const at = "/mnt/flux/config"
	return systemPlan(append([]func(*plan.Plan){func(p *plan.Plan) {
		p.System, p.InstallRoot, p.User = false, "", plan.User{}
		p.View = &plan.View{Copied: true, MountPath: "/mnt/flux"}
		p.Files = plan.Files{
			ConfigDir:  at + "/etc/flux/config",
			BrokerTOML: at + "/etc/flux/config/broker.toml",
			CurveCert:  "/etc/curve/curve.cert",
			R:          at + "/etc/flux/system/R",
			Hostlist:   at + "/etc/flux/system/hostlist",
			CronDir:    at + "/etc/flux/system/cron.d",
			RunDir:     at + "/run/flux",
			StateDir:   at + "/var/lib/flux",
			Socket:     at + "/run/flux/local",
			SocketURI:  "local://" + at + "/run/flux/local",
			JobArchive: at + "/var/lib/flux/job-archive.sqlite",
		}
	}}, change...)...)
}

func options(root string) Options {
	return Options{Root: root, Hostname: "flux-sample-0", Environ: []string{"PATH=/usr/bin:/bin", "HOME=/root", "FLUX_URI=local:///elsewhere"}}
}
