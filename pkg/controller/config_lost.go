package controller

import (
	"fmt"
	"strings"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// sameConfig tells whether a ConfigMap that is made now is the one that the Job was
// made with. A spec that nobody has edited is enough: another version of this
// controller may write the same in other words.
func (s *syncState) sameConfig() bool {
	now, err := resources.ConfigHash(s.mc, s.fixed, s.environment)
	if err != nil {
		return false // only an edit can have made the spec impossible
	}
	return len(s.seen.edited) == 0 || now == s.job.Annotations[v1alpha2.AnnotationConfigHash]
}

func (s *syncState) configLostMessage() string {
	back := "put the spec back"
	if len(s.seen.edited) > 0 {
		back = "put back " + strings.Join(s.seen.edited, ", ")
	}
	return fmt.Sprintf("ConfigMap %q of the running brokers is gone, no pod can start without it, and the spec now describes another one; "+
		"%s, or delete Job %q to start again with the spec as it is", resources.ConfigMapName(s.mc), back, resources.JobName(s.mc))
}
