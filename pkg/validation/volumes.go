package validation

import (
	"cmp"
	"fmt"
	stdpath "path"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

const (
	// storageHostPath is the storage class of a directory of the node.
	storageHostPath = "hostpath"
	// sharedMemory is the directory of an empty directory without a path.
	sharedMemory = "/dev/shm"
	// maxDriverName is the largest length of the name of a CSI driver.
	maxDriverName = 63
)

// validateClusterVolumes checks the volumes that the controller creates.
func validateClusterVolumes(volumes map[string]v1alpha2.MiniClusterVolume, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sortedKeys(volumes) {
		volume, at := volumes[name], path.Key(name)
		errs = append(errs, check(at, name, validation.IsDNS1123Label)...)
		errs = append(errs, validateQuantity(volume.Capacity, at.Child("capacity"))...)
		errs = append(errs, validateLabels(volume.Labels, at.Child("labels"))...)
		errs = append(errs, validateAnnotations(volume.Annotations, at.Child("annotations"))...)
		errs = append(errs, validateAnnotations(volume.ClaimAnnotations, at.Child("claimAnnotations"))...)
		if volume.StorageClass == "" || volume.StorageClass == storageHostPath {
			if volume.Path == "" {
				errs = append(errs, field.Required(at.Child("path"), "set the directory of the node"))
			}
			errs = append(errs, noBacksteps(volume.Path, at.Child("path"))...)
		} else {
			errs = append(errs, validateCSIVolume(&volume, at)...)
		}
	}
	return errs
}

func validateCSIVolume(volume *v1alpha2.MiniClusterVolume, path *field.Path) field.ErrorList {
	errs := reference(path.Child("storageClass"), volume.StorageClass)
	if volume.Driver == "" {
		errs = append(errs, field.Required(path.Child("driver"), "name the CSI driver, or omit storageClass for a directory of the node"))
	} else {
		errs = append(errs, validateDriver(volume.Driver, path.Child("driver"))...)
	}
	errs = append(errs, requiredReference(path.Child("secret"), volume.Secret, "the Secret of the CSI driver")...)
	if volume.SecretNamespace != "" {
		errs = append(errs, check(path.Child("secretNamespace"), volume.SecretNamespace, validation.IsDNS1123Label)...)
	}
	return errs
}

func validateDriver(driver string, path *field.Path) field.ErrorList {
	if len(driver) > maxDriverName {
		return field.ErrorList{invalidf(path, driver, "must have at most %d characters", maxDriverName)}
	}
	return check(path, strings.ToLower(driver), validation.IsDNS1123Subdomain)
}

// volumeSet collects the volumes of one pod from its containers.
type volumeSet struct {
	cluster map[string]v1alpha2.MiniClusterVolume
	// emptyDirs reports whether a volume without a description is an empty directory.
	emptyDirs bool
	// own are the volumes that every pod has, nil for the services pod.
	own *reserved
	// sources are the volumes that containers describe.
	sources map[string]source
	errs    field.ErrorList
}

type source struct {
	text string
	path *field.Path
}

// validateVolumes checks volumes (those of spec.volumes, or described in place) and
// existingVolumes. A volume that one container describes may be mounted by its name
// alone in the other containers of the pod. A volume that nothing describes is an
// empty directory in the view layout, and an error in the system layout, as in
// v1alpha1, where it would be a volume of spec.volumes. own are the volumes that
// the pod needs to run Flux, in the container of index flux.
func validateVolumes(containers []v1alpha2.MiniClusterContainer, flux int, own *reserved, spec *v1alpha2.MiniClusterSpec, path *field.Path) field.ErrorList {
	set := volumeSet{
		own:       own,
		cluster:   spec.Volumes,
		emptyDirs: fluxconfig.LayoutOf(spec) == fluxconfig.LayoutView,
		sources:   map[string]source{},
	}
	for i := range containers {
		set.describe(&containers[i], path.Index(i))
	}
	for i := range containers {
		set.mount(&containers[i], i == flux, path.Index(i))
	}
	return set.errs
}

func (s *volumeSet) add(errs ...*field.Error) { s.errs = append(s.errs, errs...) }

func (s *volumeSet) describe(c *v1alpha2.MiniClusterContainer, path *field.Path) {
	for _, name := range sortedKeys(c.Volumes) {
		volume, at := c.Volumes[name], path.Child("volumes").Key(name)
		if text := sourceOf(&volume); text != "" {
			s.source(name, source{text, at})
			s.add(validateSource(&volume, at)...)
		}
	}
	for _, name := range sortedKeys(c.ExistingVolumes) {
		volume, at := asContainerVolume(c.ExistingVolumes[name]), path.Child("existingVolumes").Key(name)
		text := sourceOf(&volume)
		if text == "" {
			s.add(field.Required(at, "set claimName, secretName or configMapName"))
			continue
		}
		s.source(name, source{text, at})
		s.add(validateSource(&volume, at)...)
	}
}

// source adds the description of a volume. The names of volumes are unique in a pod.
func (s *volumeSet) source(name string, described source) {
	if _, ok := s.cluster[name]; ok {
		s.add(invalidf(described.path, name, "is a volume of spec.volumes, too: choose another name, or remove the description"))
		return
	}
	if other, ok := s.sources[name]; ok && other.text != described.text {
		s.add(invalidf(described.path, name, "differs from %s, which has the same name: choose another name", other.path))
		return
	}
	s.sources[name] = described
}

func (s *volumeSet) mount(c *v1alpha2.MiniClusterContainer, runsFlux bool, path *field.Path) {
	mounted := map[string]*field.Path{}
	for _, name := range sortedKeys(c.Volumes) {
		volume, at := c.Volumes[name], path.Child("volumes").Key(name)
		s.add(check(at, name, validation.IsDNS1123Label)...)
		_, described := s.sources[name]
		_, declared := s.cluster[name]
		if !described && !declared && !s.emptyDirs && sourceOf(&volume) == "" {
			s.add(invalidf(at, name, "is not a volume of spec.volumes and has no source: add it to spec.volumes, or set claimName, configMapName, secretName, hostPath, emptyDir or csiDriver"))
		}
		mountPath := volume.Path
		if volume.EmptyDir {
			mountPath = cmp.Or(mountPath, sharedMemory)
		}
		s.mountPath(mountPath, at.Child("path"), mounted)
		s.add(s.own.check(name, mountPath, runsFlux, at)...)
	}
	for _, name := range sortedKeys(c.ExistingVolumes) {
		at := path.Child("existingVolumes").Key(name)
		s.add(check(at, name, validation.IsDNS1123Label)...)
		if _, ok := c.Volumes[name]; ok {
			s.add(invalidf(at, name, "is mounted by volumes, too: remove one of them"))
		}
		s.mountPath(c.ExistingVolumes[name].Path, at.Child("path"), mounted)
		s.add(s.own.check(name, c.ExistingVolumes[name].Path, runsFlux, at)...)
	}
}

func (s *volumeSet) mountPath(value string, path *field.Path, mounted map[string]*field.Path) {
	if value == "" {
		s.add(field.Required(path, "set the directory in the container"))
		return
	}
	if stdpath.Clean("/"+value) == "/" {
		s.add(field.Invalid(path, value, "must not be the root directory, which is the image: choose another directory"))
	}
	if strings.Contains(value, ":") {
		s.add(field.Invalid(path, value, "must not contain ':': choose another directory"))
	}
	if other, ok := mounted[value]; ok {
		s.add(invalidf(path, value, "is the directory of %s, too: choose another directory", other))
		return
	}
	mounted[value] = path
}

// asContainerVolume converts an existing volume.
func asContainerVolume(v v1alpha2.ExistingVolume) v1alpha2.ContainerVolume {
	return v1alpha2.ContainerVolume{
		Path: v.Path, ClaimName: v.ClaimName, ConfigMapName: v.ConfigMapName,
		Items: v.Items, SecretName: v.SecretName, ReadOnly: v.ReadOnly,
	}
}

// sourceOf returns a text that identifies the source of a volume, "" if it has none. If there are several, the first
// one in this order takes precedence, as in flux-operator.
func sourceOf(v *v1alpha2.ContainerVolume) string {
	switch {
	case v.CSIDriver != "":
		return fmt.Sprintf("CSI %s %v", v.CSIDriver, v.CSIDriverAttributes)
	case v.SecretName != "":
		return "Secret " + v.SecretName
	case v.EmptyDir:
		return fmt.Sprintf("empty directory %s %s", v.EmptyDirMedium, v.EmptyDirSizeLimit)
	case v.HostPath != "":
		return "directory " + v.HostPath
	case v.ConfigMapName != "":
		return fmt.Sprintf("ConfigMap %s %v", v.ConfigMapName, v.Items)
	case v.ClaimName != "":
		return "claim " + v.ClaimName
	}
	return ""
}

func validateSource(v *v1alpha2.ContainerVolume, path *field.Path) field.ErrorList {
	errs := reference(path.Child("claimName"), v.ClaimName)
	errs = append(errs, reference(path.Child("configMapName"), v.ConfigMapName)...)
	errs = append(errs, reference(path.Child("secretName"), v.SecretName)...)
	errs = append(errs, noBacksteps(v.HostPath, path.Child("hostPath"))...)
	for _, key := range sortedKeys(v.Items) {
		errs = append(errs, check(path.Child("items").Key(key), key, validation.IsConfigMapKey)...)
		errs = append(errs, relativePath(v.Items[key], path.Child("items").Key(key))...)
	}
	if v.EmptyDirMedium != "" && !strings.EqualFold(v.EmptyDirMedium, "memory") {
		errs = append(errs, field.Invalid(path.Child("emptyDirMedium"), v.EmptyDirMedium, "must be memory, or unset for a directory on disk"))
	}
	errs = append(errs, validateQuantity(v.EmptyDirSizeLimit, path.Child("emptyDirSizeLimit"))...)
	if v.CSIDriver != "" {
		errs = append(errs, validateDriver(v.CSIDriver, path.Child("csiDriver"))...)
	}
	return errs
}
