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
			var policies []networkingv1.NetworkPolicy
			for i, text := range tc.policies {
				policy := networkingv1.NetworkPolicy{}
				policy.Name = "p" + string(rune('0'+i))
				require.NoError(t, yaml.UnmarshalStrict([]byte(text), &policy.Spec))
				policies = append(policies, policy)
			}
			pod := aPod(1)
			got := blockedConnections(policies, &pod)
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
