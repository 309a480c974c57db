package monitor

import (
	"net/netip"
	"slices"
	"time"

	"postern/storage"
)

// What is learned first.
const (
	learnTime = 7 * 24 * time.Hour
	learnDays = 3 // with activity
)

// learned reports whether a baseline is old enough to be held against an agent.
func learned(b *storage.Baseline, at time.Time) bool {
	return at.Sub(b.Since) >= learnTime && b.Days >= learnDays
}

const (
	day  = 24 * 3600 // seconds
	hour = 3600
)

// active notes that an agent did something, and reports whether that is an hour
// of the week at which it never does.
func active(b *storage.Baseline, at time.Time) (odd bool) {
	if b.Since.IsZero() {
		b.Since = at
	}
	if d := at.Unix() / day; d > b.Day {
		b.Day = d
		b.Days++
	}
	h := at.Unix() / hour
	if h <= b.Hour {
		return false // an hour counts once
	}
	b.Hour = h
	odd = oddHour(b, at)
	if odd {
		b.OddHours = at
	}
	noteHour(b, at)
	return odd
}

const (
	oddHoursLeast = 20                 // hours of activity, before one can be odd
	oddHoursShare = 0.01               // chance of an hour never seen, up to which one is odd
	oddHoursPause = 7 * 24 * time.Hour // whose hours changed needs a week to show the new ones
	weekFull      = 2000               // hours after which the older count half
)

// weekHour is the hour of the week, from Monday 00:00 UTC. 1 January 1970 was a
// Thursday.
func weekHour(at time.Time) int { return int((at.Unix()/hour + 3*24) % 168) }

// oddHour reports whether an agent whose hours are well known was never active in
// this hour of the week, nor in the one before or after.
func oddHour(b *storage.Baseline, at time.Time) bool {
	h := weekHour(at)
	if b.Week[h]+b.Week[(h+1)%168]+b.Week[(h+167)%168] > 0 || !learned(b, at) || at.Sub(b.OddHours) < oddHoursPause {
		return false
	}
	once, all := 0, 0
	for _, n := range b.Week {
		all += int(n)
		if n == 1 {
			once++
		}
	}
	return all >= oddHoursLeast && surprise(once, all) <= oddHoursShare
}

// surprise is Good and Turing's estimate of the chance of a kind never seen: the
// kinds that were seen once, by the number of observations.
func surprise(once, all int) float64 { return float64(once) / float64(all) }

func noteHour(b *storage.Baseline, at time.Time) {
	b.Week[weekHour(at)]++
	all := 0
	for _, n := range b.Week {
		all += int(n)
	}
	if all < weekFull {
		return
	}
	for i := range b.Week {
		b.Week[i] /= 2
	}
}

const (
	networksKept       = 64   // the others are forgotten, the longest unseen first
	newNetworkLeast    = 7    // days with a known network, before one can be new
	newNetworkShare    = 0.20 // chance of a network never seen, up to which one is new
	networkDaysCounted = 60   // a network is as well known after these as it gets
)

// cameFrom notes that an agent came from a network, and reports whether that is
// one from which it never came. A day counts once for each.
func cameFrom(b *storage.Baseline, network netip.Prefix, at time.Time) (fresh bool) {
	today := at.Unix() / day
	i := slices.IndexFunc(b.Networks, func(n storage.NetworkSeen) bool { return n.Network == network })
	if i >= 0 {
		if n := &b.Networks[i]; today > n.Last {
			n.Last, n.Days = today, min(n.Days+1, networkDaysCounted)
		}
		return false
	}
	once, all := 0, 0
	for _, n := range b.Networks {
		all += n.Days
		if n.Days == 1 {
			once++
		}
	}
	fresh = learned(b, at) && all >= newNetworkLeast && surprise(once, all) <= newNetworkShare
	b.Networks = append(b.Networks, storage.NetworkSeen{Network: network, Days: 1, Last: today})
	if len(b.Networks) > networksKept {
		slices.SortStableFunc(b.Networks, func(a, b storage.NetworkSeen) int { return int(b.Last - a.Last) })
		b.Networks = b.Networks[:networksKept]
	}
	return fresh
}

const (
	pairsKept = 16
	pairPause = 7 * 24 * time.Hour // the same two networks ring no sooner again
)

// together notes that a credential was in two networks at once, and reports
// whether that is news.
func together(b *storage.Baseline, x, y netip.Prefix, at time.Time) bool {
	if x.Addr().Compare(y.Addr()) > 0 {
		x, y = y, x
	}
	for i := range b.Together {
		if p := &b.Together[i]; p.A == x && p.B == y {
			if at.Sub(p.Rang) < pairPause {
				return false
			}
			p.Rang = at
			return true
		}
	}
	b.Together = append(b.Together, storage.NetworkPair{A: x, B: y, Rang: at})
	if len(b.Together) > pairsKept {
		b.Together = b.Together[1:]
	}
	return true
}
