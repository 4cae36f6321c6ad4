package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/fluxconfig"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
)

// rawClientCommand makes this program the raw client. It is a separate process so that its usage can be measured like
// the operator's.
const rawClientCommand = "raw-client"

// errand is one line of the raw client's input: the writes for a MiniCluster that was created or resized.
type errand struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	Version   string `json:"version"`
	Size      int32  `json:"size"`
	New       bool   `json:"new"`
	// Spec is the spec of the MiniCluster.
	Spec json.RawMessage `json:"spec"`
}

// rawClient does the work of an operator with the least effort.
type rawClient struct {
	kube kubernetes.Interface
	flux clientset.Interface
}

// runRawClient runs errands from a stream with a number of workers.
func runRawClient(ctx context.Context, args []string, in io.Reader) error {
	c, workers, err := parseRawClient(args)
	if err != nil {
		return err
	}
	errands := make(chan errand, 1<<16)
	failed := make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for e := range errands {
				if err := c.run(ctx, e); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e errand
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("reading an errand: %w", err)
		}
		select {
		case errands <- e:
		case err := <-failed:
			return err
		}
	}
	close(errands)
	wg.Wait()
	close(failed)
	return errors.Join(<-failed, lines.Err())
}

// parseRawClient returns a raw client and its number of workers.
func parseRawClient(args []string) (*rawClient, int, error) {
	if len(args) != 2 {
		return nil, 0, errors.New("KUBECONFIG WORKERS expected: this command is for the program's own use")
	}
	var workers int
	if _, err := fmt.Sscan(args[1], &workers); err != nil {
		return nil, 0, fmt.Errorf("reading the number of workers: %w", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", args[0])
	if err != nil {
		return nil, 0, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	c, err := newRawClient(config)
	return c, workers, err
}

func newRawClient(config *rest.Config) (*rawClient, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.DisableCompression = true          // as the operator does, see cmdutil
	config.WarningHandler = rest.NoWarnings{} // another CRD does not know all fields of the status
	flux, err := clientset.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	kube, err := kubernetes.NewForConfig(compact(config))
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return &rawClient{kube: kube, flux: flux}, nil
}

// compact returns a client of built-in types that uses protobuf.
func compact(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return config
}

func (c *rawClient) run(ctx context.Context, e errand) error {
	mc := &v1alpha2.MiniCluster{}
	if err := json.Unmarshal(e.Spec, &mc.Spec); err != nil {
		return fmt.Errorf("reading a spec: %w", err)
	}
	mc.Namespace, mc.Name, mc.UID, mc.ResourceVersion = e.Namespace, e.Name, types.UID(e.UID), e.Version
	return c.write(ctx, mc, e.Size, e.New)
}

// write writes what a MiniCluster needs that was created or resized.
func (c *rawClient) write(ctx context.Context, mc *v1alpha2.MiniCluster, size int32, isNew bool) error {
	v1alpha2.SetDefaults(mc)
	if isNew {
		if err := c.create(ctx, mc, size); err != nil {
			return fmt.Errorf("creating the objects of %s: %w", mc.Name, err)
		}
	} else if err := resizeJob(ctx, c.kube, mc.Namespace, mc.Name, size); err != nil {
		return err
	}
	mc.Status = status(mc, size)
	if _, err := c.flux.FluxFrameworkV1alpha2().MiniClusters(mc.Namespace).UpdateStatus(ctx, mc, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("writing the status of %s: %w", mc.Name, err)
	}
	return nil
}

// create creates the objects that the operator creates, in the same order.
func (c *rawClient) create(ctx context.Context, mc *v1alpha2.MiniCluster, size int32) error {
	fixed, env := fixedOf(mc), environment()
	secret, err := resources.BuildSecret(mc, rand.Reader, time.Now())
	if err != nil {
		return err
	}
	job, err := resources.BuildJob(mc, fixed, env, size)
	if err != nil {
		return err
	}
	if _, err := c.kube.CoreV1().Services(mc.Namespace).Create(ctx, resources.BuildHeadlessService(mc, fixed), metav1.CreateOptions{}); err != nil {
		return err
	}
	if secret, err = c.kube.CoreV1().Secrets(mc.Namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return err
	}
	// The Secret is the second owner of the ConfigMap, for which the garbage collector needs more requests.
	conf, err := resources.BuildConfigMap(mc, fixed, env, size, resources.SecretReference(secret))
	if err != nil {
		return err
	}
	if _, err := c.kube.CoreV1().ConfigMaps(mc.Namespace).Create(ctx, conf, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err = c.kube.BatchV1().Jobs(mc.Namespace).Create(ctx, job, metav1.CreateOptions{})
	return err
}

// bareJob returns a Job like that of a MiniCluster, but without an owner, so that no operator handles it.
func bareJob(namespace, name string, size int32) (*batchv1.Job, error) {
	mc := &v1alpha2.MiniCluster{}
	mc.Namespace, mc.Name, mc.UID = namespace, name, types.UID(name)
	text, err := json.Marshal(specOf(size))
	if err != nil {
		return nil, fmt.Errorf("encoding a spec: %w", err)
	}
	if err := json.Unmarshal(text, &mc.Spec); err != nil {
		return nil, fmt.Errorf("reading a spec: %w", err)
	}
	v1alpha2.SetDefaults(mc)
	job, err := resources.BuildJob(mc, fixedOf(mc), environment(), size)
	if err != nil {
		return nil, err
	}
	job.OwnerReferences = nil
	maps.DeleteFunc(job.Labels, func(key, _ string) bool { return key == v1alpha2.LabelController || key == v1alpha2.LabelManagedBy })
	return job, nil
}

func fixedOf(mc *v1alpha2.MiniCluster) resources.Fixed {
	layout := fluxconfig.LayoutOf(&mc.Spec)
	return resources.Fixed{
		Layout: layout, Maximum: mc.Spec.MaxSize, Headless: fluxconfig.HeadlessService(mc, layout),
	}
}

func environment() resources.Environment {
	return resources.Environment{ClusterDomain: "cluster.local"}
}

// resizeJob sends the single write that resizes a Job.
func resizeJob(ctx context.Context, kube kubernetes.Interface, namespace, name string, size int32) error {
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%d"}},"spec":{"parallelism":%d,"completions":%d}}`,
		v1alpha2.AnnotationAppliedSize, size, size, size)
	if _, err := kube.BatchV1().Jobs(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("resizing Job %s: %w", name, err)
	}
	return nil
}

// status returns a status of about the same size as the operator's. It is also valid with the CRD of flux-operator,
// which requires an ID of the Job.
func status(mc *v1alpha2.MiniCluster, size int32) v1alpha2.MiniClusterStatus {
	now := metav1.Now()
	s := v1alpha2.MiniClusterStatus{MaximumSize: sizeThird, Size: size, Selector: "hpa-selector=bench", JobID: string(mc.UID)}
	for _, kind := range []string{
		v1alpha2.ConditionAccepted, v1alpha2.ConditionReady, v1alpha2.ConditionProgressing,
		v1alpha2.ConditionScalingLimited, v1alpha2.ConditionSuspended,
	} {
		s.Conditions = append(s.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, Reason: "Measured", Message: "as long as this", LastTransitionTime: now,
		})
	}
	return s
}
