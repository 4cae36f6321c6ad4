package v1alpha2

import (
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// everyParent has all objects whose fields have defaults.
func everyParent() *MiniCluster {
	return &MiniCluster{
		ObjectMeta: metav1.ObjectMeta{Name: "work", Namespace: "team"},
		Spec: MiniClusterSpec{
			MinSize:    3,
			Containers: []MiniClusterContainer{{FluxUser: &FluxUser{}}},
			Services:   []MiniClusterContainer{{}},
			ScaleDown:  &ScaleDown{},
			Flux: &FluxSpec{
				Container: &FluxContainer{},
				Bursting:  &Bursting{LeadBroker: &LeadBroker{}},
			},
			Volumes:     map[string]MiniClusterVolume{"data": {}},
			FluxRestful: &FluxRestful{},
		},
	}
}

func TestDropDefaultsIsTheInverseOfSetDefaults(t *testing.T) {
	mc := everyParent()
	SetDefaults(mc)
	assert.NotEqual(t, everyParent(), mc)
	assert.EqualValues(t, 3, *mc.Spec.Size, "the smallest size")

	set := mc.DeepCopy()
	SetDefaults(set)
	assert.Equal(t, mc, set, "defaults are set once")

	DropDefaults(mc)
	assert.Equal(t, everyParent(), mc)
	DropDefaults(mc)
	assert.Equal(t, everyParent(), mc, "nothing else is dropped")
}

func TestDropDefaultsKeepsWhatTheUserWrote(t *testing.T) {
	mc := everyParent()
	mc.Spec.Tasks, mc.Spec.DeadlineSeconds = new(int32(2)), new(int64(0))
	mc.Spec.Flux.LogLevel = new(int32(0))
	mc.Spec.Volumes["data"] = MiniClusterVolume{Delete: new(false), SecretNamespace: "other"}
	want := mc.DeepCopy()
	DropDefaults(mc)
	assert.Equal(t, want, mc)
}
