package nodes_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/user"
)

const gpuDriver = "gpu.nvidia.com"

// gpuNodes makes the first n nodes advertise one GPU each, as the DRA driver of a vendor does.
func gpuNodes(t *testing.T, n int) {
	t.Helper()
	client := suite.Cluster(t).Client()
	_, err := client.ResourceV1().DeviceClasses().Create(t.Context(), &resourcev1.DeviceClass{
		ObjectMeta: metav1.ObjectMeta{Name: gpuDriver},
		Spec: resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{
			{CEL: &resourcev1.CELDeviceSelector{Expression: fmt.Sprintf("device.driver == %q", gpuDriver)}},
		}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, client.ResourceV1().DeviceClasses().Delete(context.Background(), gpuDriver, metav1.DeleteOptions{}))
	})
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(nodes.Items), n)
	for i := range n {
		node := nodes.Items[i].Name
		_, err := client.ResourceV1().ResourceSlices().Create(t.Context(), &resourcev1.ResourceSlice{
			ObjectMeta: metav1.ObjectMeta{Name: node + "-gpus"},
			Spec: resourcev1.ResourceSliceSpec{
				Driver:   gpuDriver,
				NodeName: &node,
				Pool:     resourcev1.ResourcePool{Name: node, ResourceSliceCount: 1},
				Devices:  []resourcev1.Device{{Name: "gpu-0"}},
			},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
		t.Cleanup(func() {
			assert.NoError(t, client.ResourceV1().ResourceSlices().Delete(context.Background(), node+"-gpus", metav1.DeleteOptions{}))
		})
	}
}

// gpus returns "POOL/DEVICE on NODE" for the device of each pod of a MiniCluster, and the number of pods without one.
func gpus(ctx context.Context, f *user.Fixture, name string) (devices map[string]string, without int, err error) {
	pods, err := f.Kube.CoreV1().Pods(f.Namespace).List(ctx, metav1.ListOptions{LabelSelector: user.Selector(name)})
	if err != nil {
		return nil, 0, err
	}
	devices = map[string]string{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp != nil {
			continue
		}
		if pod.Spec.NodeName == "" {
			without++
			continue
		}
		for _, status := range pod.Status.ResourceClaimStatuses {
			if status.ResourceClaimName == nil {
				continue
			}
			claim, err := f.Kube.ResourceV1().ResourceClaims(f.Namespace).Get(ctx, *status.ResourceClaimName, metav1.GetOptions{})
			// The claim of a pod that left after the list is gone, or no longer allocated.
			if apierrors.IsNotFound(err) || err == nil && claim.Status.Allocation == nil {
				continue
			}
			if err != nil {
				return nil, 0, err
			}
			for _, device := range claim.Status.Allocation.Devices.Results {
				devices[device.Pool+"/"+device.Device] = pod.Spec.NodeName
			}
		}
	}
	return devices, without, nil
}

// TestResourceClaims: the scheduler allocates a device for the claim of each pod of the document in the gallery, on the
// node of the pod. A pod without a free device waits, and gets that of a pod that leaves. Only the driver is simulated.
func TestResourceClaims(t *testing.T) {
	gpuNodes(t, 3)
	f := user.NewFixture(t, suite.Cluster(t))
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	documents, err := os.ReadFile(filepath.Join(root, "examples/gallery/dra.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(documents), "\n  size: 2\n")
	f.Apply(strings.Replace(string(documents), "\n  size: 2\n", "\n  size: 2\n  maxSize: 4\n", 1))

	allocated := func(devices, waiting int) {
		f.Eventually(fmt.Sprintf("%d devices, %d pods wait", devices, waiting), func(ctx context.Context) (string, error) {
			got, without, err := gpus(ctx, f, "dra")
			if err != nil || len(got) != devices || without != waiting {
				return fmt.Sprintf("devices %v, %d pods wait", got, without), err
			}
			for device, node := range got {
				assert.True(t, strings.HasPrefix(device, node+"/"), "%s of a pod on %s", device, node)
			}
			return "", nil
		})
	}
	allocated(2, 0)
	f.Kubectl("scale", "minicluster", "dra", "--replicas=4")
	allocated(3, 1)
	f.Kubectl("scale", "minicluster", "dra", "--replicas=2")
	allocated(2, 0)
	f.Eventually("no claim of a pod that is gone", func(ctx context.Context) (string, error) {
		claims, err := f.Kube.ResourceV1().ResourceClaims(f.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(claims.Items) != 2 {
			return fmt.Sprintf("there are %d", len(claims.Items)), err
		}
		return "", nil
	})
}
