package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// oldestMinor is the oldest minor version of Kubernetes that the operator supports.
const oldestMinor = 27

// leaseTimeout is how long after its last renewal a lease says that no controller runs. It is longer than the duration
// of the lease, since clocks differ.
const leaseTimeout = time.Minute

// checkInstallation checks the API and the controller.
func (s *session) checkInstallation(ctx context.Context) []finding {
	findings := []finding{s.checkServer(), s.checkAPI()}
	return append(findings, s.checkController(ctx)...)
}

func (s *session) checkServer() finding {
	server, err := s.kube.Discovery().ServerVersion()
	if err != nil {
		return problem("server", "the API server does not answer: %v", err)
	}
	var minor int
	if _, err := fmt.Sscanf(server.Minor, "%d", &minor); err == nil && minor < oldestMinor {
		return problem("server", "Kubernetes %s is older than 1.%d, the oldest version that works", server.GitVersion, oldestMinor)
	}
	return good("server", "Kubernetes %s", server.GitVersion)
}

// controllerSelector selects the Deployment of the controller and its pods.
var controllerSelector = v1alpha2.LabelName + "=" + v1alpha2.ManagedBy

// deployments lists the Deployments of the controller in all namespaces.
func (s *session) deployments(ctx context.Context) ([]appsv1.Deployment, error) {
	list, err := s.kube.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: controllerSelector})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// controllers describes the Deployments of the controller.
func (s *session) controllers(ctx context.Context) []string {
	deployments, err := s.deployments(ctx)
	if err != nil {
		return []string{fmt.Sprintf("Controller:  unknown: %v", err)}
	}
	var lines []string
	for i := range deployments {
		d := &deployments[i]
		lines = append(lines, fmt.Sprintf("Controller:  %s/%s %s", d.Namespace, d.Name, strings.Join(images(d), ", ")))
	}
	return lines
}

func images(d *appsv1.Deployment) []string {
	var names []string
	for _, c := range d.Spec.Template.Spec.Containers {
		names = append(names, c.Image)
	}
	return names
}

// checkController checks that a controller runs and renews its lease.
func (s *session) checkController(ctx context.Context) []finding {
	const check = "controller"
	deployments, err := s.deployments(ctx)
	if err != nil {
		return []finding{unknown(check, err)}
	}
	if len(deployments) == 0 {
		return []finding{s.checkOutside(ctx)}
	}
	var findings []finding
	for i := range deployments {
		d := &deployments[i]
		if d.Status.AvailableReplicas == 0 {
			findings = append(findings, problem(check, "Deployment %s/%s has no available replica%s: see `kubectl describe deployment %s -n %s`",
				d.Namespace, d.Name, deploymentReason(d), d.Name, d.Namespace))
			continue
		}
		findings = append(findings, s.checkLease(ctx, d))
	}
	return findings
}

// checkOutside looks for the lease of a controller that runs without a Deployment, for example outside the cluster.
func (s *session) checkOutside(ctx context.Context) finding {
	const check = "controller"
	leases, err := s.kube.CoordinationV1().Leases(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + v1alpha2.ManagedBy})
	if err != nil {
		return unknown(check, fmt.Errorf("no Deployment has the label %s; looking for a controller without one: %w", controllerSelector, err))
	}
	for _, lease := range leases.Items {
		// A process that ends empties the identity.
		if holder := ptr.Deref(lease.Spec.HolderIdentity, ""); holder != "" && renewed(&lease) {
			return good(check, "%s holds the lease in namespace %s, without a Deployment", holder, lease.Namespace)
		}
	}
	return problem(check, "no Deployment has the label %s: install the controller, or start it", controllerSelector)
}

// renewed reports whether a controller has renewed the lease recently.
func renewed(lease *coordinationv1.Lease) bool {
	return lease.Spec.RenewTime != nil && time.Since(lease.Spec.RenewTime.Time) <= leaseTimeout
}

func deploymentReason(d *appsv1.Deployment) string {
	for _, c := range d.Status.Conditions {
		if c.Status == corev1.ConditionTrue && c.Type == appsv1.DeploymentReplicaFailure {
			return " (" + c.Message + ")"
		}
	}
	if d.Spec.Replicas != nil && *d.Spec.Replicas == 0 {
		return " (it is scaled to 0)"
	}
	return ""
}

// checkLease checks the lease of the controller of a Deployment.
func (s *session) checkLease(ctx context.Context, d *appsv1.Deployment) finding {
	const check = "controller"
	lease, err := s.kube.CoordinationV1().Leases(d.Namespace).Get(ctx, v1alpha2.ManagedBy, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && slices.Contains(d.Spec.Template.Spec.Containers[0].Args, "--leader-elect=false"):
		return good(check, "Deployment %s/%s is available", d.Namespace, d.Name)
	case apierrors.IsNotFound(err):
		return problem(check, "Deployment %s/%s has no lease: none of its replicas leads; see its log", d.Namespace, d.Name)
	case err != nil:
		return unknown(check, err)
	}
	if !renewed(lease) {
		return problem(check, "no controller of Deployment %s/%s has renewed its lease for a minute; see its log", d.Namespace, d.Name)
	}
	return good(check, "Deployment %s/%s is available and has a leader", d.Namespace, d.Name)
}
