package controller

import (
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// shareTexts lets cached objects share the texts that most of them have, of which each object is decoded with its own
// copy: namespaces, keys of labels and annotations, and kinds of owners.
func shareTexts(o metav1.Object) {
	o.SetNamespace(shared(o.GetNamespace()))
	o.SetLabels(sharedKeys(o.GetLabels()))
	o.SetAnnotations(sharedKeys(o.GetAnnotations()))
	owners := o.GetOwnerReferences()
	for i := range owners {
		owners[i].APIVersion, owners[i].Kind = shared(owners[i].APIVersion), shared(owners[i].Kind)
	}
}

func sharedKeys(values map[string]string) map[string]string {
	if values == nil {
		return nil
	}
	with := make(map[string]string, len(values))
	for key, value := range values {
		with[shared(key)] = value
	}
	return with
}

func shared(text string) string { return unique.Make(text).Value() }
