package clustertest

import (
	"flag"
	"fmt"
	"os"
	"strconv"
)

// Together sets the number of parallel tests of a package, for tests that mostly wait: it may exceed the number of
// processors. TestMain calls it before it parses the flags, so that the command line takes precedence.
func Together(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
