// Package randomspec generates random MiniClusters for tests: valid ones in which some fields have plausible, unusual
// or wrong values. A seed always gives the same MiniCluster. A new field of the API needs values here.
package randomspec

import (
	"math/rand/v2"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// New returns the MiniCluster of a seed.
func New(seed uint64) *v1alpha2.MiniCluster {
	return generate(rand.New(rand.NewPCG(seed, 0)))
}

// FromBytes returns the MiniCluster of some bytes, for a fuzz test: each byte is a choice.
func FromBytes(data []byte) *v1alpha2.MiniCluster {
	return generate(&bytesChoice{data})
}

// choice makes decisions.
type choice interface{ IntN(n int) int }

type bytesChoice struct{ left []byte }

// IntN returns the next byte, 0 if there are no more.
func (c *bytesChoice) IntN(n int) int {
	if len(c.left) == 0 {
		return 0
	}
	b := int(c.left[0])
	c.left = c.left[1:]
	return b % n
}

// maxChanges is the maximal number of changed fields of a valid MiniCluster. With more, nearly all would be rejected
// for one of them, and the others would not be tested.
const maxChanges = 6

func generate(c choice) *v1alpha2.MiniCluster {
	mc := sound(c)
	for range 1 + c.IntN(maxChanges) {
		changeSpec(c, &mc.Spec)
	}
	return mc
}

// changeSpec prefers the parts with the most fields.
func changeSpec(c choice, s *v1alpha2.MiniClusterSpec) {
	part := any(s)
	switch c.IntN(4) {
	case 0:
		if s.Pod == nil {
			s.Pod = &v1alpha2.PodSpec{}
		}
		part = s.Pod
	case 1:
		part = &s.Containers[c.IntN(len(s.Containers))]
	}
	change(c, reflect.ValueOf(part).Elem(), "spec")
}

// sound returns a valid MiniCluster.
func sound(c choice) *v1alpha2.MiniCluster {
	mc := &v1alpha2.MiniCluster{
		ObjectMeta: metav1.ObjectMeta{Name: pick(c, names), Namespace: "default", UID: "3f6c1a52-8a3e-4d31-9c35-6f1e4ab3a001"},
		Spec: v1alpha2.MiniClusterSpec{
			Size:       new(int32(1 + c.IntN(5))),
			Containers: []v1alpha2.MiniClusterContainer{{Image: "flux:test", Command: "hostname"}},
		},
	}
	s := &mc.Spec
	switch c.IntN(4) {
	case 0:
		s.Flux = &v1alpha2.FluxSpec{InstallRoot: "/usr"}
	case 1:
		s.Containers[0].RunFlux = true
		s.Containers = append(s.Containers, v1alpha2.MiniClusterContainer{Name: "sidecar", Image: "nginx", Ports: []int32{80}})
	}
	if c.IntN(2) == 0 {
		s.Pod = &v1alpha2.PodSpec{}
	}
	return mc
}

var names = []string{"flux-sample", "a", strings.Repeat("a", 61)}

// change changes a random part of a value.
func change(c choice, v reflect.Value, name string) {
	if special(c, v) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		change(c, v.Elem(), name)
	case reflect.Struct:
		if n := v.NumField(); n > 0 {
			i := c.IntN(n)
			change(c, v.Field(i), v.Type().Field(i).Name)
		}
	case reflect.Slice:
		changeSlice(c, v, name)
	case reflect.Map:
		changeMap(c, v, name)
	case reflect.String:
		v.SetString(text(c, name))
	case reflect.Bool:
		v.SetBool(c.IntN(2) == 0)
	case reflect.Int32, reflect.Int64:
		n := pick(c, numbers)
		if v.OverflowInt(n) {
			n = int64(1<<31 - 1)
		}
		v.SetInt(n)
	case reflect.Uint8:
		v.SetUint(uint64(c.IntN(256)))
	}
}

// special changes values whose type needs special handling.
func special(c choice, v reflect.Value) bool {
	switch p := v.Addr().Interface().(type) {
	case *resource.Quantity:
		*p = resource.MustParse(pick(c, quantities))
	case *intstr.IntOrString:
		*p = intstr.FromInt32(int32(c.IntN(100)))
	case *corev1.ResourceList:
		if *p == nil {
			*p = corev1.ResourceList{}
		}
		(*p)[corev1.ResourceName(pick(c, resources))] = resource.MustParse(pick(c, quantities))
	default:
		return false
	}
	return true
}

func changeSlice(c choice, v reflect.Value, name string) {
	if v.Len() == 0 || c.IntN(3) == 0 && v.Len() < 5 {
		elem := reflect.New(v.Type().Elem()).Elem()
		fill(c, elem, name)
		v.Set(reflect.Append(v, elem))
		return
	}
	change(c, v.Index(c.IntN(v.Len())), name)
}

func changeMap(c choice, v reflect.Value, name string) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	key := reflect.New(v.Type().Key()).Elem()
	key.SetString(text(c, name+"Key"))
	elem := reflect.New(v.Type().Elem()).Elem()
	fill(c, elem, name)
	v.SetMapIndex(key, elem)
}

// fill changes several parts of a new value, since some of them depend on each other.
func fill(c choice, v reflect.Value, name string) {
	times := 1
	if v.Kind() == reflect.Struct {
		times = 1 + c.IntN(4)
	}
	for range times {
		change(c, v, name)
	}
}

func pick[T any](c choice, from []T) T { return from[c.IntN(len(from))] }

// text returns a plausible or unusual string for a field of a name.
func text(c choice, name string) string {
	if known, ok := texts[name]; ok && c.IntN(4) > 0 {
		return pick(c, known)
	}
	return pick(c, anything)
}

