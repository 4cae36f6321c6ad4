package resources

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// imageReference matches names of images: a registry, a path, a tag and a digest.
var imageReference = regexp.MustCompile(`^(?:(?:[a-zA-Z0-9][-a-zA-Z0-9.]*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?` +
	`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*` +
	`(?::\w[-\w.]{0,127})?(?:@[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,})?$`)

// warnContainer adds settings with which no container runtime starts a container, and mounts that hide each other.
func warnContainer(c *v1alpha2.MiniClusterContainer, at *field.Path, add warn) {
	warnImage(c.Image, at.Child("image"), add)
	warnWorkingDir(c.WorkingDir, at.Child("workingDir"), add)
	for _, name := range slices.Sorted(maps.Keys(c.Volumes)) {
		warnNodeDir(c.Volumes[name].HostPath, at.Child("volumes").Key(name).Child("hostPath"), add)
	}
	owners := map[string]string{}
	for _, mount := range userMounts(c) {
		dir := path.Clean("/" + mount.MountPath)
		if owner, ok := owners[dir]; ok {
			add(at.Child("volumes").Key(mount.Name), "hides the volume %s, which has the same directory, %s: use another directory", owner, dir)
		}
		owners[dir] = mount.Name
	}
}

func warnImage(image string, at *field.Path, add warn) {
	if image != "" && !imageReference.MatchString(image) {
		add(at, "%q is not the name of an image, so no container starts: names have the form registry/path:tag, in lower case", image)
	}
}

func warnWorkingDir(dir string, at *field.Path, add warn) {
	if dir != "" && !path.IsAbs(dir) {
		add(at, "%q is not absolute, so no container starts: begin it with /", dir)
	}
}

// warnNodeDir adds a directory of the nodes that is relative to nothing.
func warnNodeDir(dir string, at *field.Path, add warn) {
	if dir != "" && !path.IsAbs(dir) {
		add(at, "%q is not absolute, so no node has it: begin it with /", dir)
	}
}

// warnKeptFiles adds files that should outlive the pods, and do not.
func warnKeptFiles(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer, add warn) {
	archive := mc.Spec.Archive
	if archive == nil {
		return
	}
	at := field.NewPath("spec", "archive")
	warnKeptFile(mc, c, archive.Path, at.Child("path"), add)
	warnKeptFile(mc, c, archive.JobRecords, at.Child("jobRecords"), add)
}

func warnKeptFile(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer, file string, at *field.Path, add warn) {
	const fix = "use a directory of a volume that outlives the pods"
	switch {
	case file == "":
		return
	case !path.IsAbs(file):
		add(at, "%q is not absolute: begin it with /, and "+fix, file)
		return
	case strings.HasSuffix(file, "/"):
		add(at, "%q is a directory: add the name of a file", file)
		return
	}
	var on *corev1.VolumeMount // the innermost mount
	for _, mount := range userMounts(c) {
		dir := strings.TrimSuffix(path.Clean(mount.MountPath), "/")
		if strings.HasPrefix(file, dir+"/") && (on == nil || len(dir) > len(path.Clean(on.MountPath))) {
			on = &mount
		}
	}
	if on == nil {
		add(at, "is not on a volume, so the file is lost with the pod: "+fix)
		return
	}
	for _, volume := range userVolumes(mc, mc.Spec.Containers) {
		switch {
		case volume.Name != on.Name:
		case volume.EmptyDir != nil:
			add(at, "is on an empty directory, which is lost with the pod: "+fix)
		case on.ReadOnly || volume.Secret != nil || volume.ConfigMap != nil:
			add(at, "is on the volume %s, which cannot be written: "+fix, on.Name)
		}
	}
}
