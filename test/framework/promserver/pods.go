package promserver

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// ForPods changes a configuration for a Prometheus in a cluster to scrape given pods at an interval. Debian's
// Prometheus is built without kubernetes_sd_configs (of pods), so the configuration lists the targets that they would
// find. The rest, in particular relabeling, does not change.
func ForPods(config string, interval time.Duration, pods []corev1.Pod) (string, error) {
	var all map[string]any
	if err := yaml.UnmarshalStrict([]byte(config), &all); err != nil {
		return "", fmt.Errorf("reading the configuration: %w", err)
	}
	all["global"] = map[string]any{
		"scrape_interval": interval.String(), "scrape_timeout": interval.String(), "evaluation_interval": interval.String(),
	}
	jobs, _ := all["scrape_configs"].([]any)
	for _, one := range jobs {
		job, ok := one.(map[string]any)
		if !ok || job["kubernetes_sd_configs"] == nil {
			continue
		}
		namespaces, err := discovered(job["kubernetes_sd_configs"])
		if err != nil {
			return "", fmt.Errorf("job %v: %w", job["job_name"], err)
		}
		delete(job, "kubernetes_sd_configs")
		var targets []any
		for i := range pods {
			if len(namespaces) == 0 || slices.Contains(namespaces, pods[i].Namespace) {
				targets = append(targets, podTargets(&pods[i])...)
			}
		}
		job["static_configs"] = targets
	}
	text, err := yaml.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("writing the configuration: %w", err)
	}
	return string(text), nil
}

// discovered returns the namespaces in which a job looks for pods; none means all.
func discovered(from any) ([]string, error) {
	text, err := yaml.Marshal(from)
	if err != nil {
		return nil, fmt.Errorf("reading kubernetes_sd_configs: %w", err)
	}
	var configs []struct {
		Role       string `json:"role"`
		Namespaces struct {
			Names []string `json:"names"`
		} `json:"namespaces"`
	}
	if err := yaml.UnmarshalStrict(text, &configs); err != nil {
		return nil, fmt.Errorf("reading kubernetes_sd_configs: %w", err)
	}
	if len(configs) != 1 || configs[0].Role != "pod" {
		return nil, fmt.Errorf("kubernetes_sd_configs has to be one of the role pod, to be replaced:\n%s", text)
	}
	return configs[0].Namespaces.Names, nil
}

var notInLabels = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// podTargets returns the targets that Prometheus derives from a pod, one for each port, with the labels that its
// documentation has for the role pod.
func podTargets(pod *corev1.Pod) []any {
	if pod.Status.PodIP == "" {
		return nil
	}
	common := map[string]string{
		"__meta_kubernetes_namespace":     pod.Namespace,
		"__meta_kubernetes_pod_name":      pod.Name,
		"__meta_kubernetes_pod_ip":        pod.Status.PodIP,
		"__meta_kubernetes_pod_phase":     string(pod.Status.Phase),
		"__meta_kubernetes_pod_node_name": pod.Spec.NodeName,
		"__meta_kubernetes_pod_host_ip":   pod.Status.HostIP,
		"__meta_kubernetes_pod_uid":       string(pod.UID),
	}
	for kind, values := range map[string]map[string]string{"label": pod.Labels, "annotation": pod.Annotations} {
		for name, value := range values {
			name = notInLabels.ReplaceAllString(name, "_")
			common["__meta_kubernetes_pod_"+kind+"_"+name] = value
			common["__meta_kubernetes_pod_"+kind+"present_"+name] = "true"
		}
	}
	var targets []any
	for _, container := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		labels := maps.Clone(common)
		labels["__meta_kubernetes_pod_container_name"] = container.Name
		labels["__meta_kubernetes_pod_container_image"] = container.Image
		if len(container.Ports) == 0 {
			targets = append(targets, map[string]any{"targets": []string{pod.Status.PodIP}, "labels": labels})
		}
		for _, port := range container.Ports {
			labels := maps.Clone(labels)
			number := strconv.Itoa(int(port.ContainerPort))
			labels["__meta_kubernetes_pod_container_port_name"] = port.Name
			labels["__meta_kubernetes_pod_container_port_number"] = number
			labels["__meta_kubernetes_pod_container_port_protocol"] = strings.ToUpper(string(port.Protocol))
			targets = append(targets, map[string]any{"targets": []string{net.JoinHostPort(pod.Status.PodIP, number)}, "labels": labels})
		}
	}
	return targets
}
