package validation

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestValidateDNS(t *testing.T) {
	const at = "spec.pod.dnsConfig"
	config := func(c corev1.PodDNSConfig) edit { return pod(v1alpha2.PodSpec{DNSConfig: &c}) }
	run(t, []testCase{
		{name: "valid", edit: pod(v1alpha2.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{
			Nameservers: []string{"10.0.0.10", "fd00::10"}, Searches: []string{"site.example", "_tcp.site.example.", "."},
			Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: new("2")}, {Name: "edns0"}},
		}})},
		{name: "None without a configuration", edit: pod(v1alpha2.PodSpec{DNSPolicy: corev1.DNSNone}), fields: []string{at + ".nameservers"}},
		{name: "None without a name server", edit: pod(v1alpha2.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{}}), fields: []string{at + ".nameservers"}},
		{name: "a name instead of an address", edit: config(corev1.PodDNSConfig{Nameservers: []string{"dns.site.example"}}), fields: []string{at + ".nameservers[0]"}},
		{name: "too many name servers", edit: config(corev1.PodDNSConfig{Nameservers: []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}}), fields: []string{at + ".nameservers"}},
		{name: "too many search domains", edit: config(corev1.PodDNSConfig{Searches: strings.Split(strings.Repeat("a ", 32)+"a", " ")}), fields: []string{at + ".searches"}},
		{name: "not a domain", edit: config(corev1.PodDNSConfig{Searches: []string{"a b"}}), fields: []string{at + ".searches[0]"}},
		{name: "an option without a name", edit: config(corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Value: new("1")}}}), fields: []string{at + ".options[0].name"}},
	})
}

func TestValidateSpread(t *testing.T) {
	const at = "spec.pod.topologySpreadConstraints"
	spread := func(c ...corev1.TopologySpreadConstraint) edit {
		return pod(v1alpha2.PodSpec{TopologySpreadConstraints: c})
	}
	zone := corev1.TopologySpreadConstraint{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule}
	rack := corev1.TopologySpreadConstraint{MaxSkew: 4, TopologyKey: "rack", WhenUnsatisfiable: corev1.ScheduleAnyway, MatchLabelKeys: []string{"a"}}
	bad := func(change func(*corev1.TopologySpreadConstraint)) edit {
		c := zone
		change(&c)
		return spread(c)
	}
	run(t, []testCase{
		{name: "valid", edit: spread(zone, rack)},
		{name: "twice", edit: spread(zone, zone), fields: []string{at + "[1]"}},
		{name: "empty", edit: spread(corev1.TopologySpreadConstraint{}), fields: []string{at + "[0].maxSkew", at + "[0].topologyKey", at + "[0].whenUnsatisfiable"}},
		{name: "not a label", edit: bad(func(c *corev1.TopologySpreadConstraint) { c.TopologyKey = "a b" }), fields: []string{at + "[0].topologyKey"}},
		{name: "no domain", edit: bad(func(c *corev1.TopologySpreadConstraint) { c.MinDomains = new(int32(0)) }), fields: []string{at + "[0].minDomains"}},
		{name: "domains of a preference", edit: bad(func(c *corev1.TopologySpreadConstraint) {
			c.WhenUnsatisfiable, c.MinDomains = corev1.ScheduleAnyway, new(int32(2))
		}), fields: []string{at + "[0].minDomains"}},
		{name: "policies", edit: bad(func(c *corev1.TopologySpreadConstraint) {
			c.NodeAffinityPolicy, c.NodeTaintsPolicy = new(corev1.NodeInclusionPolicyHonor), new(corev1.NodeInclusionPolicy("Maybe"))
		}), fields: []string{at + "[0].nodeTaintsPolicy"}},
		{name: "selector", edit: bad(func(c *corev1.TopologySpreadConstraint) {
			c.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a b": "c"}}
		}), fields: []string{at + "[0].labelSelector.matchLabels"}},
		{name: "keys", edit: bad(func(c *corev1.TopologySpreadConstraint) { c.MatchLabelKeys = []string{"a b"} }), fields: []string{at + "[0].matchLabelKeys[0]"}},
	})
}

