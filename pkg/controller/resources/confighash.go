package resources

import (
	"encoding/json"
	"fmt"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// ConfigHash returns the value of AnnotationConfigHash: a hash of the content of the ConfigMap, without the parts
// that depend on mutable fields.
func ConfigHash(mc *v1alpha2.MiniCluster, f Fixed, env Environment) (string, error) {
	mc = mc.DeepCopy()
	mc.Spec.Size, mc.Spec.MaxSize = new(f.Maximum), f.Maximum
	mc.Spec.MinSize, mc.Spec.ScaleDown, mc.Spec.Cleanup = 0, nil, false
	v1alpha2.SetDefaults(mc)
	conf, err := BuildConfigMap(mc, f, env, f.Maximum, nil)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(conf.Data)
	if err != nil {
		return "", fmt.Errorf("encoding the configuration: %w", err)
	}
	return hash(text), nil
}
