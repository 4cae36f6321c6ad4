// Command coredns is CoreDNS with the plugins that a cluster for tests needs: the official build includes the clients
// of several clouds. It prints a line on standard output when it serves.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/template"
)

const readyLine = "ready"

func main() {
	// The order is the order of the plugin chain; bind is only a setting.
	dnsserver.Directives = []string{"bind", "errors", "kubernetes", "template"}
	caddy.RegisterEventHook("ready", func(event caddy.EventName, _ any) error {
		if event == caddy.InstanceStartupEvent {
			fmt.Println(readyLine)
			// Standard output may be closed from then on, and writing to it would end the process.
			log.SetOutput(os.Stderr)
		}
		return nil
	})
	coremain.Run()
}
