package policy

import (
	"slices"
	"strings"

	"postern/storage"
)

// Weakens reports whether a change of a setting at a level lets through what was
// stopped before. The values are canonical; empty is one that is not set, for
// which the default stands where the setting has one at this level.
func (s Setting) Weakens(level storage.PolicyLevel, before, after string) bool {
	if s.DefaultLevel == level {
		before, after = orDefault(before, s.Default), orDefault(after, s.Default)
	}
	switch {
	case s.Key == KeyARCTrusted: // whoever is on the list may get mail in that others would refuse
		return !covers(split(before), split(after))
	case s.Key == KeyDMARCReports, s.Key == KeyTLSReports: // nothing is stopped by them
		return false
	case before == "": // nothing was asked
		return false
	case after == "":
		return s.Kind != YesNo || before == s.strict()
	case s.Key == KeyRecipientsAllow:
		return !covers(split(before), split(after))
	case s.Kind == Places, s.Kind == Mails, s.Kind == Words, s.Kind == Routes:
		return !covers(split(after), split(before))
	}
	return s.tighter(before, after)
}

// strict is the answer that asks for more than its opposite.
func (s Setting) strict() string {
	if s.Join == Least {
		return "no"
	}
	return "yes"
}

func orDefault(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// covers reports whether whatever is in some list is in another.
func covers(list, some []string) bool {
	return !slices.ContainsFunc(some, func(entry string) bool { return !covered(list, entry) })
}

func covered(list []string, entry string) bool {
	if slices.Contains(list, everywhere) {
		return true
	}
	if domain, below := strings.CutPrefix(entry, "*."); below {
		_, found := slices.BinarySearch(list, entry)
		return found || listedBelow(list, domain)
	}
	return listed(list, entry)
}
