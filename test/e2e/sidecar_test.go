package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

// TestFailedSidecar: the work is complete, and the exit code of the sidecar is reported.
func TestFailedSidecar(t *testing.T) {
	kube, namespace := shared(t)
	apply(t, kube, namespace, fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: car}
spec:
  size: 2
  containers:
    - image: %s
      # The kubelet may start the sidecar after Flux has ended.
      command: sh -c "until test -e /data/ended; do sleep 0.1; done"
      launcher: true
      runFlux: true
      volumes: {data: {path: /data, emptyDir: true}}
    - name: uploader
      image: %[1]s
      command: touch /data/ended; exit 3
      volumes: {data: {path: /data, emptyDir: true}}
`, fluxImage))
	eventuallyCondition(t, kube, namespace, "car", v1alpha2.ConditionComplete, metav1.ConditionTrue, v1alpha2.ReasonComplete)
	f := fixtureIn(t, kube, namespace)
	f.WaitFor("car", user.HasReason(v1alpha2.ConditionComplete, v1alpha2.ReasonComplete, "sidecar uploader of pod car-0-", "exit code 3"))
	job := f.Job("car")
	assert.Zero(t, job.Status.Failed)
}
