package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
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
