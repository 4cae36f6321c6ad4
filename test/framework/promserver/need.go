package promserver

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Variable is the environment variable that makes tests fail if programs of Prometheus are missing, if its value is
// "required". Otherwise they are skipped.
const Variable = "MINICLUSTER_PROMETHEUS"

// Need returns the path of the server's program. If it is missing, the test ends.
func Need(t testing.TB) string {
	t.Helper()
	return need(t, "prometheus")
}

// NeedTool is Need for promtool, which is part of the same package.
func NeedTool(t testing.TB) string {
	t.Helper()
	return need(t, "promtool")
}

func need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	missing := fmt.Sprintf("%s is missing: install package prometheus", program)
	// The second variable is that of the tests with a real node, see package nodetest.
	if os.Getenv(Variable) == "required" || os.Getenv("MINICLUSTER_E2E") == "required" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}
