package chart

import (
	"time"
)

// Step is one stretch of an axis.
type Step struct {
	Name string // in full, for titles and the table: "23 Nov 14:00"
	Tick string // short, for the axis where there is room: "14:00"
}

// Steps are n stretches of time from a moment on, named in the viewer's zone: by the
// hour of the day, or by the day where each is a day or longer.
func Steps(from time.Time, every time.Duration, n int, zone *time.Location) []Step {
	steps := make([]Step, n)
	for i := range steps {
		at := from.Add(time.Duration(i) * every).In(zone)
		if every >= 24*time.Hour {
			steps[i] = Step{at.Format("2 Jan"), at.Format("2 Jan")}
			continue
		}
		steps[i] = Step{at.Format("2 Jan 15:04"), at.Format("15:04")}
	}
	return steps
}

// axis writes the names of steps under a chart from left to right, as many as have
// room, and what stands at its end.
func axis(p *pen, steps []Step, left, width, y float64, last string) {
	slot := width / float64(len(steps))
	need := 0.0
	for _, s := range steps {
		need = max(need, wide(s.Tick)+16)
	}
	stop := left + width
	if last != "" {
		p.text("", stop, y, end, last)
		stop -= wide(last) + 12
	}
	for i := 0; i < len(steps); i += stride(slot, need, len(steps)) {
		x := left + float64(i)*slot
		if x+wide(steps[i].Tick) > stop {
			return
		}
		p.text("", x, y, start, steps[i].Tick)
	}
}

// stride is after how many steps the next one is named: such that there is room, and
// an even part of a day where it can be.
func stride(slot, need float64, n int) int {
	for _, k := range []int{1, 2, 3, 4, 6, 8, 12, 24, 48} {
		if float64(k)*slot >= need {
			return k
		}
	}
	return n
}
