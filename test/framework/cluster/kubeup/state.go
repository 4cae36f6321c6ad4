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

// stateFile is in the cluster's directory. Only a directory that contains it may be removed.
const stateFile = "kubeup.json"

// state is the information that down needs from up.
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
		return fmt.Errorf("recording the cluster's processes: %w", err)
	}
	return nil
}
