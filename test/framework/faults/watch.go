package faults

import (
	"io"
	"slices"
	"sync"
	"time"
)

// gate holds or delays the content of watches.
type gate struct {
	match Match
	open  chan struct{} // holds until it is closed; nil for a delay
	delay time.Duration
}

// CutWatches ends the open watches that match, as a server or a proxy does. It returns their number.
func (i *Injector) CutWatches(match Match) int {
	i.mu.Lock()
	var cut []*stream
	for s := range i.streams {
		if match(s.request) {
			cut = append(cut, s)
		}
	}
	i.mu.Unlock()
	for _, s := range cut {
		_ = s.end()
	}
	return len(cut)
}

// OpenWatches returns the number of open watches that match.
func (i *Injector) OpenWatches(match Match) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	for s := range i.streams {
		if match(s.request) {
			n++
		}
	}
	return n
}

// HoldWatches holds the content of watches that match, open ones and later ones, until the returned function is
// called.
func (i *Injector) HoldWatches(match Match) (release func()) {
	g := &gate{match: match, open: make(chan struct{})}
	i.addGate(g)
	return sync.OnceFunc(func() {
		i.removeGate(g)
		close(g.open)
	})
}

// DelayWatches delays the content of watches that match, open ones and later ones, until the returned function is
// called.
func (i *Injector) DelayWatches(match Match, d time.Duration) (stop func()) {
	g := &gate{match: match, delay: d}
	i.addGate(g)
	return sync.OnceFunc(func() { i.removeGate(g) })
}

func (i *Injector) addGate(g *gate) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.gates = append(i.gates, g)
}

func (i *Injector) removeGate(g *gate) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.gates = slices.DeleteFunc(i.gates, func(other *gate) bool { return other == g })
}

func (i *Injector) gatesOf(request Request) []*gate {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []*gate
	for _, g := range i.gates {
		if g.match(request) {
			out = append(out, g)
		}
	}
	return out
}

// chunk is a piece of the content of a watch.
type chunk struct {
	data []byte
	at   time.Time
}

// stream is the body of a watch. One goroutine reads it from the server and records the time, another one passes it
// to the client when it is due.
type stream struct {
	injector *Injector
	request  Request
	body     io.ReadCloser
	out      *io.PipeReader
	closed   chan struct{}
	once     sync.Once
}

// maxChunks is the number of pieces that a held watch stores before it stops reading from the server.
const maxChunks = 1 << 16

func (i *Injector) follow(request Request, body io.ReadCloser) io.ReadCloser {
	out, in := io.Pipe()
	s := &stream{injector: i, request: request, body: body, out: out, closed: make(chan struct{})}
	i.mu.Lock()
	i.streams[s] = struct{}{}
	dead := i.isDead()
	i.mu.Unlock()
	chunks := make(chan chunk, maxChunks)
	go s.receive(chunks)
	go s.deliver(chunks, in)
	if dead {
		_ = s.end()
	}
	return s
}

func (s *stream) receive(chunks chan<- chunk) {
	defer close(chunks)
	for {
		buffer := make([]byte, 32<<10)
		n, err := s.body.Read(buffer)
		if n > 0 {
			select {
			case chunks <- chunk{buffer[:n], time.Now()}:
			case <-s.closed:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (s *stream) deliver(chunks <-chan chunk, in *io.PipeWriter) {
	defer func() { _ = in.Close() }() // which never fails
	for c := range chunks {
		select {
		case <-s.closed:
			return
		default:
		}
		for _, g := range s.injector.gatesOf(s.request) {
			if !s.wait(g, c.at) {
				return
			}
		}
		if _, err := in.Write(c.data); err != nil {
			return
		}
	}
}

// wait returns false when the watch has ended.
func (s *stream) wait(g *gate, arrived time.Time) bool {
	var due <-chan time.Time
	if g.open == nil {
		due = time.After(time.Until(arrived.Add(g.delay)))
	}
	select {
	case <-g.open:
		return true
	case <-due:
		return true
	case <-s.closed:
		return false
	}
}

// Read returns content that is due.
func (s *stream) Read(p []byte) (int, error) { return s.out.Read(p) }

// Close ends the watch for the client.
func (s *stream) Close() error {
	err := s.end()
	_ = s.out.Close()
	return err
}

// end ends the watch as the server would: the client reads to the end.
func (s *stream) end() error {
	var err error
	s.once.Do(func() {
		s.injector.mu.Lock()
		delete(s.injector.streams, s)
		s.injector.mu.Unlock()
		close(s.closed)
		err = s.body.Close()
	})
	return err
}
