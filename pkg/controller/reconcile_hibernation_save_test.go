package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/controller/drain/agents"
)

func TestHibernateRetry(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		0: hibernatePoll, 1: hibernatePoll, 2: 2 * hibernatePoll, 4: 8 * hibernatePoll, 5: maxHibernatePoll, 1000: maxHibernatePoll,
	} {
		assert.Equal(t, want, hibernateRetry(&agents.HibernateAnswer{Failures: failures}), "%d failures", failures)
	}
}
