package plugin

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// removedFields are fields of documents older than May 2023, or of branches, whose successor has another name.
var removedFields = []struct {
	path *regexp.Regexp
	fix  string
}{
	{regexp.MustCompile(`^spec\.localDeploy$`), "remove it, and describe directories of the nodes in spec.volumes"},
	{regexp.MustCompile(`^spec\.test$`), "use spec.logging.quiet"},
	{regexp.MustCompile(`^spec\.volumes\.[^.]+\.class$`), "use storageClass"},
	{regexp.MustCompile(`^spec\.flux\.volumes$`), "use volumes of the container that runs Flux"},
	{regexp.MustCompile(`^spec\.containers\[\d+\]\.commands\.(brokerPost|postBroker)$`), "use commands.post, which runs in every pod"},
	{regexp.MustCompile(`^spec(\.pod)?\.disableSoleTenancy$`), "use spec.network.disableAffinity"},
}

// indexes matches indexes of lists and keys of maps in a path of the decoder.
var indexes = regexp.MustCompile(`\[\d+\]`)

// explainUnknown returns the problem of a field that does not exist. It suggests a field with a similar name, if there
// is one.
func explainUnknown(path string) string {
	text := path + ": field does not exist"
	for _, old := range removedFields {
		if old.path.MatchString(path) {
			return text + ": " + old.fix
		}
	}
	if meant := similarField(path); meant != "" {
		text += fmt.Sprintf("; did you mean %s?", meant)
	}
	return text
}

// similarField returns a sibling of the unknown field with a similar name, or a field elsewhere whose name is a
// suffix of the unknown name.
func similarField(path string) string {
	dot := strings.LastIndex(path, ".")
	parent, name := path[:max(dot, 0)], path[dot+1:]
	generic := indexes.ReplaceAllString(parent, "[]")
	best, distance := "", (len(name)+2)/3+1
	var elsewhere string
	for _, known := range fieldPaths(reflect.TypeFor[v1alpha2.MiniCluster](), "") {
		dot := strings.LastIndex(known, ".")
		leaf := known[dot+1:]
		if known[:max(dot, 0)] == generic {
			if d := editDistance(strings.ToLower(leaf), strings.ToLower(name)); d < distance {
				best, distance = strings.TrimPrefix(parent+"."+leaf, "."), d
			}
		} else if len(leaf) > 5 && elsewhere == "" && strings.HasSuffix(strings.ToLower(name), strings.ToLower(leaf)) {
			elsewhere = known
		}
	}
	if best != "" {
		return best
	}
	return elsewhere
}

// fieldPaths returns the paths of all fields of the project's types below a type, shortest first.
func fieldPaths(t reflect.Type, prefix string) []string {
	var paths []string
	walkFields(t, prefix, func(path string) { paths = append(paths, path) })
	slices.SortStableFunc(paths, func(a, b string) int { return strings.Count(a, ".") - strings.Count(b, ".") })
	return paths
}

func walkFields(t reflect.Type, prefix string, visit func(string)) {
	switch t.Kind() {
	case reflect.Pointer:
		walkFields(t.Elem(), prefix, visit)
	case reflect.Slice:
		walkFields(t.Elem(), prefix+"[]", visit)
	case reflect.Map:
		// The decoder writes keys like fields, so maps are not searched.
	case reflect.Struct:
		if !strings.Contains(t.PkgPath(), "fluxframework") {
			return
		}
		for i := range t.NumField() {
			tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if tag == "" || tag == "status" {
				continue
			}
			path := strings.TrimPrefix(prefix+"."+tag, ".")
			visit(path)
			walkFields(t.Field(i).Type, path, visit)
		}
	}
}

// editDistance returns the Levenshtein distance: the number of letters to insert, remove or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		before := row[0]
		row[0] = i + 1
		for j := range b {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, before+1, row[j]+1)
		}
	}
	return row[len(b)]
}
