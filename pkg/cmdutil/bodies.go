package cmdutil

import (
	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// RedactBodies keeps the bodies of requests and responses out of a log. client-go
// logs them at high verbosity, and they carry certificates and passwords.
func RedactBodies(logger klog.Logger) klog.Logger {
	sink := logger.GetSink()
	if sink == nil {
		return logger
	}
	if s, ok := sink.(logr.CallDepthLogSink); ok {
		sink = s.WithCallDepth(1)
	}
	return logger.WithSink(bodyFilter{sink})
}

// bodyFilter is a LogSink that drops what client-go says about bodies.
type bodyFilter struct {
	logr.LogSink
}

// Info logs, unless the message is that of a body.
func (f bodyFilter) Info(level int, msg string, keysAndValues ...any) {
	if msg == "Request Body" || msg == "Response Body" {
		return
	}
	f.LogSink.Info(level, msg, keysAndValues...)
}

// WithValues keeps the filter on a derived sink.
func (f bodyFilter) WithValues(keysAndValues ...any) logr.LogSink {
	return bodyFilter{f.LogSink.WithValues(keysAndValues...)}
}

// WithName keeps the filter on a derived sink.
func (f bodyFilter) WithName(name string) logr.LogSink {
	return bodyFilter{f.LogSink.WithName(name)}
}

// WithCallDepth keeps the filter on a derived sink.
func (f bodyFilter) WithCallDepth(depth int) logr.LogSink {
	if s, ok := f.LogSink.(logr.CallDepthLogSink); ok {
		return bodyFilter{s.WithCallDepth(depth)}
	}
	return f
}
