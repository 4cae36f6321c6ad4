package prepare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// encodeR makes R (RFC 20) with Flux: the resources of each host of the instance.
func (i *Instance) encodeR(ctx context.Context) (string, error) {
	var cores, gpus string
	// Exclusive CPUs are counted as physical cores, to which Flux binds.
	if n := i.plan.Resources.Cores; n > 0 && !i.exclusive {
		cores = idset(n)
	}
	if n := i.plan.Resources.GPUs; n > 0 {
		gpus = idset(n)
	}
	if cores == "" && gpus != "" {
		// Flux reports either the detected resources or the requested ones.
		local, err := i.runREncode(ctx, "", "")
		if err != nil {
			return "", err
		}
		if cores, err = coresOfR(local); err != nil {
			return "", err
		}
	}
	return i.runREncode(ctx, cores, gpus)
}

func (i *Instance) runREncode(ctx context.Context, cores, gpus string) (string, error) {
	args := []string{i.Flux, "R", "encode", "--hosts=" + i.plan.Hosts}
	if cores == "" {
		args = append(args, "--local")
	} else {
		args = append(args, "--cores="+cores)
	}
	if gpus != "" {
		args = append(args, "--gpus="+gpus)
	}
	out, err := i.output(ctx, args...)
	if err != nil {
		return "", fmt.Errorf("flux R encode: %w", err)
	}
	if !json.Valid([]byte(out)) {
		return "", fmt.Errorf("flux R encode did not print JSON: %q", firstLine(out))
	}
	return out, nil
}

// idset returns the set of the first n numbers (RFC 22).
func idset(n int) string {
	if n == 1 {
		return "0"
	}
	return "0-" + strconv.Itoa(n-1)
}

// coresOfR returns the cores of the first host in R.
func coresOfR(text string) (string, error) {
	var r struct {
		Execution struct {
			RLite []struct {
				Children struct {
					Core string `json:"core"`
				} `json:"children"`
			} `json:"R_lite"`
		} `json:"execution"`
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return "", fmt.Errorf("reading R: %w", err)
	}
	if len(r.Execution.RLite) == 0 || r.Execution.RLite[0].Children.Core == "" {
		return "", errors.New("reading R: it has no cores")
	}
	return r.Execution.RLite[0].Children.Core, nil
}
