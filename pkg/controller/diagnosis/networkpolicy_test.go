package diagnosis

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

// TestPolicyProblem checks policies that users write.
func TestPolicyProblem(t *testing.T) {
	const (
		broker = "from the cluster's own pods to TCP port 8050"
		toPods = "connections to the cluster's own pods at TCP port 8050"
		dns    = "DNS (port 53)"
	)
	for name, tc := range map[string]struct {
		policies []string
		want     []string
		not      string
	}{
		"none": {},
		"deny all": {
			policies: []string{`{podSelector: {}, policyTypes: [Ingress, Egress]}`},
			want:     []string{broker, toPods, dns, `NetworkPolicy "p0"`, "app.kubernetes.io/name=flux-sample"},
		},
		"deny ingress, as the oldest API has it": {policies: []string{`{podSelector: {}}`}, want: []string{broker}, not: dns},
		"it selects others":                      {policies: []string{`{podSelector: {matchLabels: {app: web}}}`}},
		"another one allows it": {policies: []string{
			`{podSelector: {}}`,
			`{podSelector: {matchLabels: {app.kubernetes.io/name: flux-sample}}, ingress: [{from: [{podSelector: {matchLabels: {app.kubernetes.io/name: flux-sample}}}], ports: [{port: 8050}]}]}`,
		}},
		"only for others":                 {policies: []string{`{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`}, want: []string{broker}},
		"only another port":               {policies: []string{`{podSelector: {}, ingress: [{ports: [{port: 80}]}]}`}, want: []string{broker}},
		"a range of ports":                {policies: []string{`{podSelector: {}, ingress: [{ports: [{port: 8000, endPort: 8100}]}]}`}},
		"the whole namespace":             {policies: []string{`{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`}},
		"an address, which may be theirs": {policies: []string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}`}},
		"no DNS": {
			policies: []string{`{podSelector: {}, egress: [{to: [{podSelector: {}}], ports: [{port: 8050}]}]}`, `{podSelector: {}, ingress: [{}]}`},
			want:     []string{dns, "p0"}, not: toPods,
		},
		"DNS, and all else inside": {policies: []string{
			`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}, {ports: [{protocol: UDP, port: 53}]}]}`,
		}},
		"only UDP": {policies: []string{`{podSelector: {}, ingress: [{ports: [{protocol: UDP, port: 8050}]}]}`}, want: []string{broker}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := aPod(1)
			got := blockedConnections(parsePolicies(t, tc.policies), &pod)
			if len(tc.want) == 0 {
				assert.Empty(t, got)
			}
			for _, part := range tc.want {
				assert.Contains(t, got, part)
			}
			if tc.not != "" {
				assert.NotContains(t, got, tc.not)
			}
		})
	}
}

// parsePolicies returns policies p0, p1, and so on, from their specs.
func parsePolicies(t *testing.T, texts []string) []networkingv1.NetworkPolicy {
	t.Helper()
	var policies []networkingv1.NetworkPolicy
	for i, text := range texts {
		policy := networkingv1.NetworkPolicy{}
		policy.Name = "p" + string(rune('0'+i))
		require.NoError(t, yaml.UnmarshalStrict([]byte(text), &policy.Spec))
		policies = append(policies, policy)
	}
	return policies
}

// TestOutsideIngress: policies that may keep the controller from the agent of a lead.
func TestOutsideIngress(t *testing.T) {
	const outside = `{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 9561}]}]}`
	for name, tc := range map[string]struct {
		policies []string
		names    string
		certain  bool
	}{
		"none":                      {},
		"it selects others":         {policies: []string{`{podSelector: {matchLabels: {app: web}}}`}},
		"egress only":               {policies: []string{`{podSelector: {}, policyTypes: [Egress]}`}},
		"deny all":                  {policies: []string{`{podSelector: {}}`}, names: `"p0"`, certain: true},
		"the namespace only":        {policies: []string{`{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`}, names: `"p0"`, certain: true},
		"another port":              {policies: []string{`{podSelector: {}, ingress: [{ports: [{port: 8050}]}]}`}, names: `"p0"`, certain: true},
		"other namespaces":          {policies: []string{outside}, names: `"p0"`},
		"all peers":                 {policies: []string{`{podSelector: {}, ingress: [{}]}`}},
		"addresses":                 {policies: []string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}`}, names: `"p0"`},
		"one of two may include it": {policies: []string{`{podSelector: {}}`, outside}, names: `"p0", "p1"`},
	} {
		t.Run(name, func(t *testing.T) {
			pod := aPod(0)
			names, certain := OutsideIngress(parsePolicies(t, tc.policies), &pod, 9561)
			assert.Equal(t, tc.names, names)
			assert.Equal(t, tc.certain, certain)
		})
	}
}
