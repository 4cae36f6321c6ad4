package resources

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

func TestVolumeNamesAreValidAndUnique(t *testing.T) {
	named := func(namespace, name, uid string) *v1alpha2.MiniCluster {
		mc := sample.MiniCluster()
		mc.Namespace, mc.Name, mc.UID = namespace, name, types.UID(uid)
		return mc
	}
	assert.NotEqual(t, VolumeClaimName(named("n", "a", "1"), "b-c"), VolumeClaimName(named("n", "a-b", "1"), "c"))
	assert.NotEqual(t, PersistentVolumeName(named("n-a", "b", "12345678"), "c"), PersistentVolumeName(named("n", "a-b", "12345678"), "c"))
	assert.NotEqual(t, PersistentVolumeName(named("n", "a", "12345678-1"), "c"), PersistentVolumeName(named("n", "a", "22345678-1"), "c"),
		"a MiniCluster that is created again")

	longest := named(strings.Repeat("n", 63), strings.Repeat("m", 61), "3f6c1a52-8a3e-4d31-9c35-6f1e4ab3a001")
	key := strings.Repeat("k", 63)
	assert.Empty(t, validation.IsDNS1123Subdomain(PersistentVolumeName(longest, key)))
	assert.Empty(t, validation.IsDNS1123Subdomain(VolumeClaimName(longest, key)))
}
