package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/openapi"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/generated/clientset/versioned"
)

// factory makes the session of a command from the flags of kubectl.
type factory struct {
	config  *genericclioptions.ConfigFlags
	streams genericiooptions.IOStreams
	// test replaces the session of the cluster, for tests.
	test *session
}

// session is one run of a subcommand: clients, the namespace of the user, and the streams.
type session struct {
	genericiooptions.IOStreams
	kube      kubernetes.Interface
	flux      versioned.Interface
	namespace string
	executor  executor
	// openAPI reads the schemas of the server; nil if there are none, in tests.
	openAPI openapi.Client
}

// session connects to the cluster of the user's flags and kubeconfig.
func (f *factory) session() (*session, error) {
	if f.test != nil {
		return f.test, nil
	}
	config, err := f.config.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	namespace, _, err := f.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, err
	}
	// The plugin is one process for one command: the client's rate limit would only delay it.
	config.QPS = -1
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	flux, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &session{
		IOStreams: f.streams, kube: kube, flux: flux, namespace: namespace,
		executor: &podExecutor{config: config, client: kube.CoreV1().RESTClient()},
		openAPI:  kube.Discovery().OpenAPIV3(),
	}, nil
}

// completeNames completes the names of MiniClusters in a shell.
func (f *factory) completeNames(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	s, err := f.session()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := s.flux.FluxFrameworkV1alpha2().MiniClusters(s.namespace).List(cmd.Context(), metav1.ListOptions{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// miniCluster reads a MiniCluster by name.
func (s *session) miniCluster(ctx context.Context, name string) (*v1alpha2.MiniCluster, error) {
	return s.flux.FluxFrameworkV1alpha2().MiniClusters(s.namespace).Get(ctx, name, metav1.GetOptions{})
}

// pods lists the pods of a MiniCluster.
func (s *session) pods(ctx context.Context, mc *v1alpha2.MiniCluster) ([]corev1.Pod, error) {
	list, err := s.kube.CoreV1().Pods(mc.Namespace).List(ctx, metav1.ListOptions{LabelSelector: resources.PodSelector(mc)})
	if err != nil {
		return nil, fmt.Errorf("listing the pods of MiniCluster %s: %w", mc.Name, err)
	}
	return list.Items, nil
}

// leadPod returns the newest pod of index 0. With live, it has to run.
func (s *session) leadPod(ctx context.Context, mc *v1alpha2.MiniCluster, live bool) (*corev1.Pod, error) {
	list, err := s.kube.CoreV1().Pods(mc.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: resources.PodSelector(mc) + "," + batchv1.JobCompletionIndexAnnotation + "=0",
	})
	if err != nil {
		return nil, fmt.Errorf("listing the lead pod of MiniCluster %s: %w", mc.Name, err)
	}
	var lead *corev1.Pod
	for i := range list.Items {
		pod := &list.Items[i]
		if live && (pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning) {
			continue
		}
		if lead == nil || lead.CreationTimestamp.Before(&pod.CreationTimestamp) {
			lead = pod
		}
	}
	switch {
	case lead != nil:
		return lead, nil
	case live:
		return nil, fmt.Errorf("the lead pod of MiniCluster %s is not running: see `kubectl minicluster status %s`", mc.Name, mc.Name)
	}
	return nil, fmt.Errorf("MiniCluster %s has no lead pod: see `kubectl minicluster status %s`", mc.Name, mc.Name)
}

// leadOf reads a MiniCluster and its running lead pod.
func (s *session) leadOf(ctx context.Context, name string) (*v1alpha2.MiniCluster, *corev1.Pod, error) {
	mc, err := s.miniCluster(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if stopped(mc) {
		return nil, nil, fmt.Errorf("MiniCluster %s hibernates: wake it with `kubectl minicluster resume %s`", name, name)
	}
	lead, err := s.leadPod(ctx, mc, true)
	return mc, lead, err
}

// errNoName is the error of a command without the name of a MiniCluster.
var errNoName = errors.New("name a MiniCluster; `kubectl minicluster get` lists them")

// needName checks that a command got at least the name of a MiniCluster.
func needName(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errNoName
	}
	return nil
}

// needArguments checks the number of arguments, of which the first is the name of a MiniCluster.
func needArguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch n := len(args); {
		case n == 0 && least > 0:
			return errNoName
		case n < least:
			return fmt.Errorf("an argument is missing: use `%s`", cmd.UseLine())
		case n > most:
			return fmt.Errorf("the argument %q is one too many: use `%s`", args[most], cmd.UseLine())
		}
		return nil
	}
}
