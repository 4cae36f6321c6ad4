package promserver

import (
	"fmt"
	"strings"
	"time"
)

// Static returns a configuration that scrapes /metrics of some addresses (host:port), over plain HTTP, as the job
// "test".
func Static(interval time.Duration, targets ...string) string {
	return fmt.Sprintf(`global: {scrape_interval: %[1]s, scrape_timeout: %[1]s, evaluation_interval: %[1]s}
scrape_configs:
  - job_name: test
    static_configs:
      - targets: [%[2]s]
`, interval, "'"+strings.Join(targets, "', '")+"'")
}
