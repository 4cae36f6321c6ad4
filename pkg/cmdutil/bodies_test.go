package cmdutil

import (
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/stretchr/testify/assert"
)

func TestWithoutBodies(t *testing.T) {
	var lines []string
	log := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{Verbosity: 10})
	filtered := redactBodies(log)
	for name, logger := range map[string]logr.Logger{
		"itself": filtered,
		"values": filtered.WithValues("a", "b"),
		"name":   filtered.WithName("n"),
		"depth":  filtered.WithCallDepth(2),
		"level":  filtered.V(9),
	} {
		t.Run(name, func(t *testing.T) {
			lines = nil
			logger.V(8).Info("Request Body", "body", "secret")
			logger.V(8).Info("Response Body", "body", "secret")
			assert.Empty(t, lines)
			logger.Info("Response", "status", "200 OK")
			assert.Len(t, lines, 1)
		})
	}
	assert.Equal(t, logr.Discard(), redactBodies(logr.Discard()))
}
