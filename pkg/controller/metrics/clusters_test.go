package metrics

import (
	"bytes"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestClusterCollector(t *testing.T) {
	var found []*v1alpha2.MiniCluster
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewClusterCollector(func() []*v1alpha2.MiniCluster { return found }))
	exposed := func() string {
		families, err := registry.Gather()
		require.NoError(t, err)
		var text bytes.Buffer
		for _, family := range families {
			_, err := expfmt.MetricFamilyToText(&text, family)
			require.NoError(t, err)
		}
		return text.String()
	}
	assert.Empty(t, exposed())

	at := func(seconds int64) metav1.Time { return metav1.Time{Time: time.Unix(seconds, 0)} }
	ready := func(status metav1.ConditionStatus, reason string, since int64) metav1.Condition {
		return metav1.Condition{Type: v1alpha2.ConditionReady, Status: status, Reason: reason, LastTransitionTime: at(since)}
	}
	for name, conditions := range map[string][]metav1.Condition{
		"a": {ready(metav1.ConditionFalse, v1alpha2.ReasonNotReady, 300)},
		"b": {ready(metav1.ConditionFalse, v1alpha2.ReasonNotReady, 200)},
		"c": {ready(metav1.ConditionFalse, v1alpha2.ReasonCertificateLost, 100)},
		"d": {ready(metav1.ConditionTrue, v1alpha2.ReasonReady, 400), {Type: v1alpha2.ConditionAccepted, Status: metav1.ConditionTrue, Reason: v1alpha2.ReasonValid, LastTransitionTime: at(10)}},
		"e": nil,
	} {
		found = append(found, &v1alpha2.MiniCluster{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, CreationTimestamp: at(50)},
			Status:     v1alpha2.MiniClusterStatus{Conditions: conditions},
		})
	}
	assert.Equal(t, `# HELP minicluster_status_condition MiniClusters by condition, its status and its reason.
# TYPE minicluster_status_condition gauge
minicluster_status_condition{condition="Accepted",reason="NoStatus",status="Unknown"} 1
minicluster_status_condition{condition="Accepted",reason="Valid",status="True"} 1
minicluster_status_condition{condition="Ready",reason="CertificateLost",status="False"} 1
minicluster_status_condition{condition="Ready",reason="NotReady",status="False"} 2
minicluster_status_condition{condition="Ready",reason="Ready",status="True"} 1
# HELP minicluster_status_condition_oldest_timestamp_seconds Earliest last transition time of the condition among the MiniClusters with this status, in seconds since 1970.
# TYPE minicluster_status_condition_oldest_timestamp_seconds gauge
minicluster_status_condition_oldest_timestamp_seconds{condition="Accepted",reason="NoStatus",status="Unknown"} 50
minicluster_status_condition_oldest_timestamp_seconds{condition="Accepted",reason="Valid",status="True"} 10
minicluster_status_condition_oldest_timestamp_seconds{condition="Ready",reason="CertificateLost",status="False"} 100
minicluster_status_condition_oldest_timestamp_seconds{condition="Ready",reason="NotReady",status="False"} 200
minicluster_status_condition_oldest_timestamp_seconds{condition="Ready",reason="Ready",status="True"} 400
`, exposed())
}
