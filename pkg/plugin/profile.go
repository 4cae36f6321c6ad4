package plugin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// readProfile reads the MiniCluster of a name from a file of profiles. Without a name, the file must have exactly one.
func readProfile(file, name string, stdin io.Reader) (*v1alpha2.MiniCluster, error) {
	if file == "" {
		file = os.Getenv(profilesVariable)
	}
	if file == "" {
		return nil, fmt.Errorf("--profile-file: name the file of profiles, or set %s", profilesVariable)
	}
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--profile-file: %w", err)
		}
		defer f.Close()
		in = f
	}
	profiles, err := readProfiles(in)
	if err != nil {
		return nil, fmt.Errorf("--profile-file: %s: %w", file, err)
	}
	names := make([]string, 0, len(profiles))
	for i := range profiles {
		if profiles[i].Name == name || name == "" && len(profiles) == 1 {
			return &profiles[i], nil
		}
		names = append(names, profiles[i].Name)
	}
	if name == "" {
		return nil, fmt.Errorf("--profile: %s has %d profiles, name one of %s", file, len(profiles), strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("--profile: %s has no MiniCluster %q, only %s", file, name, strings.Join(names, ", "))
}

// readProfiles reads MiniClusters. Fields that do not exist are an error.
func readProfiles(in io.Reader) ([]v1alpha2.MiniCluster, error) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(in))
	var profiles []v1alpha2.MiniCluster
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		var mc v1alpha2.MiniCluster
		if err := yaml.UnmarshalStrict(text, &mc); err != nil {
			return nil, err
		}
		if mc.Kind == v1alpha2.MiniClusterKind.Kind {
			profiles = append(profiles, mc)
		}
	}
	if len(profiles) == 0 {
		return nil, errors.New("it has no MiniCluster")
	}
	return profiles, nil
}
