package resources

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// ofContainer adds fields that another field of the same container replaces. All kinds of containers have them.
func (e *ineffective) ofContainer(c *v1alpha2.MiniClusterContainer, path *field.Path) {
	e.add(c.PullAlways && c.ImagePullPolicy != "" && c.ImagePullPolicy != corev1.PullAlways, path.Child("imagePullPolicy"), "pullAlways takes precedence")
	for _, name := range slices.Sorted(maps.Keys(c.Environment)) {
		_, secret := c.Secrets[name]
		e.add(secret, path.Child("environment").Key(name), "secrets has a variable of this name, which takes precedence")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Volumes)) {
		volume := c.Volumes[name]
		e.ofVolume(&volume, path.Child("volumes").Key(name))
	}
	for _, name := range slices.Sorted(maps.Keys(c.ExistingVolumes)) {
		volume := volumesOf(&v1alpha2.MiniClusterContainer{ExistingVolumes: c.ExistingVolumes})[name]
		e.ofVolume(&volume, path.Child("existingVolumes").Key(name))
	}
}

// ofVolume adds the sources of a volume that another source replaces, and the settings of other sources.
func (e *ineffective) ofVolume(v *v1alpha2.ContainerVolume, path *field.Path) {
	used := ""
	for _, source := range []struct {
		name string
		set  bool
	}{ // in the order of volumeSource
		{"csiDriver", v.CSIDriver != ""}, {"secretName", v.SecretName != ""}, {"emptyDir", v.EmptyDir}, {"hostPath", v.HostPath != ""},
		{"configMapName", v.ConfigMapName != ""}, {"claimName", v.ClaimName != ""},
	} {
		e.add(source.set && used != "", path.Child(source.name), fmt.Sprintf("a volume has one source, and %s takes precedence", used))
		if source.set && used == "" {
			used = source.name
		}
	}
	e.add(len(v.Items) > 0 && used != "configMapName", path.Child("items"), "applies to configMapName only; the volume has all files of its source")
	e.add(len(v.CSIDriverAttributes) > 0 && used != "csiDriver", path.Child("csiDriverAttributes"), "needs csiDriver")
	// Without any source, the volume is an empty directory.
	other := used != "" && used != "emptyDir"
	e.add(other && v.EmptyDirMedium != "", path.Child("emptyDirMedium"), "applies to an empty directory only")
	e.add(other && v.EmptyDirSizeLimit != "", path.Child("emptyDirSizeLimit"), "applies to an empty directory only")
}

// ofView adds settings of the container that provides Flux where there is none.
func (e *ineffective) ofView(view *v1alpha2.FluxContainer, path *field.Path) {
	if view == nil || !view.Disable {
		return
	}
	const why = "with disable, no container provides Flux"
	e.add(view.Image != "" && view.Image != v1alpha2.DefaultViewImage, path.Child("image"), why)
	e.add(view.ImagePullSecret != "", path.Child("imagePullSecret"), why)
	e.add(view.PullAlways, path.Child("pullAlways"), why)
	e.add(view.Resources != nil, path.Child("resources"), why)
	e.add(view.SecurityContext != nil, path.Child("securityContext"), why)
	e.add(view.WorkingDir != "", path.Child("workingDir"), why)
}
