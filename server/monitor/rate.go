package monitor

import (
	"math"
	"time"

	"postern/storage"
)

// Below these, in sixty minutes, nobody rings.
const (
	floorSends     = 30
	floorForwards  = 10
	floorFirstTime = 10
)

// Half-lives, in hours: of mean and deviation, and of the peak.
const (
	levelHalfLife = 7 * 24
	peakHalfLife  = 45 * 24
)

var (
	levelWeight = 1 - math.Exp2(-1.0/levelHalfLife) // of one hour, in mean and deviation
	peakDecay   = math.Exp2(-1.0 / peakHalfLife)    // in one hour
)

// slotTime is how finely the sliding hour is counted.
const slotTime = 10 * time.Minute

// count adds n at a time, and reports whether the sliding hour is now above what
// is usual, together with both. A rate that is still being learned does not ring.
func count(r *storage.Rate, at time.Time, n uint32, floor float64, learned bool) (total uint32, limit float64, rings bool) {
	forward(r, at)
	r.Slots[index(r.Slot)] += n
	r.Count += n
	for _, s := range r.Slots {
		total += s
	}
	limit = max(floor, r.Mean+4*math.Sqrt(r.Var), 2*r.Peak)
	r.High[0] = max(r.High[0], total)
	if rings = learned && float64(total) > limit; rings {
		r.Peak = float64(total) // and so it rings again where it has doubled
	}
	return total, limit, rings
}

func index(slot int64) int { return int(slot % 6) }

// forward brings a rate to a time: slots that are over are emptied, hours that
// are over go into mean, deviation and peak. Time that goes back stands still.
func forward(r *storage.Rate, at time.Time) {
	slot := at.Unix() / int64(slotTime/time.Second)
	if slot-r.Slot > 6 {
		r.Slots, r.Slot = [6]uint32{}, slot
	}
	for r.Slot < slot {
		r.Slot++
		r.Slots[index(r.Slot)] = 0
	}
	hour := at.Unix() / 3600
	if r.Hour == 0 {
		r.Hour = hour
	}
	for r.Hour < hour {
		if hour-r.Hour > 20*peakHalfLife { // nothing is left
			r.Mean, r.Var, r.Peak, r.High, r.Count, r.Hour = 0, 0, 0, [2]uint32{}, 0, hour
			return
		}
		fold(r)
	}
}

// fold ends an hour. The variance is West's incremental one, weighted. What was
// high becomes the peak an hour later: a burst must not raise its own limit.
func fold(r *storage.Rate) {
	diff := float64(r.Count) - r.Mean
	step := levelWeight * diff
	r.Mean += step
	r.Var = (1 - levelWeight) * (r.Var + diff*step)
	r.Peak = max(r.Peak*peakDecay, float64(r.High[1]))
	r.High = [2]uint32{0, r.High[0]}
	r.Count = 0
	r.Hour++
}
