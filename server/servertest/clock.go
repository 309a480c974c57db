package servertest

import (
	"sync/atomic"
	"time"
)

// Clock is the time of a world: that of the machine, and a distance that tests
// change. It never stands still, since real sockets wait in it.
type Clock struct{ ahead atomic.Int64 }

// Now is the time in the world.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *Clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) { c.advance(d) }
