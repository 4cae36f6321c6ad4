package plugin

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/cmdutil"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/site"
	"minicluster.internal/operator/pkg/plugin/schema"
)

// fileOptions are the flags of the commands that read documents.
type fileOptions struct {
	site      site.Options
	files     []string
	recursive bool
	server    string
}

// addTo adds what commands that read documents have in common.
func (o *fileOptions) addTo(f *factory, cmd *cobra.Command, run func(documents []document, environment resources.Environment) error) *cobra.Command {
	o.site = site.NewOptions()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		environment, err := o.environment()
		if err != nil {
			return err
		}
		judge, err := schema.New()
		if err != nil {
			return err
		}
		reader := &documentReader{schema: judge, stdin: f.streams.In, namespace: metav1.NamespaceDefault, recursive: o.recursive}
		if f.config.Namespace != nil && *f.config.Namespace != "" {
			reader.namespace = *f.config.Namespace
		}
		documents, err := reader.read(cmd.Context(), append(slices.Clone(o.files), args...))
		if err != nil {
			return err
		}
		return run(documents, environment)
	}
	fs := cmd.Flags()
	fs.StringSliceVarP(&o.files, "filename", "f", nil, "Files and folders with MiniClusters; - is the standard input.")
	fs.BoolVarP(&o.recursive, "recursive", "R", false, "Read the folders in folders, too.")
	fs.StringVar(&o.server, "kubernetes-version", "", "Kubernetes version to check against, for example 1.29. Unset: the newest.")
	o.site.AddFlags(fs)
	return cmd
}

// environment returns the environment that the objects are built for.
func (o *fileOptions) environment() (resources.Environment, error) {
	var errs cmdutil.FlagErrors
	o.site.Validate(&errs)
	if err := errs.Join(); err != nil {
		return resources.Environment{}, err
	}
	environment := o.site.Environment()
	if o.server == "" {
		return environment, nil
	}
	text, ok := strings.CutPrefix(strings.TrimPrefix(o.server, "v"), "1.")
	text, _, _ = strings.Cut(text, ".")
	minor, err := strconv.Atoi(text)
	if !ok || err != nil || minor < 1 {
		return environment, fmt.Errorf("--kubernetes-version: %q: must be like 1.29", o.server)
	}
	environment.ServerMinor = minor
	return environment, nil
}

type lintOptions struct {
	fileOptions
	strict, notes bool
}

// newLintCommand returns the command that reports problems of documents.
func newLintCommand(f *factory) *cobra.Command {
	o := &lintOptions{}
	cmd := o.addTo(f, &cobra.Command{
		Use:   "lint {-f FILE | FILE...}",
		Short: "Check documents without a cluster",
		Long: `Check the MiniClusters in files, and in the .yaml, .yml and .json files of folders,
without a cluster. Documents of other kinds are skipped.

Errors of the schema are those of the API server. Other errors are those with which
the controller would reject the MiniCluster (Accepted=False). Warnings, fields
without effect, and differences from flux-operator are no errors.

The exit code is 0 if all MiniClusters are valid, and 1 otherwise.`,
		Example: `  kubectl minicluster lint minicluster.yaml
  kubectl minicluster lint -R examples
  kubectl minicluster lint -f - --kubernetes-version=1.29`,
	}, func(documents []document, environment resources.Environment) error {
		return o.lint(f.streams.Out, f.streams.ErrOut, documents, environment)
	})
	cmd.Flags().BoolVar(&o.strict, "warnings-as-errors", false, "Warnings and fields without effect are errors.")
	cmd.Flags().BoolVar(&o.notes, "notes", true, "Name what differs from flux-operator.")
	return cmd
}

func (o *lintOptions) lint(out, errOut io.Writer, documents []document, environment resources.Environment) error {
	if len(documents) == 0 {
		fmt.Fprintln(errOut, "no MiniCluster found")
		return nil
	}
	wrong, warnings := 0, 0
	replaced := replacedDocuments(documents)
	for i := range documents {
		d := &documents[i]
		for _, problem := range d.problems {
			fmt.Fprintf(out, "%s: error: %s\n", d.where, problem)
		}
		if len(d.problems) > 0 {
			wrong++
			continue
		}
		lines := d.warnings(environment)
		if by := replaced[i]; by != "" {
			lines = append(lines, "warning: metadata.name: "+by+" has the same name and replaces this one: use another name")
		}
		for _, line := range lines {
			fmt.Fprintf(out, "%s: %s\n", d.where, line)
			warnings++
		}
		if o.notes {
			for _, line := range differences(d) {
				fmt.Fprintf(out, "%s: flux-operator differs: %s\n", d.where, line)
			}
		}
	}
	switch {
	case wrong > 0:
		return fmt.Errorf("%d of %d documents are not valid", wrong, len(documents))
	case o.strict && warnings > 0:
		return errors.New("there are warnings")
	}
	return nil
}

// replacedDocuments returns the documents that kubectl applies before another one of the same name in the same file, by
// their index, with the other one.
func replacedDocuments(documents []document) map[int]string {
	type object struct{ file, namespace, name string }
	replaced, last := map[int]string{}, map[object]int{}
	for i := len(documents) - 1; i >= 0; i-- {
		d := &documents[i]
		if d.mc == nil || d.mc.Name == "" {
			continue
		}
		file, _, _ := strings.Cut(d.where, ": ")
		key := object{file, d.mc.Namespace, d.mc.Name}
		if other, ok := last[key]; ok {
			_, replaced[i], _ = strings.Cut(documents[other].where, ": ")
			continue
		}
		last[key] = i
	}
	return replaced
}

// warnings returns what is suspicious in a valid document, and what has no effect.
func (d *document) warnings(environment resources.Environment) []string {
	var lines []string
	fixed := resources.NewFixed(d.mc)
	for _, line := range volumeWarnings(d.mc, environment) {
		lines = append(lines, "warning: "+line)
	}
	if resources.HasLeadPlacement(d.mc) {
		lines = append(lines, "warning: spec.lead: applies only in clusters with the admission policy of manifests/lead-placement")
	}
	for _, line := range resources.Warnings(d.mc, fixed) {
		lines = append(lines, "warning: "+line)
	}
	for _, line := range resources.IneffectiveFields(d.mc, fixed, environment) {
		lines = append(lines, "without effect: "+line)
	}
	return lines
}

// volumeWarnings names the volumes that only some controllers accept, unless the flags permit them.
func volumeWarnings(mc *v1alpha2.MiniCluster, environment resources.Environment) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(mc.Spec.Volumes)) {
		volume := mc.Spec.Volumes[name]
		drivers := environment.PersistentVolumeDrivers
		switch {
		case volume.StorageClass == resources.StorageHostPath && !environment.AllowHostPathVolumes:
			lines = append(lines, fmt.Sprintf("spec.volumes[%s]: a directory of the nodes, which only a controller with --allow-hostpath-volumes accepts", name))
		case volume.StorageClass != resources.StorageHostPath && !slices.Contains(drivers, volume.Driver) && !slices.Contains(drivers, "*"):
			lines = append(lines, fmt.Sprintf("spec.volumes[%s]: a PersistentVolume, which only a controller with --persistent-volumes accepts for the driver %s", name, volume.Driver))
		}
	}
	return lines
}
