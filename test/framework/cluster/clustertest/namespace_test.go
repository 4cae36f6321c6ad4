package clustertest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestNamespacePrefix(t *testing.T) {
	for test, want := range map[string]string{
		"TestStart":                         "start-",
		"TestPodExit/failure_of_one":        "podexit-failure-of-one-",
		"TestUnicode/größe=4":               "unicode-gr-e-4-",
		"Test/":                             "-",
		"Test" + strings.Repeat("long", 30): strings.Repeat("long", 30)[:maxPrefix] + "-",
	} {
		prefix := namespacePrefix(test)
		assert.Equal(t, want, prefix)
		if prefix != "-" {
			assert.Empty(t, validation.IsDNS1123Label(prefix+"x2k4j"))
		}
	}
}
