package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Request is a request that the API server answered, or a watch that it started to answer.
type Request struct {
	Time time.Time
	// User is the user of the request, after impersonation.
	User      string
	UserAgent string
	Verb      string
	// Group, Resource and so on are empty for requests that are not about objects; Path is always set.
	Group       string
	Resource    string
	Subresource string
	Namespace   string
	Name        string
	Path        string
	// Code is the HTTP status.
	Code int
}

// Key returns the verb and the object of the request: "patch jobs", "update miniclusters/status", "get /readyz". It
// omits the group.
func (r Request) Key() string {
	switch {
	case r.Resource == "":
		return r.Verb + " " + r.Path
	case r.Subresource == "":
		return r.Verb + " " + r.Resource
	default:
		return r.Verb + " " + r.Resource + "/" + r.Subresource
	}
}

// AuditLog follows the requests that the API server answers.
type AuditLog struct {
	path string

	mu     sync.Mutex
	offset int64
	// skip is set while the rest of a line that began before offset is skipped.
	skip     bool
	watches  map[string]struct{}
	requests []Request
}

// newAuditLog follows a log from an offset on. The offset may be in the middle of a line that is being written:
// reading begins one byte earlier, and skips up to the end of the first line.
func newAuditLog(path string, offset int64) *AuditLog {
	return &AuditLog{path: path, offset: max(0, offset-1), skip: offset > 0, watches: map[string]struct{}{}}
}

// Audit follows the requests from now on. The cluster must be started with Options.Audit.
//
// A request is written to the log before its answer has been sent completely, so a client that has got an answer
// finds its request here.
func (c *Cluster) Audit() (*AuditLog, error) {
	if !c.options.Audit {
		return nil, errors.New("reading the audit log: the cluster was started without one")
	}
	info, err := os.Stat(c.path(auditLogFile))
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return newAuditLog(c.path(auditLogFile), info.Size()), nil
}

// RequestCounts returns the number of requests of a user since the start of the cluster, by Request.Key. A watch
// counts when it begins.
func (c *Cluster) RequestCounts(user string) (map[string]int, error) {
	if !c.options.Audit {
		return nil, errors.New("reading the audit log: the cluster was started without one")
	}
	return c.requests.Counts(user)
}

// Counts returns the number of requests of a user, by Request.Key. A watch counts when it begins.
func (l *AuditLog) Counts(user string) (map[string]int, error) {
	requests, err := l.Requests(user)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, request := range requests {
		counts[request.Key()]++
	}
	return counts, nil
}

// Requests returns the requests of a user, in the order of the answers.
func (l *AuditLog) Requests(user string) ([]Request, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.read(); err != nil {
		return nil, err
	}
	var requests []Request
	for _, request := range l.requests {
		if request.User == user {
			requests = append(requests, request)
		}
	}
	return requests, nil
}

// read reads the complete lines that were written since the last call.
func (l *AuditLog) read() error {
	file, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	defer file.Close()
	if _, err := file.Seek(l.offset, io.SeekStart); err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	for {
		line, rest, found := bytes.Cut(content, []byte("\n"))
		if !found {
			return nil
		}
		if l.skip {
			l.skip = false
		} else if err := l.add(line); err != nil {
			return err
		}
		l.offset += int64(len(line)) + 1
		content = rest
	}
}

// auditEvent is the part of an event of group audit.k8s.io that is needed.
type auditEvent struct {
	AuditID          string    `json:"auditID"`
	Stage            string    `json:"stage"`
	StageTimestamp   time.Time `json:"stageTimestamp"`
	RequestURI       string    `json:"requestURI"`
	Verb             string    `json:"verb"`
	UserAgent        string    `json:"userAgent"`
	User             auditUser `json:"user"`
	ImpersonatedUser auditUser `json:"impersonatedUser"`
	ObjectRef        struct {
		APIGroup    string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

type auditUser struct {
	Username string `json:"username"`
}

func (l *AuditLog) add(line []byte) error {
	var event auditEvent
	if err := json.Unmarshal(line, &event); err != nil {
		return fmt.Errorf("reading a line of the audit log: %w", err)
	}
	// Long-running requests such as watches have an event when they begin and another one when they end.
	if event.Stage == "ResponseStarted" {
		l.watches[event.AuditID] = struct{}{}
	} else if _, counted := l.watches[event.AuditID]; counted {
		delete(l.watches, event.AuditID)
		return nil
	}
	l.requests = append(l.requests, event.request())
	return nil
}

func (e auditEvent) request() Request {
	user := e.User.Username
	if e.ImpersonatedUser.Username != "" {
		user = e.ImpersonatedUser.Username
	}
	return Request{
		Time:        e.StageTimestamp,
		User:        user,
		UserAgent:   e.UserAgent,
		Verb:        e.Verb,
		Group:       e.ObjectRef.APIGroup,
		Resource:    e.ObjectRef.Resource,
		Subresource: e.ObjectRef.Subresource,
		Namespace:   e.ObjectRef.Namespace,
		Name:        e.ObjectRef.Name,
		Path:        e.RequestURI,
		Code:        e.ResponseStatus.Code,
	}
}
