package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"minicluster.internal/operator/test/framework/cluster"
)

// stateFile is in the cluster's directory. That it is there is also what makes the directory ours to remove.
const stateFile = "kubeup.json"

// state is what has to be remembered between up and down.
type state struct {
	Processes []cluster.Process `json:"processes"`
	Kubectl   string            `json:"kubectl"`
}

func newState(kube *cluster.Cluster) state {
	return state{Processes: kube.Processes(), Kubectl: kube.KubectlPath()}
}

func (s state) empty() bool { return len(s.Processes) == 0 }

func loadState(dir string) (state, error) {
	content, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("reading the cluster's state: %w", err)
	}
	var s state
	if err := json.Unmarshal(content, &s); err != nil {
		return state{}, fmt.Errorf("reading the cluster's state in %s: %w", dir, err)
	}
	return s, nil
}

func (s state) save(dir string) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the cluster's state: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, stateFile), append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("remembering the cluster's processes: %w", err)
	}
	return nil
}
