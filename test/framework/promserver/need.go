package promserver

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Variable names the environment variable that makes tests fail where programs of Prometheus are missing, if it is
// "required". Otherwise they are skipped.
const Variable = "MINICLUSTER_PROMETHEUS"

// Need returns the path of the server's program. Without one it ends the test.
func Need(t testing.TB) string {
	t.Helper()
	return need(t, "prometheus")
}

// NeedTool is Need for promtool, which comes with it.
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
	missing := fmt.Sprintf("there is no %s: install package prometheus", program)
	// The second one is that of the tests with a real node, see package nodetest.
	if os.Getenv(Variable) == "required" || os.Getenv("MINICLUSTER_E2E") == "required" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}
