package resources

import (
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// Fixed are values of a MiniCluster that do not change after its creation, because running brokers depend on them.
// The objects that are created from them record them. Later reconciliations use the record, whatever the spec says.
type Fixed struct {
	// Layout says where Flux is in the pods.
	Layout fluxconfig.Layout
	// Maximum is the number of hosts in the brokers' configuration.
	Maximum int32
	// Headless is the name of the headless Service.
	Headless string
	// Incarnation is the UID of the Job that the last hibernation deleted, or of one that was deleted while it was about
	// to hibernate, or together with its ConfigMap; "" if there was none. A lead ignores the marker of another
	// incarnation, which withholds its program.
	Incarnation string
	// RestoreFrom is the archive of another MiniCluster from which the lead starts, "" if there is none.
	RestoreFrom string
	// Earlier are further archives that the lead may start from, and Discard makes it start without any: see
	// [HibernationRecord].
	Earlier []string
	Discard bool
}

// NewFixed returns the values of a MiniCluster for which nothing has been created yet.
func NewFixed(mc *v1alpha2.MiniCluster) Fixed {
	return ResolveFixed(mc, nil, nil)
}

// ResolveFixed returns the values of a MiniCluster: those recorded on its Job or its
// ConfigMap, else (when both are gone) the maximum that was reported last, else
// what the spec says now. The ConfigMap is created before the Job: until a maximum was
// reported, which needs a Job, no broker depends on what the ConfigMap records. Nor does
// one while the MiniCluster hibernates.
func ResolveFixed(mc *v1alpha2.MiniCluster, job *batchv1.Job, config *corev1.ConfigMap) Fixed {
	f := Fixed{Layout: fluxconfig.LayoutOf(&mc.Spec)}
	f.Maximum = mc.Spec.MaxSize
	if f.Maximum < 1 {
		f.Maximum = max(mc.RequestedSize(), mc.MinimumSize())
	}
	if hibernated := PendingHibernation(mc, job, config); hibernated != nil {
		f.wake(mc, hibernated)
	} else {
		if mc.Status.MaximumSize > 0 {
			f.Maximum = mc.Status.MaximumSize
		}
		if config != nil && (job != nil || mc.Status.MaximumSize > 0) {
			f.read(config.Annotations)
		}
		if job == nil && (mc.Status.Hibernation != nil || config == nil) {
			f.Incarnation = mc.Status.JobID
		}
	}
	if job != nil {
		f.read(job.Annotations)
	}
	// The record outlives the creation of the next Job, which is known by it.
	if record := RecordedHibernation(config); record != nil && string(record.Job) == f.Incarnation {
		f.readRecord(mc, record)
	}
	f.Headless = fluxconfig.HeadlessService(mc, f.Layout)
	if job != nil && job.Spec.Template.Spec.Subdomain != "" {
		f.Headless = job.Spec.Template.Spec.Subdomain
	}
	return f
}

func (f *Fixed) read(annotations map[string]string) {
	switch l := fluxconfig.Layout(annotations[v1alpha2.AnnotationLayout]); l {
	case fluxconfig.LayoutSystem, fluxconfig.LayoutView:
		f.Layout = l
	}
	if n, ok := SizeAnnotation(annotations, v1alpha2.AnnotationMaximumSize); ok {
		f.Maximum = n
	}
	f.Incarnation = annotations[v1alpha2.AnnotationIncarnation]
	f.RestoreFrom = annotations[v1alpha2.AnnotationRestoreFrom]
}

// wake sets the values of the next Job of a MiniCluster that hibernates. If the archive has another path now, the lead
// starts from the one that was saved.
func (f *Fixed) wake(mc *v1alpha2.MiniCluster, hibernated *HibernationRecord) {
	f.Incarnation = string(hibernated.Job)
	f.RestoreFrom = hibernated.RestoreFrom
	isFile := hibernated.Checksum != ""
	if isFile && (mc.Spec.Archive == nil || mc.Spec.Archive.Path != hibernated.Location) {
		f.RestoreFrom = hibernated.Location
	}
}

// readRecord sets what the next Job reads from the record as long as it exists.
func (f *Fixed) readRecord(mc *v1alpha2.MiniCluster, record *HibernationRecord) {
	f.Discard = record.Discard
	if f.Discard {
		f.RestoreFrom = ""
		return
	}
	for _, path := range record.Archives {
		if path != f.RestoreFrom && (mc.Spec.Archive == nil || mc.Spec.Archive.Path != path) {
			f.Earlier = append(f.Earlier, path)
		}
	}
}

func (f *Fixed) annotations() map[string]string {
	annotations := map[string]string{
		v1alpha2.AnnotationLayout:      string(f.Layout),
		v1alpha2.AnnotationMaximumSize: FormatSize(f.Maximum),
	}
	if f.Incarnation != "" {
		annotations[v1alpha2.AnnotationIncarnation] = f.Incarnation
	}
	if f.RestoreFrom != "" {
		annotations[v1alpha2.AnnotationRestoreFrom] = f.RestoreFrom
	}
	return annotations
}

// SizeAnnotation reads a positive size from an annotation.
func SizeAnnotation(annotations map[string]string, key string) (int32, bool) {
	n, err := strconv.ParseInt(annotations[key], 10, 32)
	if err != nil || n < 1 {
		return 0, false
	}
	return int32(n), true
}

// FormatSize formats a size as the value of an annotation.
func FormatSize(n int32) string { return strconv.FormatInt(int64(n), 10) }

// FormatGeneration formats a generation as the value of an annotation.
func FormatGeneration(n int64) string { return strconv.FormatInt(n, 10) }
