package promserver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestForPods(t *testing.T) {
	t.Parallel()
	pod := func(namespace, ip string) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "p", Labels: map[string]string{"app.kubernetes.io/name": "x"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: 80, Protocol: corev1.ProtocolTCP}}}}},
			Status:     corev1.PodStatus{PodIP: ip, Phase: corev1.PodRunning},
		}
	}
	const config = `
scrape_configs:
  - job_name: a
    kubernetes_sd_configs: [{role: pod, namespaces: {names: [here]}}]
    relabel_configs: [{source_labels: [__meta_kubernetes_pod_phase], regex: Running, action: keep}]
  - job_name: b
    static_configs: [{targets: ["127.0.0.1:1"]}]
`
	got, err := ForPods(config, time.Second, []corev1.Pod{pod("here", "10.0.0.1"), pod("there", "10.0.0.2"), pod("here", "")})
	require.NoError(t, err)
	assert.Equal(t, `global:
  evaluation_interval: 1s
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
- job_name: a
  relabel_configs:
  - action: keep
    regex: Running
    source_labels:
    - __meta_kubernetes_pod_phase
  static_configs:
  - labels:
      __meta_kubernetes_namespace: here
      __meta_kubernetes_pod_container_image: ""
      __meta_kubernetes_pod_container_name: c
      __meta_kubernetes_pod_container_port_name: metrics
      __meta_kubernetes_pod_container_port_number: "80"
      __meta_kubernetes_pod_container_port_protocol: TCP
      __meta_kubernetes_pod_host_ip: ""
      __meta_kubernetes_pod_ip: 10.0.0.1
      __meta_kubernetes_pod_label_app_kubernetes_io_name: x
      __meta_kubernetes_pod_labelpresent_app_kubernetes_io_name: "true"
      __meta_kubernetes_pod_name: p
      __meta_kubernetes_pod_node_name: ""
      __meta_kubernetes_pod_phase: Running
      __meta_kubernetes_pod_uid: ""
    targets:
    - 10.0.0.1:80
- job_name: b
  static_configs:
  - targets:
    - 127.0.0.1:1
`, got)

	for text, want := range map[string]string{
		"scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: service}]}]": "job a: kubernetes_sd_configs has to be one of the role pod",
		"scrape_configs: [{job_name: a, kubernetes_sd_configs: [{rule: pod}]}]":     "job a: reading kubernetes_sd_configs",
		"scrape_configs: {": "reading the configuration",
	} {
		_, err := ForPods(text, time.Second, nil)
		assert.ErrorContains(t, err, want)
	}
}
