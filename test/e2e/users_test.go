package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestUsersOfTheSite: files that two users with the numbers of their site write through jobs belong to these numbers.
// No user but root can read the keys of the cluster. The broker is root: the Flux of the tests has no flux-imp, with
// which another broker starts the jobs of other users.
func TestUsersOfTheSite(t *testing.T) {
	kube, namespace := shared(t)
	lead := start(t, kube, namespace, "flux-sample", 1, fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata: {name: flux-sample}
spec:
  size: 1
  interactive: true
  users:
    - {name: ada, uid: 20417, gid: 2000}
    - {name: grace, uid: 20418, gid: 2001}
  containers:
    - image: %s
      commands: {runFluxAsRoot: true}
      volumes:
        shared: {path: /shared, emptyDir: true}
`, fluxImage))[0]
	for user, owner := range map[string]string{"ada": "20417:2000", "grace": "20418:2001"} {
		execute(t, kube, lead, "su", user, "-s", "/bin/sh", "-c", agent+" flux -- run touch /shared/"+user)
		assert.Equal(t, owner+"\n", execute(t, kube, lead, "stat", "-c", "%u:%g", "/shared/"+user))
		for _, file := range []string{"/etc/minicluster/curve/curve.cert", "/etc/minicluster/curve/passwords.json", "/etc/curve/curve.cert"} {
			assert.Equal(t, "refused\n", execute(t, kube, lead, "su", user, "-s", "/bin/sh", "-c", "cat "+file+" 2>/dev/null || echo refused"), file)
		}
	}
}
