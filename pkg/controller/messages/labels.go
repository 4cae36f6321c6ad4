package messages

import (
	"fmt"
	"strings"
)

// Object returns an object for messages.
func Object(kind, name string) string { return fmt.Sprintf("%s %q", kind, name) }

// Unlabeled is the message of a MiniCluster with objects that lack the label of the
// controller.
func Unlabeled(objects []string, label string) string {
	return fmt.Sprintf("something removes the label %s from %s: no watch reports changes of these objects, so that the controller "+
		"reads them only from time to time; exclude the label from the policy or the tool that removes it", label, strings.Join(objects, " and "))
}
