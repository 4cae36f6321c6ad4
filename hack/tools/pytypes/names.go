package main

import (
	"slices"
	"strings"
	"unicode"
)

// classNames are the names of classes, by the path of their first field. They are those of the Go types. A class that
// is missing here is named after its field.
var classNames = map[string]string{
	"spec":                            "MiniClusterSpec",
	"status":                          "MiniClusterStatus",
	"spec.archive":                    "FluxArchive",
	"spec.containers":                 "MiniClusterContainer",
	"spec.containers.existingVolumes": "ExistingVolume",
	"spec.containers.secrets":         "SecretKey",
	"spec.containers.volumes":         "ContainerVolume",
	"spec.flux":                       "FluxSpec",
	"spec.flux.bursting.clusters":     "BurstedCluster",
	"spec.flux.container":             "FluxContainer",
	"spec.flux.scheduler":             "FluxScheduler",
	"spec.flux.state":                 "FluxState",
	"spec.logging":                    "LoggingSpec",
	"spec.pod":                        "PodSpec",
	"spec.users":                      "MiniClusterUser",
	"spec.users.groups":               "UserGroup",
	"spec.volumes":                    "MiniClusterVolume",
	"status.conditions":               "Condition",
}

// isKubernetesType reports whether the type of a field belongs to Kubernetes, so that its clients have a class for it.
func isKubernetesType(field string) bool {
	return slices.Contains([]string{
		"resources", "securityContext", "tolerations", "dnsConfig", "topologySpreadConstraints", "resourceClaims",
	}, field)
}

// attribute returns the name of a field in Python: hostIPC becomes host_ipc.
func attribute(field string) string {
	var name strings.Builder
	runes := []rune(field)
	for i, r := range runes {
		begins := i > 0 && unicode.IsUpper(r) &&
			(unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if begins {
			name.WriteByte('_')
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return name.String()
}

// className returns the name of the class for the object at a path. A field of the status that classNames does not have
// may also be a field of the spec.
func className(path string) string {
	if name, ok := classNames[path]; ok {
		return name
	}
	name := path[strings.LastIndex(path, ".")+1:]
	name = strings.ToUpper(name[:1]) + name[1:]
	if strings.HasPrefix(path, "status.") {
		name += "Status"
	}
	return name
}