func TestValidateResourceClaims(t *testing.T) {
	const at = "spec.pod.resourceClaims"
	claims := func(c ...corev1.PodResourceClaim) edit { return pod(v1alpha2.PodSpec{ResourceClaims: c}) }
	gpus := corev1.PodResourceClaim{Name: "gpus", ResourceClaimTemplateName: new("two-gpus")}
	uses := func(names ...string) edit {
		return func(mc *v1alpha2.MiniCluster) {
			claims(gpus)(mc)
			mc.Spec.Containers[0].Resources = &corev1.ResourceRequirements{}
			for _, name := range names {
				mc.Spec.Containers[0].Resources.Claims = append(mc.Spec.Containers[0].Resources.Claims, corev1.ResourceClaim{Name: name})
			}
		}
	}
	const container = "spec.containers[0].resources.claims"
	run(t, []testCase{
		{name: "valid", edit: uses("gpus")},
		{name: "an existing claim", edit: claims(corev1.PodResourceClaim{Name: "shared", ResourceClaimName: new("shared.site")})},
		{name: "no name", edit: claims(corev1.PodResourceClaim{ResourceClaimName: new("a")}), fields: []string{at + "[0].name"}},
		{name: "not a label", edit: claims(corev1.PodResourceClaim{Name: "a.b", ResourceClaimName: new("a")}), fields: []string{at + "[0].name"}},
		{name: "same name", edit: claims(gpus, gpus), fields: []string{at + "[1].name"}},
		{name: "no source", edit: claims(corev1.PodResourceClaim{Name: "a"}), fields: []string{at + "[0]"}},
		{name: "two sources", edit: claims(corev1.PodResourceClaim{Name: "a", ResourceClaimName: new("a"), ResourceClaimTemplateName: new("b")}), fields: []string{at + "[0]"}},
		{name: "names of sources", edit: claims(
			corev1.PodResourceClaim{Name: "a", ResourceClaimName: new("A b")}, corev1.PodResourceClaim{Name: "b", ResourceClaimTemplateName: new("")},
		), fields: []string{at + "[0].resourceClaimName", at + "[1].resourceClaimTemplateName"}},
		{name: "a container uses another claim", edit: uses("gpus", "nics"), fields: []string{container + "[1].name"}, says: "add it there"},
		{name: "a container uses a claim twice", edit: uses("gpus", "gpus"), fields: []string{container + "[1]"}},
		{name: "the services pod has no claims", edit: func(mc *v1alpha2.MiniCluster) {
			claims(gpus)(mc)
			mc.Spec.Services = []v1alpha2.MiniClusterContainer{{
				Name: "s", Resources: &corev1.ResourceRequirements{Claims: []corev1.ResourceClaim{{Name: "gpus"}}},
			}}
		}, fields: []string{"spec.services[0].resources.claims[0].name"}},
	})
}

