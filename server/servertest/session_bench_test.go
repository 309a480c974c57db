package servertest_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"postern/server/servertest"
)

// BenchmarkSubmissionSession is a whole session: TCP, TLS, AUTH and one message that
// is durable, by one client after the other and by sixteen at once. The figure to hold
// is 500 a second. The client's half of TLS is in what it costs, and so is the delivery
// to another inbox that follows.
func BenchmarkSubmissionSession(b *testing.B) {
	for _, c := range []struct {
		name    string
		clients int
	}{{"1", 1}, {"16", 16}} {
		b.Run(c.name, func(b *testing.B) {
			p := servertest.New(b, servertest.Options{Agents: []string{"scout", "clerk"}})
			unlimited(b, p, p.Agents["scout"])
			before := computed(b)
			b.ResetTimer()
			var n atomic.Int64
			var all sync.WaitGroup
			for range c.clients {
				all.Go(func() {
					for n.Add(1) <= int64(b.N) {
						if r := submitter(b, p, "scout").submit("scout@alpha.test", "clerk@alpha.test", "From: scout@alpha.test\r\nSubject: x\r\n\r\nx\r\n"); r[:3] != "250" {
							b.Error(r)
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
			b.ReportMetric(float64((computed(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}
