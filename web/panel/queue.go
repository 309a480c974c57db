package panel

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/control"
	"postern/server/directory"
	"postern/web/ui"
	"postern/web/ui/chart"
)

var queueRoutes = []route{
	{"GET /queue", false, (*visit).queue},
	{"GET /queue/{outgoing}", false, (*visit).outgoing},
	{"POST /queue/{outgoing}/{change}", false, (*visit).changeOutgoing},
}

// destination is what waits for one domain.
type destination struct {
	name    string
	rows    []control.Outgoing
	retried int // of them, those that were tried
	held    int
}

// queue lists what is on its way out, by destination.
func (v *visit) queue() error {
	id := func(o *control.Outgoing) uuid.UUID { return o.ID }
	all, next, err := paged(v, "/queue", nil, id, func(p control.Page) iter.Seq2[control.Outgoing, error] { return v.c.Queue(v.r.Context(), p) })
	if err != nil {
		return err
	}
	day, err := v.c.QueueDay(v.r.Context())
	if err != nil {
		return err
	}
	return v.page("Queue", "/queue", "postern queue list", queuePage(v, day, destinations(all), next))
}

// depth is how many recipients waited at the end of each hour.
func depth(v *visit, d *control.QueueDay) chart.Bars {
	waiting := chart.Series{Name: "waiting", Colour: chart.Subject, Values: make([]int64, len(d.Hours))}
	var most int64
	for i, h := range d.Hours {
		waiting.Values[i] = h.Waiting
		most = max(most, h.Waiting)
	}
	return chart.Bars{Words: chart.Words{ID: "depth", Title: "Recipients waiting at the end of each hour",
		Desc: fmt.Sprintf("%s now, at most %d in 24 hours.", ui.Count(d.Waiting, "recipient"), most)},
		Axis: "Hour", Steps: chart.Steps(d.Since, time.Hour, len(d.Hours), v.clock.Zone), Series: []chart.Series{waiting}, Last: "Now"}
}

// left is at which attempt recipients left the queue in each hour: how long they had to
// wait, as far as that is counted.
func left(v *visit, d *control.QueueDay) chart.Bars {
	first := chart.Series{Name: "first try", Noun: "recipient", Colour: chart.Subject, Values: make([]int64, len(d.Hours))}
	later := chart.Series{Name: "later", Noun: "recipient", Colour: chart.Warn, Values: make([]int64, len(d.Hours))}
	var sum control.QueueHour
	for i, h := range d.Hours {
		first.Values[i], later.Values[i] = h.First, h.Later
		sum.First, sum.Later, sum.GivenUp, sum.PutOff = sum.First+h.First, sum.Later+h.Later, sum.GivenUp+h.GivenUp, sum.PutOff+h.PutOff
	}
	return chart.Bars{Words: chart.Words{ID: "left", Title: "Recipients that left, by attempt",
		Desc: fmt.Sprintf("%d left at the first attempt and %d at a later one; of these %d failed for good. %d were put off.", sum.First, sum.Later, sum.GivenUp, sum.PutOff)},
		Axis: "Hour", Steps: chart.Steps(d.Since, time.Hour, len(d.Hours), v.clock.Zone), Series: []chart.Series{first, later}, Last: "Now"}
}

// destinations groups rows by the domain of their recipient, the fullest first.
func destinations(all []control.Outgoing) []destination {
	by := map[string]*destination{}
	for _, o := range all {
		_, domain, _ := strings.Cut(o.To, "@")
		d := by[domain]
		if d == nil {
			d = &destination{name: domain}
			by[domain] = d
		}
		d.rows = append(d.rows, o)
		if o.State == "held" {
			d.held++
		} else if o.Attempts > 0 {
			d.retried++
		}
	}
	var list []destination
	for _, name := range slices.Sorted(maps.Keys(by)) {
		list = append(list, *by[name])
	}
	slices.SortStableFunc(list, func(a, b destination) int { return cmp.Compare(len(b.rows), len(a.rows)) })
	return list
}

// state sums a destination up.
func (d *destination) state() ui.State {
	switch {
	case d.held == len(d.rows):
		return ui.State{Class: "wait", Icon: "pause", Word: "Held"}
	case d.retried > 0:
		return ui.State{Class: "warn", Word: "Tries again"}
	}
	return ui.State{Class: "none", Icon: "send", Word: "On its way"}
}

// code is the last answer that any of the rows got.
func (d *destination) code() (code int) {
	for _, o := range d.rows {
		code = max(code, o.Code)
	}
	return code
}

// oldest is the row that waits longest.
func (d *destination) oldest() control.Outgoing {
	return slices.MinFunc(d.rows, func(a, b control.Outgoing) int { return a.Created.Compare(b.Created) })
}

// next is the row that is tried first.
func (d *destination) next() control.Outgoing {
	return slices.MinFunc(d.rows, func(a, b control.Outgoing) int { return a.Due.Compare(b.Due) })
}

func (v *visit) outgoing() error {
	o, err := v.c.Outgoing(v.r.Context(), v.r.PathValue("outgoing"))
	if err != nil {
		return err
	}
	return v.page("To "+o.To, "/queue", "postern queue show "+o.ID.String(), outgoingPage(v, o))
}

// changeOutgoing tries now, holds, lets go, or gives up.
func (v *visit) changeOutgoing() error {
	q := control.OutgoingRef{ID: v.r.PathValue("outgoing"), Reason: v.form("reason")}
	ctx, said := v.r.Context(), ""
	var err error
	switch v.r.PathValue("change") {
	case "retry":
		err, said = v.c.RetryOutgoing(ctx, q.ID), "It is tried now."
	case "hold":
		err, said = v.c.HoldOutgoing(ctx, q), "It is held until somebody releases it."
	case "release":
		err, said = v.c.ReleaseOutgoing(ctx, q), "It is on its way again."
	case "bounce":
		err, said = v.c.BounceOutgoing(ctx, q), "It is returned to its sender."
	default:
		return nowhere(v)
	}
	if err != nil {
		return v.again(err, (*visit).outgoing)
	}
	return v.done("/queue", said)
}

func outgoingPath(o *control.Outgoing) string { return "/queue/" + url.PathEscape(o.ID.String()) }

// mayOperate reports whether the person may run the installation.
func (v *visit) mayOperate() bool { return v.may(directory.ActOperate) }
