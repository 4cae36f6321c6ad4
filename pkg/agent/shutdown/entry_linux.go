//go:build linux && (amd64 || arm64)

package shutdown

// entry is where the program in the image of the agent starts. If the process is the first one of its namespace, entry
// forks: the child becomes the agent, and the first process forwards signals to it, reaps orphans, and exits with the
// code of the agent, except that
//   - the end of the agent by a signal becomes 137 for SIGKILL, else 143: before package initialization, a signal ends
//     the agent;
//   - exit code 2 becomes 211 unless the agent called Exit: a panic or a fatal error of the runtime has that code.
//
// A Job takes other codes for those of the application. The first process never runs the Go runtime, which could not
// handle signals in time either, and needs little memory. Before the agent listens, signals of the application are
// lost, and SIGQUIT and SIGRTMIN+3 become SIGTERM: the runtime would print its goroutines, or ignore the signal. What
// arrives before entry blocks signals, within microseconds after execve(2), is discarded by the kernel.
func entry() //nolint:unused // the flag -E of the linker names it

// shared points to memory of both processes, nil without entry. The assembly code knows its layout.
var shared *sharedState