func TestValidateSchedulerAndStop(t *testing.T) {
	run(t, []testCase{
		{name: "valid", edit: pod(v1alpha2.PodSpec{SchedulerName: "batch_scheduler.v2", StopSignal: "SIGRTMIN+3", HostNetwork: true})},
		{name: "a scheduler with a domain", edit: pod(v1alpha2.PodSpec{SchedulerName: "site.example/batch"})},
		{name: "a scheduler with a space", edit: pod(v1alpha2.PodSpec{SchedulerName: "my scheduler"}), fields: []string{"spec.pod.schedulerName"}},
		{name: "a scheduler with a line break", edit: pod(v1alpha2.PodSpec{SchedulerName: "a\n"}), fields: []string{"spec.pod.schedulerName"}},
		{name: "a signal without its prefix", edit: pod(v1alpha2.PodSpec{StopSignal: "QUIT"}), fields: []string{"spec.pod.stopSignal"}},
		{name: "a number", edit: pod(v1alpha2.PodSpec{StopSignal: "3"}), fields: []string{"spec.pod.stopSignal"}},
		{name: "a signal that does not exist", edit: pod(v1alpha2.PodSpec{StopSignal: "SIGRTMIN+16"}), fields: []string{"spec.pod.stopSignal"}},
		{name: "the largest grace period", edit: pod(v1alpha2.PodSpec{TerminationGracePeriodSeconds: new(int64(9223372036))})},
		{name: "a grace period that overflows", edit: pod(v1alpha2.PodSpec{TerminationGracePeriodSeconds: new(int64(9223372037))}),
			fields: []string{"spec.pod.terminationGracePeriodSeconds"}},
		{name: "sysctls of the host", edit: pod(v1alpha2.PodSpec{HostNetwork: true, SecurityContext: &corev1.PodSecurityContext{
			Sysctls: []corev1.Sysctl{{Name: "net.core.somaxconn", Value: "1"}, {Name: "kernel.shm_rmid_forced", Value: "1"}},
		}}), fields: []string{"spec.pod.securityContext.sysctls[0].name"}},
	})
}

func TestValidateUserIDs(t *testing.T) {
	const at = "spec.users"
	users := func(list ...v1alpha2.MiniClusterUser) edit {
		return spec(func(s *v1alpha2.MiniClusterSpec) { s.Users = list })
	}
	user := func(name string, uid, gid int64, groups ...v1alpha2.UserGroup) v1alpha2.MiniClusterUser {
		return v1alpha2.MiniClusterUser{Name: name, UID: &uid, GID: &gid, Groups: groups}
	}
	group := func(name string, gid int64) v1alpha2.UserGroup { return v1alpha2.UserGroup{Name: name, GID: &gid} }
	system := flux(v1alpha2.FluxSpec{InstallRoot: "/usr"})
	run(t, []testCase{
		{name: "valid", edit: users(
			user("alice", 20417, 2000, group("climate", 3100), v1alpha2.UserGroup{Name: "video"}), user("bob", 20418, 2000, group("climate", 3100)),
		)},
		{name: "the largest", edit: users(user("alice", 2147483647, 2147483647))},
		{name: "root", edit: users(user("alice", 0, 0, group("wheel", 0))), fields: []string{at + "[0].uid", at + "[0].gid", at + "[0].groups[0].gid"}},
		{name: "too large", edit: users(user("alice", 2147483648, -1)), fields: []string{at + "[0].uid", at + "[0].gid"}},
		{name: "same ID", edit: users(user("alice", 5, 5), user("bob", 5, 5)), fields: []string{at + "[1].uid"}, says: "user ID of alice"},
		{name: "the ID of the owner of the instance", edit: func(mc *v1alpha2.MiniCluster) {
			system(mc)
			users(user("alice", 1000, 5))(mc)
		}, fields: []string{at + "[0].uid"}, says: "user ID of flux"},
		{name: "the owner of the instance", edit: func(mc *v1alpha2.MiniCluster) {
			system(mc)
			mc.Spec.Containers[0].FluxUser = &v1alpha2.FluxUser{Name: "alice", UID: new(int64(20417))}
			users(user("alice", 20417, 5), user("bob", 1000, 5))(mc)
		}},
		{name: "names of groups", edit: users(user("alice", 5, 5, group("a:b", 6))), fields: []string{at + "[0].groups[0].name"}},
		{name: "a group twice", edit: users(user("alice", 5, 5, group("a", 6), group("a", 6))), fields: []string{at + "[0].groups[1].name"}},
		{name: "a group with two IDs", edit: users(user("alice", 5, 5, group("a", 6)), user("bob", 7, 7, group("a", 8))), fields: []string{at + "[1].groups[0].gid"}},
		{name: "an ID with two groups", edit: users(user("alice", 5, 5, group("a", 6), group("b", 6))), fields: []string{at + "[0].groups[1].gid"}, says: "the group a"},
	})
}
