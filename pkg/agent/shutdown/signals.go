package shutdown

import (
	"os"
	"os/signal"
	"syscall"
)

// sigRTMIN is SIGRTMIN of the C library. The first two real-time signals belong to its threads.
const sigRTMIN = 34

// ParentDeathSignal is the signal that a process can request for the end of its parent. It is none of those that stop
// the agent or that the agent forwards.
const ParentDeathSignal = syscall.Signal(sigRTMIN + 4)

// SystemdStop is SIGRTMIN+3, which stops images that expect systemd.
const SystemdStop = syscall.Signal(sigRTMIN + 3)

// stopSignals returns the signals that stop a container: those of container runtimes, of terminals, and of images that
// expect systemd (SIGRTMIN+3).
func stopSignals() []os.Signal {
	return []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, SystemdStop, ParentDeathSignal}
}

// forwardedSignals returns the signals that belong to the application.
func forwardedSignals() []os.Signal {
	return []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH}
}

// received contains signals from the initialization of this package on. That is before main, see entry for earlier
// ones. The package imports little, so that it is initialized early.
var received = notify()

func notify() <-chan os.Signal {
	c := make(chan os.Signal, 64)
	signal.Notify(c, append(stopSignals(), forwardedSignals()...)...)
	if shared != nil {
		shared.listening.Store(1)
	}
	return c
}
