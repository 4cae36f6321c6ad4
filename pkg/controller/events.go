package controller

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"minicluster.internal/operator/pkg/controller/resources"
)

// maxNote is the longest text of an event, in bytes. The API server rejects a longer one,
// and the event is lost.
const maxNote = 1024

// shortNotes is a recorder that shortens the texts of events.
type shortNotes struct{ events.EventRecorder }

// Eventf records an event.
func (r shortNotes) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	r.EventRecorder.Eventf(regarding, related, kind, reason, action, "%s", resources.Shorten(fmt.Sprintf(note, args...), maxNote))
}
