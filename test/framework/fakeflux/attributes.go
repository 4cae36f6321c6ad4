package main

import (
	"fmt"
	"path"
	"strings"
)

// attributes are the attributes of a broker, flux-broker-attributes(7).
type attributes map[string]string

// settable are the attributes that can be set on the command line: any other is fatal.
func settable(name string) error {
	for _, pattern := range strings.Fields(`
		rundir rundir-cleanup statedir statedir-cleanup local-uri hostlist hostname
		broker.critical-ranks broker.boot-method broker.quorum broker.quorum-warn
		broker.shutdown-warn broker.shutdown-timeout broker.cleanup-timeout
		broker.unload-builtins-timeout broker.rc1_path broker.rc3_path broker.rc2_none
		broker.rc2_pgrp broker.exit-restart broker.module-nopanic broker.sd-notify
		broker.sd-stop-timeout broker.exit-norestart broker.recovery-mode
		conf.shell_initrc conf.shell_pluginpath config.path
		tbon.topo tbon.fanout tbon.zmqdebug tbon.zmq_io_threads tbon.child_rcvhwm
		tbon.prefertcp tbon.interface-hint tbon.torpid_min tbon.torpid_max
		tbon.tcp_user_timeout tbon.connect_timeout
		log-ring-size log-forward-level log-critical-level log-filename
		log-syslog-enable log-syslog-level log-stderr-mode log-stderr-level log-level
		content.backing-module content.hash content.dump content.restore
		cron.directory test.* test-nr.* test-im.* test-rd.* vendor.*`) {
		if ok, _ := path.Match(pattern, name); ok {
			return nil
		}
	}
	for _, name2 := range strings.Fields(`
		rank size version security.owner parent-uri instance-level jobid jobid-path
		parent-kvs-namespace broker.mapping broker.pid broker.starttime broker.uuid
		tbon.descendants tbon.level tbon.maxlevel tbon.endpoint tbon.parent-endpoint`) {
		if name == name2 {
			return fmt.Errorf("%s: attribute may not be set on the command line", name)
		}
	}
	return fmt.Errorf("%s: unknown attribute", name)
}

// parseAttributes parses NAME=VALUE of -S options.
func parseAttributes(given []string) (attributes, error) {
	a := attributes{}
	for _, g := range given {
		name, value, _ := strings.Cut(g, "=")
		if err := settable(name); err != nil {
			return nil, err
		}
		a[name] = value
	}
	return a, nil
}
