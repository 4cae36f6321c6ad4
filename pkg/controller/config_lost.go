package controller

import (
	"encoding/json"
	"fmt"
	"strings"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// configHash is the value of AnnotationConfigHash: what the ConfigMap holds, but for
// what follows from fields that may change.
func configHash(mc *v1alpha2.MiniCluster, f Facts) (string, error) {
	mc = mc.DeepCopy()
	mc.Spec.Size, mc.Spec.MaxSize = new(f.Maximum), f.Maximum
	mc.Spec.MinSize, mc.Spec.ScaleDown, mc.Spec.Cleanup = 0, nil, false
	v1alpha2.SetDefaults(mc)
	conf, err := BuildConfigMap(mc, f, f.Maximum, nil)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(conf.Data)
	if err != nil {
		return "", fmt.Errorf("encoding the configuration: %w", err)
	}
	return hash(text), nil
}

// sameConfig tells whether a ConfigMap that is made now is the one that the Job was
// made with. A spec that nobody has edited is enough: another version of this
// controller may write the same in other words.
func (s *syncState) sameConfig() bool {
	now, err := configHash(s.mc, s.facts)
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
		"%s, or delete Job %q to start again with the spec as it is", ConfigMapName(s.mc), back, JobName(s.mc))
}
