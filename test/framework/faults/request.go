package faults

import (
	"net/http"
	"slices"
	"strings"
)

// Request is what a request asks for, in Kubernetes' terms.
type Request struct {
	// Verb is create, update, patch, delete, deletecollection, get, list or watch.
	Verb string
	// Resource is a plural, in lower case; "" for requests that are not about objects.
	Resource    string
	Subresource string
	Namespace   string
	Name        string
}

// String is such as "patch jobs" or "update miniclusters/status".
func (r Request) String() string {
	if r.Subresource != "" {
		return r.Verb + " " + r.Resource + "/" + r.Subresource
	}
	return r.Verb + " " + r.Resource
}

// parse reads a request from its method and path.
func parse(r *http.Request) Request {
	var out Request
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		parts = nil
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		out.Namespace, parts = parts[1], parts[2:]
	}
	for i, field := range []*string{&out.Resource, &out.Name, &out.Subresource} {
		if i < len(parts) {
			*field = parts[i]
		}
	}
	out.Verb = verb(r, out.Name != "")
	return out
}

func verb(r *http.Request, named bool) string {
	switch r.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		if named {
			return "delete"
		}
		return "deletecollection"
	}
	switch watch := r.URL.Query().Get("watch"); {
	case watch == "true" || watch == "1":
		return "watch"
	case named:
		return "get"
	default:
		return "list"
	}
}

// Match chooses requests.
type Match func(Request) bool

// Writes are the requests that change something. Events and leases don't count:
// they come at their own time, and would make a count of writes uncertain.
func Writes(r Request) bool {
	return !slices.Contains([]string{"get", "list", "watch"}, r.Verb) && r.Resource != "events" && r.Resource != "leases"
}

// Watches are watches.
func Watches(r Request) bool { return r.Verb == "watch" }

// Resource chooses by resource, without subresources.
func Resource(names ...string) Match {
	return func(r Request) bool { return slices.Contains(names, r.Resource) && r.Subresource == "" }
}

// Subresource chooses by resource and subresource.
func Subresource(resource, subresource string) Match {
	return func(r Request) bool { return r.Resource == resource && r.Subresource == subresource }
}

// Verb chooses by verb.
func Verb(verbs ...string) Match {
	return func(r Request) bool { return slices.Contains(verbs, r.Verb) }
}

// All chooses what all of some matches choose.
func All(matches ...Match) Match {
	return func(r Request) bool {
		return !slices.ContainsFunc(matches, func(m Match) bool { return !m(r) })
	}
}
