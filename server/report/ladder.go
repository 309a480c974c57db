package report

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Window is the time over which reports are evidence for the next step.
const Window = 14 * 24 * time.Hour

// minDays is on how many days of the window something must have been reported.
const minDays = 7

// Rung is where a domain stands on the way from p=none over p=quarantine to
// p=reject (RFC 7489, section 6.3), and whether it may go on: the next step must
// hit nobody but those who use the name without being entitled to it.
type Rung struct {
	Current string    `json:"current"`
	Next    string    `json:"next,omitempty"` // empty at the top
	Ready   bool      `json:"ready"`
	Why     string    `json:"why"`
	Since   time.Time `json:"since"` // of what was counted
	Days    int       `json:"days"`  // on which something was reported

	Messages int64    `json:"messages"`
	Passed   int64    `json:"passed"`
	Unknown  int      `json:"unknown"`         // sources of which nothing ever passed: the next step is for them
	Known    []Source `json:"known,omitempty"` // sources that are ours, or of which something passed, and that fail too
}

// rungs are the policies, the mildest first.
var rungs = []string{"none", "quarantine", "reject"}

// Ladder judges by reports whether a domain whose policy is current may take the
// next step. ours are the addresses of this server. Reports whose period ended
// before the window count for nothing but to show that reports came before it.
func Ladder(current string, reports []Aggregate, ours []netip.Addr, now time.Time) Rung {
	at := max(slices.Index(rungs, current), 0)
	r := Rung{Current: rungs[at], Since: now.Add(-Window).UTC()}
	if at+1 < len(rungs) {
		r.Next = rungs[at+1]
	}
	days := map[int64]bool{}
	var recent []Aggregate
	oldest := now
	for i := range reports {
		a := &reports[i]
		if a.Begin.Before(oldest) {
			oldest = a.Begin
		}
		if a.End.After(r.Since) && !a.Begin.After(now) {
			recent = append(recent, *a)
			days[a.Begin.Unix()/86400] = true
		}
	}
	r.Days = len(days)
	r.count(recent, ours)
	r.Ready, r.Why = r.judge(!oldest.After(r.Since.Add(24 * time.Hour)))
	return r
}

// count sums up, and tells sources that are entitled from those that are not.
func (r *Rung) count(recent []Aggregate, ours []netip.Addr) {
	for _, s := range Sources(recent) {
		r.Messages, r.Passed = r.Messages+s.Messages, r.Passed+s.Passed
		switch {
		case s.Failed() == 0:
		case s.Passed > 0 || slices.Contains(ours, s.Source):
			r.Known = append(r.Known, s)
		default:
			r.Unknown++
		}
	}
}

// judge says whether the next step may be taken, and why or why not.
func (r *Rung) judge(covered bool) (bool, string) {
	switch {
	case r.Next == "":
		return false, "the strictest policy is published"
	case r.Days == 0:
		return false, "nothing was reported in the last 14 days"
	case !covered || r.Days < minDays:
		return false, fmt.Sprintf("there are reports of %d days: at least %d days within 14 are needed, and the first 14 days ago", r.Days, minDays)
	case r.Passed == 0:
		return false, "no message passed: what this server sends was not seen, or is not authenticated"
	case len(r.Known) > 0:
		return false, fmt.Sprintf("mail of %d sources that are ours, or of which other mail passed, failed too: make them pass first", len(r.Known))
	}
	return true, fmt.Sprintf("all that failed in 14 days came from %d sources of which nothing ever passed", r.Unknown)
}