var numbers = []int64{
	0, 1, -1, 2, 3, 5, 10, 80, 443, 1000, 8080, 30, 3600, 65535, 65536, 99_999, 100_000, 100_001, 1 << 20, 1<<31 - 1, 1 << 31, 1 << 40, -1 << 31,
}

var quantities = []string{
	"1", "500m", "0", "2", "1Gi", "2Gi", "1.5", "-1", "100u", "1n", "1e3", "1E", "3M", "0.0001", "9223372036854775807", "1Ki",
}

var resources = []string{
	"cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "hugepages-3", "nvidia.com/gpu", "example.com/a_b", "storage", "pods", "requests.cpu",
	"requests.nvidia.com/gpu", "kubernetes.io/x", "bogus", "A.b/c", "a b", "", "limits.memory", "count/jobs", "hugepages-",
}

var anything = []string{
	"", "a", "name", "some-name", "some.name", "Some_Name", "-a", "a-", "1", "0a", "a b", " a", "a ", "a/b", "/a", "/a/b", "/", "..", "../a", "a..b", ".", "..a",
	"a:b", "a=b", "a\nb", "\t", "ü", "\x01", "$(A)", "$A", "*", "a,b", "A", "tag:1", "example.com/a", "EXAMPLE.com/a", "a/b/c", "/b", "a/",
	"kubernetes.io/hostname", "node-role.kubernetes.io/x", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("b", 253), strings.Repeat("b", 254),
	"namespace", "hpa-selector", "job-name", "batch.kubernetes.io/job-name", "controller-uid", "batch.kubernetes.io/controller-uid",
	"batch.kubernetes.io/job-completion-index", "app.kubernetes.io/name", "app.kubernetes.io/managed-by", "flux-framework.org/maximum-size", "flux-sample", "true",
}

// texts are values of strings by the name of their field; those of the keys of a map by the name of the map and
// "Key".
var texts = map[string][]string{
	"Operator":         {"", "Exists", "Equal", "Lt", "Gt", "In"},
	"Effect":           {"", "NoSchedule", "NoExecute", "PreferNoSchedule", "Never"},
	"RestartPolicy":    {"", "Never", "OnFailure", "Always"},
	"DNSPolicy":        {"", "Default", "ClusterFirst", "ClusterFirstWithHostNet", "None", "x"},
	"ImagePullPolicy":  {"", "Always", "Never", "IfNotPresent", "Sometimes"},
	"Image":            {"a", "a:b", "a b", " ", "registry:5000/a/b@sha256:00", ""},
	"Type":             {"RuntimeDefault", "Unconfined", "Localhost", "x", ""},
	"ProcMount":        {"Default", "Unmasked", "x"},
	"Add":              {"SYS_PTRACE", "CAP_SYS_ADMIN", "ALL", "", "a b"},
	"Drop":             {"ALL", "x", ""},
	"AddCapabilities":  {"SYS_PTRACE", "CAP_SYS_ADMIN", "ALL", ""},
	"LocalhostProfile": {"a.json", "", "/a", "../a"},
	"Sysctls":          {"kernel.shm_rmid_forced", "net.core.somaxconn", "a b"},
	"Name":             {"sidecar", "flux-sample", "view", "flux-view", "kernel.shm_rmid_forced", "claim", "A"},
	"Key":              {"a", "", "example.com/a", "a b", "node-role.kubernetes.io/x", "a.b"},
	"EnvironmentKey":   {"A", "B", "a.b", "1A", "A B", "A=B", "", "PATH", "FLUX_URI"},
	"SecretsKey":       {"A", "C", "a.b", "", "A B"},
	"WorkingDir":       {"/data", "data", "/a:b", ""},
	"AnnotationsKey": {
		"a", "example.com/a", "a b", "cluster-autoscaler.kubernetes.io/safe-to-evict", "controller.kubernetes.io/pod-deletion-cost",
		"container.apparmor.security.beta.kubernetes.io/flux-sample", "container.apparmor.security.beta.kubernetes.io/other",
		"seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/flux-sample", "kubernetes.io/config.mirror",
		"scheduler.alpha.kubernetes.io/tolerations", "EXAMPLE.com/a", "A", "batch.kubernetes.io/job-completion-index",
		"batch.kubernetes.io/job-index-failure-count",
	},
	"Annotations":              {"", "1", "a b", "unconfined", "runtime/default", "localhost/x", "x", "[]", "007", "99999999999", strings.Repeat("a", 300_000)},
	"FSGroupChangePolicy":      {"Always", "OnRootMismatch", "x", ""},
	"SupplementalGroupsPolicy": {"Merge", "Strict", "x", ""},
	// Not MountOption, which not every server supports.
	"SELinuxChangePolicy": {"Recursive", "Recursive", "x", ""},
	"QueuePolicy":         {"fcfs", "easy", "x"},
	"ConnectTimeout":      {"5s", "0", "soon", "1h"},
	"MountPath":           {"/mnt/flux", "/", "a", "/a b"},
	"InstallRoot":         {"/usr", "usr", "/opt/flux", "/a b"},
	"StorageClass":        {"hostpath", "csi", ""},
	"Capacity":            {"1Gi", "0", "-1", "x", ""},
	"EmptyDirMedium":      {"memory", "Memory", "x", ""},
	"EmptyDirSizeLimit":   {"1Gi", "x", "-1", ""},
	"Path":                {"/data", "/data2", "data", "/dev/shm", "/a:b", ""},
	"Gmsa":                {"a"},
	"HeadlessName":        {"shared", "a.b", "1a", ""},
	"BrokerConfig":        {"", "x", "[bootstrap]\n"},
}
