package panel

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"postern/server/control"
	"postern/server/directory"
	"postern/web/ui"
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
	all, err := collect(v.c.Queue(v.r.Context()))
	if err != nil {
		return err
	}
	return v.page("Queue", "/queue", "postern queue list", queuePage(v, len(all), destinations(all)))
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
