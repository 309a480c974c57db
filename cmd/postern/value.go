package main

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postern/server/control"
)

// parseAge reads how long something lasts: "90d", "2w", or what Go's
// time.ParseDuration knows, such as "36h".
func parseAge(s string) (time.Duration, error) {
	days := map[string]int{"d": 1, "w": 7}
	if n := len(s); n > 1 {
		if unit := days[s[n-1:]]; unit > 0 {
			count, err := strconv.Atoi(s[:n-1])
			if err != nil || count < 0 || count > 36500 {
				return 0, usage("%q is no length of time: use for example 90d, 2w or 36h", s)
			}
			return time.Duration(count*unit) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, usage("%q is no length of time: use for example 90d, 2w or 36h", s)
	}
	return d, nil
}

// parseTime reads an instant: RFC 3339, a day or minute in UTC, or how long ago.
func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	at, err := control.Moment(s, now)
	if err != nil {
		return time.Time{}, usage("%q is no time: use for example 2026-01-02, 2026-01-02T15:04:05Z, or 24h for a day ago", s)
	}
	return at, nil
}

// parseScope reads "read,flag,send:ADDRESS".
func parseScope(s string) (control.Scope, error) {
	verbs, inbox, ok := strings.Cut(s, ":")
	if !ok || verbs == "" || inbox == "" {
		return control.Scope{}, usage("the scope %q is not VERBS:ADDRESS, as in read,flag,send:scout@example.com", s)
	}
	return control.Scope{Inbox: inbox, Verbs: verbs}, nil
}

// parseNetwork reads a network, or an address as the network of itself.
func parseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, usage("%q is no network: use for example 192.0.2.0/24 or 2001:db8::/32", s)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
