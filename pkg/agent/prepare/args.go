package prepare

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BrokerArgs returns the command line of a broker, with the program first.
//
// If the plan wraps the broker, the command line is that of flux start. It interprets options up to the first
// argument that is not an option, and passes the others to the broker.
func (i *Instance) BrokerArgs(run BrokerRun) ([]string, error) {
	if run.Interactive && len(run.Program) > 0 {
		return nil, errors.New("a broker without an initial program was given one")
	}
	if run.Restore != "" && !i.Lead {
		return nil, errors.New("only the lead broker restores content")
	}
	args := []string{i.Flux, "broker", "--config-path", i.Files.ConfigDir}
	if wrap := i.plan.Broker.Wrap; wrap != "" {
		args = []string{i.Flux, "start", "--wrap=" + wrap, "-o--config-path", i.Files.ConfigDir}
	}
	attributes := i.attributes(run)
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		args = append(args, "-S"+name+"="+attributes[name])
	}
	if len(run.Program) > 0 {
		args = append(append(args, "--"), run.Program...)
	}
	return args, nil
}

// attributes returns the attributes of flux-broker-attributes(7) that differ from the defaults of Flux. Flux before
// 0.82 accepts unknown attributes; later versions do not start with them.
func (i *Instance) attributes(run BrokerRun) map[string]string {
	set := map[string]string{
		"cron.directory":   i.Files.CronDir,
		"rundir":           i.Files.RunDir,
		"statedir":         i.Files.StateDir,
		"local-uri":        i.Files.SocketURI,
		"log-stderr-level": strconv.Itoa(i.logLevel()),
		"log-stderr-mode":  "local",
	}
	if run.StateDir != "" {
		set["statedir"] = run.StateDir
	}
	if run.Quorum > 0 {
		set["broker.quorum"] = i.Version.quorum(run.Quorum)
	}
	if run.Interactive {
		set["broker.rc2_none"] = "1"
	}
	if run.Restore != "" {
		set["content.restore"] = run.Restore
	}
	if run.StopQueues {
		set["broker.rc1_path"] = stopQueues
	}
	if run.CleanupTimeout > 0 && i.Version.atLeast(68) {
		set["broker.cleanup-timeout"] = seconds(run.CleanupTimeout)
	}
	if run.ShutdownTimeout > 0 && i.Version.atLeast(82) {
		set["broker.shutdown-timeout"] = seconds(run.ShutdownTimeout)
	}
	if i.plan.HostNetwork {
		set["hostname"] = i.hostname // instead of gethostname(2)
	}
	if i.shellInitrc != "" {
		set["conf.shell_initrc"] = i.shellInitrc
	}
	for name, value := range i.plan.Broker.Attributes {
		if name == "tbon.connect_timeout" && !i.Version.atLeast(50) {
			continue
		}
		set[name] = value
	}
	return set
}

// stopQueues replaces the start script of Flux: the broker runs it in a shell before any node is online.
const stopQueues = "$(flux config builtin rc1_path) && flux queue stop --quiet --all --nocheckpoint"

// logErrors is the severity of errors, syslog(3).
const logErrors = 3

// logLevel returns the severity up to which a broker logs. The agent reads the log, and prints what the plan says; it
// needs the errors to report why a broker ended.
func (i *Instance) logLevel() int {
	if i.plan.Logging.Quiet {
		return logErrors
	}
	return max(logErrors, int(i.plan.Broker.LogLevel))
}

// quorum returns the value of the attribute broker.quorum: a number, or for Flux before 0.51 the ranks (RFC 22
// idset).
func (v Version) quorum(n int32) string {
	switch {
	case v.atLeast(51):
		return strconv.Itoa(int(n))
	case n == 1:
		return "0"
	default:
		return "0-" + strconv.Itoa(int(n-1))
	}
}

// seconds formats a duration for Flux (RFC 23).
func seconds(d time.Duration) string {
	return strings.TrimSuffix(strconv.FormatFloat(d.Seconds(), 'f', 3, 64), ".000") + "s"
}
