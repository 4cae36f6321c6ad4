package plugin

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// newRenderCommand returns the command that prints the objects of MiniClusters.
func newRenderCommand(f *factory) *cobra.Command {
	o := &fileOptions{}
	return o.addTo(f, &cobra.Command{
		Use:   "render {-f FILE | FILE...}",
		Short: "Print the objects of MiniClusters without a cluster",
		Long: `Print the objects that the controller would create for the MiniClusters in files,
without a cluster. Keys and passwords are replaced by a note. A document that is not
valid is reported, the others are printed, and the exit code is 1.`,
		Example: `  kubectl minicluster render minicluster.yaml
  kubectl minicluster render -f - --agent-image=IMAGE`,
	}, func(documents []document, environment resources.Environment) error {
		return render(f.streams.Out, f.streams.ErrOut, documents, environment)
	})
}

func render(out, problems io.Writer, documents []document, environment resources.Environment) error {
	if len(documents) == 0 {
		return errors.New("the files contain no MiniCluster")
	}
	var failed []error
	for i := range documents {
		d := &documents[i]
		if len(d.problems) > 0 {
			for _, problem := range d.problems {
				fmt.Fprintf(problems, "%s: error: %s\n", d.where, problem)
			}
			failed = append(failed, fmt.Errorf("%s: not valid", d.where))
			continue
		}
		if err := renderObjects(out, d.mc, environment); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", d.where, err))
		}
	}
	return errors.Join(failed...)
}

// unknownUID is a placeholder for the UID of a MiniCluster that does not exist yet.
const unknownUID = "00000000-0000-0000-0000-000000000000"

func renderObjects(out io.Writer, mc *v1alpha2.MiniCluster, environment resources.Environment) error {
	mc = mc.DeepCopy()
	if mc.Name == "" {
		mc.Name = mc.GenerateName + "xxxxx" // completed as the API server does
	}
	exists := mc.UID != ""
	if !exists {
		mc.UID = unknownUID
	}
	objects, err := resources.Objects(mc, resources.NewFixed(mc), environment, rand.Reader, time.Now())
	if err != nil {
		return err
	}
	for _, o := range objects {
		if secret, ok := o.(*corev1.Secret); ok {
			withholdKeys(secret)
		}
		if !exists {
			// The garbage collector would delete an object whose owner does not exist.
			accessor, err := meta.Accessor(o)
			if err != nil {
				return fmt.Errorf("reading the metadata of an object: %w", err)
			}
			accessor.SetOwnerReferences(nil)
		}
		text, err := objectText(o)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "---\n%s", text); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	return nil
}

// withheld replaces keys and passwords. It is not a valid key, so brokers reject it.
const withheld = "(withheld: the controller puts a key or password here)"

func withholdKeys(secret *corev1.Secret) {
	secret.StringData = map[string]string{}
	for key := range secret.Data {
		secret.StringData[key] = withheld
	}
	secret.Data = nil
}

// objectText returns an object as a user would write it: without a status and without the empty fields of Go's types.
func objectText(o runtime.Object) ([]byte, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encoding an object: %w", err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("decoding an object: %w", err)
	}
	delete(fields, "status")
	text, err := yaml.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("encoding an object: %w", err)
	}
	return text, nil
}
