package app

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// unknownField is how the decoder names a field that is in no type.
var unknownField = regexp.MustCompile(`^unknown field "(.+)"$`)

// removedFields are those of documents older than May 2023, or of branches, whose
// successor has another name.
var removedFields = []struct {
	path *regexp.Regexp
	fix  string
}{
	{regexp.MustCompile(`^spec\.localDeploy$`), "remove it, and describe directories of the nodes in spec.volumes"},
	{regexp.MustCompile(`^spec\.test$`), "use spec.logging.quiet"},
	{regexp.MustCompile(`^spec\.volumes\.[^.]+\.class$`), "use storageClass"},
	{regexp.MustCompile(`^spec\.flux\.volumes$`), "use volumes of the container that runs Flux"},
	{regexp.MustCompile(`^spec\.containers\[\d+\]\.commands\.(brokerPost|postBroker)$`), "use commands.post, which every pod runs"},
	{regexp.MustCompile(`^spec(\.pod)?\.disableSoleTenancy$`), "use spec.network.disableAffinity"},
}

// indexes are those of lists and maps in a path of the decoder.
var indexes = regexp.MustCompile(`\[\d+\]`)

// explainUnknown makes a problem of a message of the decoder. For a field that does
// not exist it names the one that was meant, if there is one that looks like it.
func explainUnknown(message string) string {
	match := unknownField.FindStringSubmatch(message)
	if match == nil {
		return message
	}
	path := match[1]
	text := path + ": there is no such field"
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

// similarField finds a field beside the unknown one whose name is nearly the same, or
// one elsewhere whose name is the end of the unknown one.
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

// fieldPaths are the paths of all fields of our own types below a type, shortest first.
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
		// The decoder writes keys as it does fields: they are not looked into.
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

// editDistance is Levenshtein's: how many letters have to be put in, taken out or
// replaced.
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
