package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// Edits of a Service that pods depend on are reverted, and not in a hot loop.
func TestEditedServices(t *testing.T) {
	for name, change := range map[string]func(*corev1.Service){
		"a":     func(s *corev1.Service) { s.Spec.Selector["x"], s.Spec.PublishNotReadyAddresses = "y", false },
		"nginx": func(s *corev1.Service) { s.Spec.Selector, s.Spec.Ports[0].Port = map[string]string{"x": "y"}, 81 },
	} {
		t.Run(name, func(t *testing.T) {
			p := startPlay(t, nil, variant{beside: true})
			p.calm()
			service := func() *corev1.Service { return p.objects[services][name].(*corev1.Service) }
			before := service().Spec.DeepCopy()
			edit(p.world, services, name, change)
			p.calm()
			require.Equal(t, *before, service().Spec)
			assert.Equal(t, 1, p.events["EditReverted"])
			reverted := 0
			p.reviews = append(p.reviews, func(verb string, r cachedResource, _, _ apiObject) {
				if verb == "patch" && r == services {
					reverted++
				}
			})
			for range 600 { // another controller insists
				edit(p.world, services, name, change)
				p.seeAll()
				p.work(20)
				p.clock.Step(time.Second)
			}
			assert.Less(t, reverted, 15, "corrections in ten minutes")
			assert.Positive(t, reverted)
		})
	}
}

// Edits of the brokers' configuration are reverted; one that the spec no longer describes is reported.
func TestEditedConfigMap(t *testing.T) {
	p := startPlay(t, nil, variant{})
	p.calm()
	config := func() *corev1.ConfigMap { return p.objects[configmaps][configMapOf(p)].(*corev1.ConfigMap) }
	before := config().DeepCopy()
	for _, change := range []func(*corev1.ConfigMap){
		func(m *corev1.ConfigMap) { m.Data[resources.KeyQuorum] = "99" },
		func(m *corev1.ConfigMap) { m.Data[resources.KeyBrokerConfig], m.Data["extra"] = "", "x" },
		func(m *corev1.ConfigMap) { m.Data = nil },
	} {
		edit(p.world, configmaps, configMapOf(p), change)
		p.clock.Step(10 * time.Minute)
		p.calm()
		require.Equal(t, before.Data, config().Data)
		require.Equal(t, before.Annotations, config().Annotations)
	}
	assert.Equal(t, 3, p.events["EditReverted"])
	// An earlier release recorded no hash.
	edit(p.world, configmaps, configMapOf(p), func(m *corev1.ConfigMap) {
		delete(m.Annotations, v1alpha2.AnnotationDataHash)
		m.Data[resources.KeyBrokerConfig] += "# another format"
	})
	p.clock.Step(10 * time.Minute)
	p.calm()
	assert.Contains(t, config().Data[resources.KeyBrokerConfig], "# another format")
	assert.Equal(t, 3, p.events["EditReverted"])
}

// configMapOf returns the name of the ConfigMap of a play.
func configMapOf(p *play) string {
	for name := range p.objects[configmaps] {
		return name
	}
	return ""
}
