package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// MutableFields returns the fields of the spec that may change after creation.
func MutableFields() []string {
	return []string{"size", "minSize", "autoscaling", "scaleUp", "scaleDown", "suspend", "hibernation", "opportunistic", "disruption", "cleanup"}
}

// fieldHashes maps each field of the spec that is fixed at creation to a hash of its value. Fields of objects (flux,
// pod, ...) have separate hashes. The Job keeps them so that the controller can name a field that is edited later.
// Passwords, tokens and keys are left out: a short secret could be guessed from its hash. normalize sets or drops
// defaults.
func fieldHashes(mc *v1alpha2.MiniCluster, normalize func(*v1alpha2.MiniCluster)) (map[string]string, error) {
	mc = mc.DeepCopy()
	normalize(mc)
	dropSecrets(&mc.Spec)
	dropLayout(&mc.Spec)

	fields, err := rawFields(mc.Spec)
	if err != nil {
		return nil, err
	}
	for _, name := range MutableFields() {
		delete(fields, name)
	}
	hashes := map[string]string{}
	for name, value := range fields {
		var nested map[string]json.RawMessage
		if json.Unmarshal(value, &nested) != nil {
			hashes[name] = hash(value)
			continue
		}
		for inner, value := range nested {
			hashes[name+"."+inner] = hash(value)
		}
	}
	return hashes, nil
}

func rawFields(v any) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding the spec: %w", err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("decoding the spec: %w", err)
	}
	return fields, nil
}

func hash(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:5])
}

// dropSecrets removes secret values, which must not be recorded even as a hash.
func dropSecrets(s *v1alpha2.MiniClusterSpec) {
	if s.Flux != nil {
		s.Flux.CurveCert = ""
	}
	for i := range s.Users {
		s.Users[i].Password = ""
	}
	if s.FluxRestful != nil {
		s.FluxRestful.SecretKey, s.FluxRestful.Token = "", ""
	}
}

// dropLayout removes the layout: a write through v1alpha1 adds that version's default of installRoot to an object
// that was created without it, and that is not an edit by the user. The layout itself is recorded (Fixed).
func dropLayout(s *v1alpha2.MiniClusterSpec) {
	if s.Flux == nil {
		return
	}
	s.Flux.InstallRoot = ""
	defaulted := v1alpha2.MiniCluster{Spec: v1alpha2.MiniClusterSpec{Flux: &v1alpha2.FluxSpec{}}}
	v1alpha2.SetDefaults(&defaulted)
	if equality.Semantic.DeepEqual(s.Flux, defaulted.Spec.Flux) {
		s.Flux = nil
	}
}

// specHash returns the value of AnnotationSpecHash. Fields with their default value are left out, so that a default
// that a later release adds does not count as an edit.
func specHash(mc *v1alpha2.MiniCluster) (string, error) {
	hashes, err := fieldHashes(mc, v1alpha2.DropDefaults)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(hashes)
	if err != nil {
		return "", fmt.Errorf("encoding the hashes of the spec: %w", err)
	}
	return string(text), nil
}

// EditedFields returns the sorted names of the fields that are fixed at creation and differ from the recorded hashes.
// Without a record there is no difference: a Job that another controller created has none.
func EditedFields(mc *v1alpha2.MiniCluster, record string) ([]string, error) {
	if record == "" {
		return nil, nil
	}
	var before map[string]string
	if err := json.Unmarshal([]byte(record), &before); err != nil {
		return nil, nil //nolint:nilerr // the record is damaged: there is nothing to compare with
	}
	now, err := fieldHashes(mc, v1alpha2.DropDefaults)
	if err != nil {
		return nil, err
	}
	if maps.Equal(before, now) {
		return nil, nil // as in nearly all cases
	}
	// Records of earlier releases include defaults.
	withDefaults, err := fieldHashes(mc, v1alpha2.SetDefaults)
	if err != nil {
		return nil, err
	}
	var edited []string
	for field, value := range before {
		_, isSet := now[field]
		// Records of earlier releases may include empty values.
		if value != now[field] && value != withDefaults[field] && (isSet || !isEmptyValue(field, value)) {
			edited = append(edited, "spec."+field)
		}
	}
	for field := range now {
		if _, recorded := before[field]; !recorded {
			edited = append(edited, "spec."+field)
		}
	}
	slices.Sort(edited)
	return edited, nil
}

// isEmptyValue reports whether a hash is that of an empty value of a field that cannot be unset otherwise. An empty
// value of a pointer is set.
func isEmptyValue(field, value string) bool {
	t := reflect.TypeFor[v1alpha2.MiniClusterSpec]()
	for name := range strings.SplitSeq(field, ".") {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return false
		}
		index := slices.IndexFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			return tag == name
		})
		if index < 0 {
			return false
		}
		t = reflect.VisibleFields(t)[index].Type
	}
	var empty []string
	switch t.Kind() {
	case reflect.Map, reflect.Struct:
		empty = []string{"{}", "null"}
	case reflect.Slice:
		empty = []string{"[]", "null"}
	case reflect.Bool:
		empty = []string{"false"}
	case reflect.String:
		empty = []string{`""`}
	case reflect.Int32, reflect.Int64:
		empty = []string{"0"}
	case reflect.Pointer:
		if t.Elem().Kind() == reflect.Struct {
			empty = []string{"{}", "null"}
		}
	}
	return slices.ContainsFunc(empty, func(text string) bool { return hash([]byte(text)) == value })
}
