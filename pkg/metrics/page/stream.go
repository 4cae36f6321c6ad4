package page

import (
	"crypto/sha256"
	"net/http"
	"time"

	"k8s.io/klog/v2"
)

// Bounds of the streams.
const (
	// mostStreams may be open at a time.
	mostStreams = 100
	// streamLife is how long one lasts. A browser then opens another one, and who asks and
	// what they may see is found out again.
	streamLife = time.Minute
	// streamPatience is how long somebody may take to read what there is to read.
	streamPatience = 10 * time.Second
	// streamRetry is when a browser opens the next one, in milliseconds.
	streamRetry = "500"
)

// streams counts and ends those who have the page updated.
type streams struct {
	places chan struct{}
	// ended is closed when there will be nothing new.
	ended          <-chan struct{}
	life, patience time.Duration
}

func newStreams(r *Recorder) *streams {
	return &streams{places: make(chan struct{}, mostStreams), ended: r.ended, life: streamLife, patience: streamPatience}
}

// stream sends the parts of the page that have changed, as server-sent events, whenever there
// is a new record. It ends with the client, with the server, when its time is over, and when
// the client is too slow.
func (h *handler) stream(w http.ResponseWriter, r *http.Request, s *scope, q query) {
	select {
	case h.streams.places <- struct{}{}:
		defer func() { <-h.streams.places }()
	default:
		w.Header().Set("Retry-After", "30")
		http.Error(w, "Too many have this page updated already.", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	send := func(text []byte) bool {
		// Not every server can bound a write; what ends the stream then is the connection.
		_ = control.SetWriteDeadline(time.Now().Add(h.streams.patience))
		if _, err := w.Write(text); err != nil {
			return false
		}
		if control.Flush() != nil {
			return false
		}
		// HTTP/2 would end the stream at that time, though nothing is left to be written.
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
		next := h.recorder.following()
		now := h.drawings.draw(s, q)
		if now.err != nil {
			klog.FromContext(r.Context()).Error(now.err, "The page can't be updated")
			return
		}
		if !send(now.news(sent)) {
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

// state is another one whenever there is something else to see.
func (r *Recorder) state() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.version
}

// following is closed when there is another record than the present one.
func (r *Recorder) following() <-chan struct{} {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.next
}
