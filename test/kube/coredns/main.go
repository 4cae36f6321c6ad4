// Command coredns is CoreDNS with the plugins that a cluster for tests needs: the stock one brings the clients of
// several clouds along. It prints a line on standard output when it answers.
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
	// The order is the one in which plugins are asked; bind is a mere setting.
	dnsserver.Directives = []string{"bind", "errors", "kubernetes", "template"}
	caddy.RegisterEventHook("ready", func(event caddy.EventName, _ any) error {
		if event == caddy.InstanceStartupEvent {
			fmt.Println(readyLine)
			// Nobody may read standard output from then on, which would end a process that writes to it.
			log.SetOutput(os.Stderr)
		}
		return nil
	})
	coremain.Run()
}
