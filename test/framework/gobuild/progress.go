package gobuild

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// A terminal shows one line that changes; a log file gets a line at intervals.
	terminalInterval = 500 * time.Millisecond
	logInterval      = 15 * time.Second
)

// Progress shows the progress of the go command. It reads the go command's messages as an io.Writer.
type Progress struct {
	out      io.Writer
	terminal bool
	started  time.Time
	stop     chan struct{}
	stopped  chan struct{}

	mu       sync.Mutex
	partial  []byte
	phase    string
	fetched  int
	compiled int
	total    int
	shown    string
}

// NewProgress returns the progress of a build, which is shown on out.
func NewProgress(out io.Writer) *Progress {
	p := &Progress{
		out:      out,
		terminal: isTerminal(out),
		started:  time.Now(),
		phase:    "looking for what to compile",
		stop:     make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	go p.loop()
	return p
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *Progress) loop() {
	defer close(p.stopped)
	interval := logInterval
	if p.terminal {
		interval = terminalInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.mu.Lock()
			p.show()
			p.mu.Unlock()
		case <-p.stop:
			return
		}
	}
}

// Say begins a new phase and shows it at once.
func (p *Progress) Say(phase string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = phase
	p.total = 0
	p.show()
}

// Compiling begins the phase in which packages are counted.
func (p *Progress) Compiling(what string, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = "compiling " + what
	p.compiled, p.total = 0, total
	if total > manyPackages {
		p.eraseLine()
		fmt.Fprintf(p.out, firstTime+"\n", what)
	}
	p.show()
}

const (
	manyPackages = 1000
	firstTime    = "Compiling %s takes minutes the first time. Go caches the result."
)

// Finish keeps the last line on the screen.
func (p *Progress) Finish() {
	close(p.stop)
	<-p.stopped
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal && p.shown != "" {
		fmt.Fprintln(p.out)
	}
}

// Write implements io.Writer for the go command's messages.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.partial = append(p.partial, b...)
	for {
		line, rest, found := bytes.Cut(p.partial, []byte("\n"))
		if !found {
			return len(b), nil
		}
		p.partial = rest
		switch text := string(line); {
		case strings.HasPrefix(text, "go: downloading "):
			p.fetched++
		case isPackage(text):
			p.compiled++
		}
	}
}

// line returns the text to show. A program is linked after its package was announced, so when all packages have been
// announced, the linker is running.
func (p *Progress) line() string {
	elapsed := time.Since(p.started).Round(time.Second)
	switch {
	case p.total > 0 && p.compiled >= p.total:
		return fmt.Sprintf("%s: linking, %v", p.phase, elapsed)
	case p.total > 0:
		return fmt.Sprintf("%s: %d of %d packages, %v", p.phase, p.compiled, p.total, elapsed)
	case p.fetched > 0:
		return fmt.Sprintf("%s: %d modules fetched, %v", p.phase, p.fetched, elapsed)
	default:
		return fmt.Sprintf("%s, %v", p.phase, elapsed)
	}
}

func (p *Progress) show() {
	line := p.line()
	if line == p.shown {
		return
	}
	p.shown = line
	p.eraseLine()
	fmt.Fprint(p.out, line)
	if !p.terminal {
		fmt.Fprintln(p.out)
	}
}

func (p *Progress) eraseLine() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
