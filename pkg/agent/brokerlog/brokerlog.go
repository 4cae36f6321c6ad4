// Package brokerlog reads what a broker writes to its standard error: it removes the prefixes for syslog, and keeps
// the errors for the report of a broker that ends. It must pass everything else on unchanged, since the program of
// the user writes to the same stream.
package brokerlog

import (
	"bufio"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// stopFailure is what a broker logs if its stop script, which saves the content, has failed.
var stopFailure = regexp.MustCompile(`\[0\]: rc3\.[0-9]+: .* \(rc=[1-9]`)

// moduleFailure is what a lead broker logs when it stops because a module failed. It may also log the messages of
// followers (log-stderr-mode), for which it does not stop.
var moduleFailure = regexp.MustCompile(`^[a-z0-9_.-]+\[0\]: \S+ module runtime failure$`)

// line is a line that a broker logs: a severity of syslog(3), and the text.
var line = regexp.MustCompile(`^<([0-7])>([a-z0-9_-]+(?:\.[a-z0-9_-]+)*\[[^\]]+\]: .*)$`)

// oldLine is a line of older versions, 0.62 for example, in which only the text has the severity.
var oldLine = regexp.MustCompile(`^[a-z0-9_-]+\.(emerg|alert|crit|err|warning|notice|info|debug)\[[^\]]+\]: `)

// severityNamed returns the number of a severity.
func severityNamed(name string) int {
	return slices.Index([]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}, name)
}

const (
	// severityError is LOG_ERR of syslog(3). Smaller numbers are more severe.
	severityError = 3
	// maxLine is the length at which longer lines are cut.
	maxLine = 4096
	// maxErrors bounds the number of kept errors.
	maxErrors = 32
	// recent is the maximal age of an error in the report.
	recent = 10 * time.Second
	// drainTimeout bounds the wait for the rest of the output, which an orphaned process of the broker keeps open.
	drainTimeout = 300 * time.Millisecond
)

// Log is the output of one broker.
type Log struct {
	read  *os.File
	write *os.File
	// level is the severity up to which lines are written.
	level int
	done  chan struct{}

	mu     sync.Mutex
	errors []entry
	// stopFailed: the stop script of Flux failed.
	stopFailed bool
	// moduleFailed: a module of the broker failed while it ran.
	moduleFailed bool
}

type entry struct {
	at   time.Time
	text string
}

// New returns the Log of a broker. It writes lines up to a severity to out, and discards all if out is nil.
func New(out io.Writer, level int) (*Log, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	l := &Log{read: read, write: write, level: level, done: make(chan struct{})}
	go l.copy(out)
	return l, nil
}

// File is the standard error of the broker. Call Started when the broker has it.
func (l *Log) File() *os.File { return l.write }

// Started closes the file for this process.
func (l *Log) Started() { l.write.Close() }

func (l *Log) copy(out io.Writer) {
	defer close(l.done)
	defer l.read.Close()
	in := bufio.NewReaderSize(l.read, maxLine)
	for {
		text, err := in.ReadSlice('\n')
		if len(text) > 0 {
			text = l.filter(text)
			if out != nil {
				_, _ = out.Write(text) // there is no log to write to
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// filter returns a line without its prefix, or nothing if its severity is above the level, and keeps it if it is an
// error.
func (l *Log) filter(text []byte) []byte {
	full := strings.TrimSuffix(string(text), "\n")
	severity, message := severityError, full // what Flux prints without logging it is an error
	if found := line.FindStringSubmatch(full); found != nil {
		severity, message = int(found[1][0]-'0'), found[2]
		text = append([]byte(message), text[len(full):]...)
		if severity > l.level {
			text = nil
		}
	} else if found := oldLine.FindStringSubmatch(full); found != nil {
		severity = severityNamed(found[1]) // such a line may be the program's own, so it is passed on
	}
	if severity <= severityError && stopFailure.MatchString(message) {
		l.mu.Lock()
		l.stopFailed = true
		l.mu.Unlock()
	}
	if severity <= severityError && moduleFailure.MatchString(message) {
		l.mu.Lock()
		l.moduleFailed = true
		l.mu.Unlock()
	}
	// The message about a failed step of the start adds nothing to the step's own error.
	if severity <= severityError && message != "" && !strings.Contains(message, " Exited (rc=") {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.errors = append(l.errors[max(0, len(l.errors)-maxErrors+1):], entry{time.Now(), message})
	}
	return text
}

// StopFailed reports whether the stop script of Flux failed: the content may be incomplete. The broker must have ended.
func (l *Log) StopFailed() bool {
	l.drain()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopFailed
}

// ModuleFailed reports whether the broker stopped because a module, such as the scheduler, failed. It stops its program
// then as after flux shutdown. The broker must have ended.
func (l *Log) ModuleFailed() bool {
	l.drain()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.moduleFailed
}

// drain waits for the rest of the output.
func (l *Log) drain() {
	timer := time.NewTimer(drainTimeout)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	}
}

// Errors returns the errors of the last seconds, "" if there are none: the first, which is the cause, and the last. The
// broker must have ended.
func (l *Log) Errors() string {
	l.drain()
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for _, e := range l.errors {
		if time.Since(e.at) < recent {
			lines = append(lines, e.text)
		}
	}
	if len(lines) > 2 {
		lines = []string{lines[0], lines[len(lines)-1]}
	}
	return strings.Join(lines, "; ")
}
