package faults

import (
	"net/http"
	"slices"
	"strings"
)

// Request is the content of a request in Kubernetes' terms.
type Request struct {
	// Verb is create, update, patch, delete, deletecollection, get, list or watch.
	Verb string
	// Resource is a plural, in lower case; "" for requests that are not about objects.
	Resource    string
	Subresource string
	Namespace   string
	Name        string
}

// String returns the request as text, such as "patch jobs" or "update miniclusters/status".
func (r Request) String() string {
	if r.Subresource != "" {
		return r.Verb + " " + r.Resource + "/" + r.Subresource
	}
	return r.Verb + " " + r.Resource
}

// parse derives a request from its method and path.
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

// Match selects requests.
type Match func(Request) bool

// Writes matches requests that change something, except for events and leases: they are sent at any time, and would
// make the number of writes uncertain.
func Writes(r Request) bool {
	return !slices.Contains([]string{"get", "list", "watch"}, r.Verb) && r.Resource != "events" && r.Resource != "leases"
}

// Watches matches watches.
func Watches(r Request) bool { return r.Verb == "watch" }

// Resource matches a resource, without subresources.
func Resource(names ...string) Match {
	return func(r Request) bool { return slices.Contains(names, r.Resource) && r.Subresource == "" }
}

// Subresource matches a resource and a subresource.
func Subresource(resource, subresource string) Match {
	return func(r Request) bool { return r.Resource == resource && r.Subresource == subresource }
}

// Verb matches a verb.
func Verb(verbs ...string) Match {
	return func(r Request) bool { return slices.Contains(verbs, r.Verb) }
}

// All matches the requests that all given matches select.
func All(matches ...Match) Match {
	return func(r Request) bool {
		return !slices.ContainsFunc(matches, func(m Match) bool { return !m(r) })
	}
}
