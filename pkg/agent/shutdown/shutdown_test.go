package shutdown

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSignals(t *testing.T) {
	for name, test := range map[string]struct {
		signal syscall.Signal
		stops  bool
	}{
		"TERM": {syscall.SIGTERM, true}, "INT": {syscall.SIGINT, true}, "QUIT": {syscall.SIGQUIT, true}, "HUP": {syscall.SIGHUP, true},
		"RTMIN+3": {37, true}, "parent": {ParentDeathSignal, true},
		"USR1": {syscall.SIGUSR1, false}, "USR2": {syscall.SIGUSR2, false}, "WINCH": {syscall.SIGWINCH, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan os.Signal, 1)
				defer close(signals)
				s := listen(signals)
				var forwarded []syscall.Signal
				s.Forward(func(sig syscall.Signal) { forwarded = append(forwarded, sig) })
				signals <- test.signal
				synctest.Wait()
				assert.Equal(t, test.stops, s.Requested())
				if test.stops {
					assert.Equal(t, test.signal, s.Signal())
					assert.Empty(t, forwarded)
				} else {
					assert.Nil(t, s.Signal())
					assert.Equal(t, []syscall.Signal{test.signal}, forwarded)
				}
			})
		})
	}
}

func TestReserve(t *testing.T) {
	for grace, want := range map[time.Duration]time.Duration{
		time.Second: 500 * time.Millisecond, 8 * time.Second: 4 * time.Second, 10 * time.Second: 5 * time.Second,
		30 * time.Second: 6 * time.Second, time.Minute: 12 * time.Second, time.Hour: 30 * time.Second,
	} {
		assert.Equal(t, want, Never(grace).Reserve(), grace.String())
	}
}

// The request to stop counts if it arrives at the end of the wait.
func TestSleepUntilTheRequest(t *testing.T) {
	for range 50 { // a select takes any of its ready cases
		synctest.Test(t, func(t *testing.T) {
			signals := make(chan os.Signal, 1)
			defer close(signals)
			s := listen(signals)
			signals <- syscall.SIGTERM
			<-s.Done()
			assert.False(t, s.Sleep(0))
		})
	}
}

func TestRemaining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		defer close(signals)
		s := listen(signals)
		assert.Greater(t, s.Remaining(time.Second), 1000*time.Hour)
		time.Sleep(time.Minute)
		signals <- syscall.SIGTERM
		<-s.Done()
		arrived := time.Now()
		s.SetGrace(10 * time.Second) // the plan is read after the signal
		time.Sleep(2 * time.Second)
		signals <- syscall.SIGINT // a second signal changes nothing
		synctest.Wait()
		assert.Equal(t, 7*time.Second, s.Remaining(time.Second))
		s.SetElapsed(func(at time.Time) time.Duration {
			assert.Equal(t, arrived, at, "not when it is handled")
			return 3 * time.Second
		})
		assert.Equal(t, 4*time.Second, s.Remaining(time.Second), "a preStop hook took a part of the grace period")
		assert.Equal(t, syscall.SIGTERM, s.Signal())
		assert.False(t, s.Sleep(time.Hour))
		ctx, cancel := s.Context(t.Context())
		defer cancel()
		<-ctx.Done()
		time.Sleep(time.Minute)
		assert.Zero(t, s.Remaining(0))
	})
}
