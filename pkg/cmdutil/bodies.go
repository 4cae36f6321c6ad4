package cmdutil

import (
	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// redactBodies returns a logger that omits the bodies of requests and responses. client-go
// logs them at high verbosity, and they contain certificates and passwords.
func redactBodies(logger klog.Logger) klog.Logger {
	sink := logger.GetSink()
	if sink == nil {
		return logger
	}
	if s, ok := sink.(logr.CallDepthLogSink); ok {
		sink = s.WithCallDepth(1)
	}
	return logger.WithSink(bodyFilter{sink})
}

// bodyFilter is a LogSink that drops client-go's messages about bodies.
type bodyFilter struct {
	logr.LogSink
}

// Info logs the message unless it contains a body.
func (f bodyFilter) Info(level int, msg string, keysAndValues ...any) {
	if msg == "Request Body" || msg == "Response Body" {
		return
	}
	f.LogSink.Info(level, msg, keysAndValues...)
}

// WithValues returns a derived sink with the same filter.
func (f bodyFilter) WithValues(keysAndValues ...any) logr.LogSink {
	return bodyFilter{f.LogSink.WithValues(keysAndValues...)}
}

// WithName returns a derived sink with the same filter.
func (f bodyFilter) WithName(name string) logr.LogSink {
	return bodyFilter{f.LogSink.WithName(name)}
}

// WithCallDepth returns a derived sink with the same filter.
func (f bodyFilter) WithCallDepth(depth int) logr.LogSink {
	if s, ok := f.LogSink.(logr.CallDepthLogSink); ok {
		return bodyFilter{s.WithCallDepth(depth)}
	}
	return f
}
