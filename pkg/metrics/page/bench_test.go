package page

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// restless simulates an hour in which every number of every MiniCluster changes every time, which is the largest
// possible history.
func restless(b testing.TB, n int) *world {
	b.Helper()
	w := newWorld(b)
	w.sums = nodes(100, 6400, 25600, 11000)
	for i := range n {
		w.put(b, cluster(fmt.Sprintf("ns-%d", i%10), fmt.Sprintf("mc-%d", i), 1, 100))
	}
	for at := range int(window / w.options.Interval) {
		for _, of := range w.ordered {
			w.say(of.String(), int64(at%97), 1, 2, int64(at%89))
		}
		w.sums.Requests.CPU = int64(at)
		w.after(w.options.Interval)
	}
	return w
}

// BenchmarkRecord measures one record of a number of MiniClusters, without the sources.
func BenchmarkRecord(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			before := heap()
			w := restless(b, n)
			history := 0
			for _, of := range w.ordered {
				history += cap(of.history) * 32
			}
			all := heap() - before
			for b.Loop() {
				w.after(time.Second)
			}
			b.ReportMetric(float64(all)/float64(n)/1024, "KiB/MiniCluster")
			b.ReportMetric(float64(history)/float64(n)/1024, "KiB-history/MiniCluster")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkPage measures rendering the whole page for one reader, after a restless hour.
func BenchmarkPage(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := restless(b, n)
			template, err := newTemplate()
			require.NoError(b, err)
			var page bytes.Buffer
			for b.Loop() {
				page.Reset()
				require.NoError(b, template.page(&page, w.view(everything(), query{})))
			}
			b.ReportMetric(float64(page.Len())/1024, "KiB")
		})
	}
}

// BenchmarkUpdate measures the update of ten readers after each record, after a restless hour.
func BenchmarkUpdate(b *testing.B) {
	for name, busy := range map[string]int{"all": 1000, "some": 10} {
		b.Run(name, func(b *testing.B) {
			w := restless(b, 1000)
			d := newDrawings(b, w)
			all := everything()
			sent := make([]map[string][sha256.Size]byte, 10)
			for i := range sent {
				sent[i] = map[string][sha256.Size]byte{}
				d.draw(&all, query{}).update(sent[i])
			}
			size, updates := 0, 0
			for b.Loop() {
				b.StopTimer()
				for i, of := range w.ordered {
					if i%(1000/busy) == 0 {
						w.say(of.String(), int64(updates%97), 1, 2, int64(updates%89))
					}
				}
				w.after(w.options.Interval)
				b.StartTimer()
				for i := range sent {
					size += len(d.draw(&all, query{}).update(sent[i]))
				}
				updates++
			}
			b.ReportMetric(float64(size)/float64(updates*len(sent))/1024, "KiB/update")
		})
	}
}
