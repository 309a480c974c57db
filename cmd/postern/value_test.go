package main

import (
	"testing"
	"time"
)

func TestParseAge(t *testing.T) {
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{"90d": 90 * day, "2w": 14 * day, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute, "0d": 0} {
		if got, err := parseAge(s); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "d", "-1d", "-1h", "1.5d", "99999999999d", "1y", "soon", "1e3h"} {
		if got, err := parseAge(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"":                          {},
		"2026-01-02":                time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		"2026-01-02 03:04":          time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
		"2026-01-02T03:04:05+02:00": time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC),
		"1d":                        now.Add(-24 * time.Hour),
		"90m":                       now.Add(-90 * time.Minute),
	} {
		if got, err := parseTime(s, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"yesterday", "2026-13-01", "02.01.2026"} {
		if got, err := parseTime(s, now); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}

func TestParseNetwork(t *testing.T) {
	for s, want := range map[string]string{
		"192.0.2.0/24": "192.0.2.0/24", "192.0.2.9/24": "192.0.2.0/24", "192.0.2.9": "192.0.2.9/32",
		"2001:db8::/32": "2001:db8::/32", "2001:db8::1": "2001:db8::1/128",
	} {
		if got, err := parseNetwork(s); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v, want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "example.com", "192.0.2.0/33", "fe80::1%eth0", "192.0.2"} {
		if got, err := parseNetwork(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}

func TestParseScope(t *testing.T) {
	if got, err := parseScope("read,send:a@example.com"); err != nil || got.Verbs != "read,send" || got.Inbox != "a@example.com" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range []string{"", "read", ":a@example.com", "read:"} {
		if got, err := parseScope(s); err == nil {
			t.Errorf("%q is %+v", s, got)
		}
	}
}
