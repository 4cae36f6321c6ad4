package page

import (
	"crypto/sha256"
	"net/http"
	"time"

	"k8s.io/klog/v2"
)

// Limits of the streams.
const (
	// maxStreams is the number of streams that may be open at the same time.
	maxStreams = 100
	// streamLife is the duration of a stream. The browser then opens the next one, which is
	// authenticated and authorized again.
	streamLife = time.Minute
	// writeTimeout is the time for a client to read an event.
	writeTimeout = 10 * time.Second
	// streamRetry is the delay after which a browser opens the next stream, in milliseconds.
	streamRetry = "500"
)

// streams limits and ends streams.
type streams struct {
	slots chan struct{}
	// ended is closed when there will be no more updates.
	ended         <-chan struct{}
	life, timeout time.Duration
}

func newStreams(r *Recorder) *streams {
	return &streams{slots: make(chan struct{}, maxStreams), ended: r.ended, life: streamLife, timeout: writeTimeout}
}

// stream sends the changed parts of the page as server-sent events after each record. It ends when the
// client disconnects or is too slow, when the server stops, or after streamLife.
func (h *handler) stream(w http.ResponseWriter, r *http.Request, s *scope, q query) {
	select {
	case h.streams.slots <- struct{}{}:
		defer func() { <-h.streams.slots }()
	default:
		w.Header().Set("Retry-After", "30")
		http.Error(w, "Too many clients receive updates of the page.", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	send := func(text []byte) bool {
		// If the server does not support deadlines, the stream ends with the connection.
		_ = control.SetWriteDeadline(time.Now().Add(h.streams.timeout))
		if _, err := w.Write(text); err != nil {
			return false
		}
		if control.Flush() != nil {
			return false
		}
		// HTTP/2 would end the stream at the deadline even without a pending write.
		_ = control.SetWriteDeadline(time.Time{})
		return true
	}
	if !send([]byte("retry: " + streamRetry + "\n\n")) {
		return
	}
	over := time.NewTimer(h.streams.life)
	defer over.Stop()
	sent := map[string][sha256.Size]byte{}
	for {
		h.recorder.read(r.Context())
		next := h.recorder.nextRecord()
		now := h.drawings.draw(s, q)
		if now.err != nil {
			klog.FromContext(r.Context()).Error(now.err, "Failed to render an update of the page")
			return
		}
		if !send(now.update(sent)) {
			return
		}
		select {
		case <-next:
		case <-over.C:
			return
		case <-h.streams.ended:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// currentVersion changes whenever the content of the page changes.
func (r *Recorder) currentVersion() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.version
}

// nextRecord returns a channel that is closed at the next record.
func (r *Recorder) nextRecord() <-chan struct{} {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.next
}
