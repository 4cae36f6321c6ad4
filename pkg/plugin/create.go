package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	fluxscheme "minicluster.internal/operator/pkg/generated/clientset/versioned/scheme"
	"minicluster.internal/operator/pkg/validation"
)

// createOptions are the flags of create.
type createOptions struct {
	waitOptions
	image, view             string
	size, minSize, maxSize  int32
	cpu, memory, gpu        string
	profile, profileFile    string
	dryRun, restoreFrom     string
	fluxInImage             bool
	printer                 *genericclioptions.PrintFlags
	sizeSet, minSet, maxSet bool
	command                 []string
	namespace, name         string
}

// profilesVariable is the environment variable with the file of profiles.
const profilesVariable = "KUBECTL_MINICLUSTER_PROFILES"

// newCreateCommand returns the command that creates a MiniCluster.
func newCreateCommand(f *factory) *cobra.Command {
	o := &createOptions{printer: genericclioptions.NewPrintFlags("created").WithTypeSetter(fluxscheme.Scheme)}
	cmd := &cobra.Command{
		Use:   "create NAME --image IMAGE [-- COMMAND [ARGUMENT...]]",
		Short: "Create a MiniCluster from flags",
		Long: `Create a MiniCluster. Without a command it is interactive: it runs the jobs that
users submit.

A site can offer profiles: a file of MiniClusters, from which --profile selects one
by its name. The profile's spec is used, and the flags override it. The variable
` + profilesVariable + ` names the file where --profile-file does not.`,
		Example: `  kubectl minicluster create sample --image IMAGE --size 4 --max-size 8
  kubectl minicluster create hello --image IMAGE --size 2 -- hostname
  kubectl minicluster create sample --profile small --profile-file profiles.yaml --dry-run=client -o yaml`,
		Args: needName,
		RunE: func(cmd *cobra.Command, args []string) error {
			flags := cmd.Flags()
			o.sizeSet, o.minSet, o.maxSet = flags.Changed("size"), flags.Changed("min-size"), flags.Changed("max-size")
			o.name, o.command = args[0], args[1:]
			if len(o.command) > 0 && cmd.ArgsLenAtDash() != 1 {
				return errors.New("put -- between the name and the command")
			}
			if o.fluxInImage && o.view != "" {
				return errors.New("--flux-in-image and --view exclude each other: remove one of them")
			}
			return f.create(cmd.Context(), o)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.image, "image", "", "Image of the container that runs Flux.")
	fs.StringVar(&o.view, "view", "", "Image that brings Flux, for an image that has none.")
	fs.BoolVar(&o.fluxInImage, "flux-in-image", false, "The image has Flux: use that.")
	fs.Int32Var(&o.size, "size", 1, "Number of pods.")
	fs.Int32Var(&o.minSize, "min-size", 0, "Smallest size.")
	fs.Int32Var(&o.maxSize, "max-size", 0, "Largest size; by default the size.")
	fs.StringVar(&o.cpu, "cpu", "", "CPUs of each pod, as a request and limit.")
	fs.StringVar(&o.memory, "memory", "", "Memory of each pod, as a request and limit.")
	fs.StringVar(&o.gpu, "gpu", "", "GPUs of each pod: RESOURCE=NUMBER, for example nvidia.com/gpu=1.")
	fs.StringVar(&o.profile, "profile", "", "Name of the MiniCluster in the file of profiles whose spec is used.")
	fs.StringVar(&o.profileFile, "profile-file", "", "File of profiles; - is the standard input.")
	fs.StringVar(&o.dryRun, "dry-run", "none", "none, client (only print the object), or server (send it without keeping it).")
	fs.StringVar(&o.restoreFrom, "restore-from", "", "MiniCluster whose archive the new one starts from; it hibernates or has finished.")
	o.addFlags(cmd, false, "is ready or has finished")
	o.printer.AddFlags(cmd)
	return cmd
}

func (f *factory) create(ctx context.Context, o *createOptions) error {
	s, err := f.session()
	if err != nil {
		return err
	}
	o.namespace = s.namespace
	mc, err := o.build(s)
	if err != nil {
		return err
	}
	options := metav1.CreateOptions{}
	switch o.dryRun {
	case "none":
	case "client":
		if *o.printer.OutputFormat == "" {
			_ = o.printer.Complete("%s (dry run)")
		}
		return o.print(s, mc)
	case "server":
		options.DryRun = []string{metav1.DryRunAll}
		if *o.printer.OutputFormat == "" {
			_ = o.printer.Complete("%s (server dry run)")
		}
	default:
		return fmt.Errorf("--dry-run: %q: must be none, client or server", o.dryRun)
	}
	created, err := s.flux.FluxFrameworkV1alpha2().MiniClusters(s.namespace).Create(ctx, mc, options)
	if err != nil {
		return err
	}
	if err := o.print(s, created); err != nil || !o.wait || o.dryRun != "none" {
		return err
	}
	ctx, cancel := o.limit(ctx, "MiniCluster %s is not ready", created.Name)
	defer cancel()
	return s.waitReady(ctx, created)
}

func (o *createOptions) print(s *session, mc *v1alpha2.MiniCluster) error {
	printer, err := o.printer.ToPrinter()
	if err != nil {
		return err
	}
	return printer.PrintObj(mc, s.Out)
}

// build returns the MiniCluster of the flags. It is validated, so that errors name fields before anything is sent.
func (o *createOptions) build(s *session) (*v1alpha2.MiniCluster, error) {
	mc := &v1alpha2.MiniCluster{}
	if o.profile != "" || o.profileFile != "" {
		base, err := readProfile(o.profileFile, o.profile, s.In)
		if err != nil {
			return nil, err
		}
		mc.Spec, mc.Labels = base.Spec, base.Labels
	}
	mc.APIVersion, mc.Kind = v1alpha2.MiniClusterKind.GroupVersion().String(), v1alpha2.MiniClusterKind.Kind
	mc.Name, mc.Namespace = o.name, o.namespace
	if err := o.apply(mc); err != nil {
		return nil, err
	}
	checked := mc.DeepCopy()
	v1alpha2.SetDefaults(checked)
	if errs := validation.ValidateMiniCluster(checked); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return mc, nil
}

// apply sets what the flags say in a MiniCluster that may have the spec of a profile.
func (o *createOptions) apply(mc *v1alpha2.MiniCluster) error {
	spec := &mc.Spec
	if len(spec.Containers) == 0 {
		spec.Containers = []v1alpha2.MiniClusterContainer{{}}
	}
	container := fluxContainer(spec)
	if o.image != "" {
		container.Image = o.image
	}
	if container.Image == "" {
		return errors.New("--image: name the image of the container that runs Flux")
	}
	if o.sizeSet || spec.Size == nil && spec.MinSize == 0 {
		spec.Size = &o.size
	}
	if o.restoreFrom != "" {
		spec.RestoreFrom = &v1alpha2.RestoreSource{Name: o.restoreFrom}
	}
	if o.minSet {
		spec.MinSize = o.minSize
	}
	if o.maxSet {
		spec.MaxSize = o.maxSize
	}
	o.applyFlux(spec)
	if len(o.command) > 0 {
		container.Command = quoteCommand(o.command)
	}
	if container.Command == "" && (container.Commands == nil || container.Commands.Script == "") {
		spec.Interactive = true
	}
	return o.applyResources(container)
}

// applyFlux sets where Flux comes from.
func (o *createOptions) applyFlux(spec *v1alpha2.MiniClusterSpec) {
	if o.view == "" && !o.fluxInImage {
		return
	}
	if spec.Flux == nil {
		spec.Flux = &v1alpha2.FluxSpec{}
	}
	if spec.Flux.Container == nil {
		spec.Flux.Container = &v1alpha2.FluxContainer{}
	}
	spec.Flux.Container.Image, spec.Flux.Container.Disable = o.view, o.fluxInImage
}

// fluxContainer returns the container that runs Flux.
func fluxContainer(spec *v1alpha2.MiniClusterSpec) *v1alpha2.MiniClusterContainer {
	for i := range spec.Containers {
		if spec.Containers[i].RunFlux {
			return &spec.Containers[i]
		}
	}
	return &spec.Containers[0]
}

func (o *createOptions) applyResources(container *v1alpha2.MiniClusterContainer) error {
	wanted := map[string]string{"cpu": o.cpu, "memory": o.memory}
	flags := map[string]string{"cpu": "--cpu", "memory": "--memory"}
	if o.gpu != "" {
		name, number, ok := strings.Cut(o.gpu, "=")
		if !ok || name == "" {
			return fmt.Errorf("--gpu: %q: must be RESOURCE=NUMBER, for example nvidia.com/gpu=1", o.gpu)
		}
		wanted[name], flags[name] = number, "--gpu"
	}
	for name, text := range wanted {
		if text == "" {
			continue
		}
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			return fmt.Errorf("%s: %q: must be a quantity, for example 2: %w", flags[name], text, err)
		}
		if container.Resources == nil {
			container.Resources = &corev1.ResourceRequirements{}
		}
		for _, list := range []*corev1.ResourceList{&container.Resources.Requests, &container.Resources.Limits} {
			if *list == nil {
				*list = corev1.ResourceList{}
			}
			(*list)[corev1.ResourceName(name)] = quantity
		}
	}
	return nil
}

// quoteCommand makes the words of a command line a line for a POSIX shell.
func quoteCommand(words []string) string {
	quoted := make([]string, 0, len(words))
	for _, word := range words {
		if word == "" || strings.ContainsAny(word, " \t\n\"'\\$`|&;<>()*?[]#~!{}=%") {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		quoted = append(quoted, word)
	}
	return strings.Join(quoted, " ")
}
