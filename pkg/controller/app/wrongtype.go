package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// settle removes null fields and map entries from an object, as the API server does before validation, and returns a
// problem for each value whose type differs from the type of the field in t. The decoder reports only one of them,
// without its index or key, and accepts values that the schema rejects: null in a list, and numbers like 0.5 as
// quantities.
func settle(value any, t reflect.Type, path string) []string {
	if t.Kind() == reflect.Pointer {
		return settle(value, t.Elem(), path)
	}
	switch t {
	case reflect.TypeFor[resource.Quantity](), reflect.TypeFor[intstr.IntOrString]():
		switch value.(type) {
		case string, int64:
			return nil
		}
		return wrongType(path, "a string or a whole number", value)
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		return settleObject(value, path, func(object map[string]any, name string) []string {
			if field, ok := fieldOf(t, name); ok {
				return settle(object[name], field, strings.TrimPrefix(path+"."+name, "."))
			}
			return nil // the decoder reports unknown fields
		})
	case reflect.Map:
		return settleObject(value, path, func(object map[string]any, name string) []string {
			return settle(object[name], t.Elem(), path+"["+name+"]")
		})
	case reflect.Slice:
		return settleList(value, t.Elem(), path)
	default:
		return settleScalar(value, t, path)
	}
}

func settleObject(value any, path string, entry func(object map[string]any, name string) []string) []string {
	object, ok := value.(map[string]any)
	if !ok {
		return wrongType(path, "an object (KEY: VALUE)", value)
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if object[name] == nil {
			delete(object, name)
			continue
		}
		problems = append(problems, entry(object, name)...)
	}
	return problems
}

func settleList(value any, t reflect.Type, path string) []string {
	list, ok := value.([]any)
	if !ok {
		return wrongType(path, "a list (- VALUE)", value)
	}
	var problems []string
	for i, item := range list {
		problems = append(problems, settle(item, t, fmt.Sprintf("%s[%d]", path, i))...)
	}
	return problems
}

func settleScalar(value any, t reflect.Type, path string) []string {
	switch t.Kind() {
	case reflect.String:
		if _, ok := value.(string); !ok {
			return wrongType(path, "a string", value)
		}
	case reflect.Bool:
		if _, ok := value.(bool); !ok {
			return wrongType(path, "true or false", value)
		}
	case reflect.Int32, reflect.Int64:
		number, ok := value.(int64)
		if !ok {
			return wrongType(path, "a whole number", value)
		}
		if reflect.Zero(t).OverflowInt(number) {
			return []string{fmt.Sprintf("%s: must be from %d to %d", path, math.MinInt32, math.MaxInt32)}
		}
	}
	return nil
}

// wrongType names both types and the remedy, but never the value, which may be a password.
func wrongType(path, want string, value any) []string {
	is, fix := "null", "give a value or remove it"
	switch value := value.(type) {
	case string:
		is, fix = "a string", "change it"
		if want == "a whole number" || want == "true or false" {
			fix = "write it without quotes"
		}
	case bool:
		is, fix = "true or false", "put it in quotes"
	case int64:
		is, fix = "a number", "put it in quotes"
	case float64:
		is, fix = "a number", "put it in quotes"
		switch {
		case want == "a whole number" && math.Abs(value) >= math.MaxInt64:
			is, fix = "too large", "lower it"
		case want == "a whole number":
			is, fix = "a fraction", "round it"
		}
	case []any:
		is, fix = "a list", "change it"
	case map[string]any:
		is, fix = "an object", "change it"
	}
	if strings.Contains(want, "VALUE") || want == "true or false" && fix == "put it in quotes" {
		fix = "change it"
	}
	return []string{fmt.Sprintf("%s: must be %s, is %s: %s", path, want, is, fix)}
}

// fieldOf returns the type of a field by its name in documents.
func fieldOf(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		field := t.Field(i)
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if tag == name {
			return field.Type, true
		}
		if tag == "" && field.Anonymous {
			if inner, ok := fieldOf(field.Type, name); ok {
				return inner, true
			}
		}
	}
	return nil, false
}
