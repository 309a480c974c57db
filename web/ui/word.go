package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// thin parts the thousands of a number.
const thin = "\u2009"

// Number writes a number with thin spaces between thousands.
func Number[T int | int64 | uint64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + thin + text[i:]
	}
	return text
}

// Count writes a number with its noun: "1 session", "3 sessions".
func Count[T int | int64 | uint64](n T, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + plural(one)
}

// Sentence begins a text with a capital and ends it with a full stop, where it has neither.
func Sentence(text string) string {
	text = Capital(strings.TrimSpace(text))
	if text == "" || strings.ContainsRune(".!?:…", []rune(text)[len([]rune(text))-1]) {
		return text
	}
	return text + "."
}

// Capital writes a word as the first of a sentence.
func Capital(word string) string {
	r := []rune(word)
	if len(r) == 0 {
		return ""
	}
	return string(unicode.ToUpper(r[0])) + string(r[1:])
}

func plural(one string) string {
	switch {
	case strings.HasSuffix(one, "x"), strings.HasSuffix(one, "s"):
		return one + "es"
	case strings.HasSuffix(one, "y") && !strings.HasSuffix(one, "ey"):
		return strings.TrimSuffix(one, "y") + "ies"
	}
	return one + "s"
}

// Size writes a number of bytes as people do.
func Size(n int64) string {
	const units = "KMGT"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for i := range len(units) {
		if f /= 1000; f < 999.5 || i == len(units)-1 {
			return strings.Replace(fmt.Sprintf("%.3g %cB", f, units[i]), "e+03", "000", 1)
		}
	}
	return ""
}

// Moment is a point in time.
type Moment = time.Time

// Clock knows what time it is and in which zone the viewer lives.
type Clock struct {
	Now  time.Time
	Zone *time.Location
}

// Exact is a moment for programs, in UTC.
func (c Clock) Exact(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// UTC is a moment for people who compare logs.
func (c Clock) UTC(at time.Time) string { return at.UTC().Format("2 Jan 2006 15:04:05 UTC") }

// Short is a moment in few words: relative within a day, else the day.
func (c Clock) Short(at time.Time) string {
	d := c.Now.Sub(at)
	local, now := at.In(c.Zone), c.Now.In(c.Zone)
	switch {
	case d < 24*time.Hour && d > -24*time.Hour:
		return c.Relative(at)
	case local.Year() == now.Year() && d > 0 && d < 300*24*time.Hour:
		return local.Format("2 Jan 15:04")
	}
	return local.Format("2 Jan 2006")
}

// Second is the time of day to the second, in the viewer's zone.
func (c Clock) Second(at time.Time) string { return at.In(c.Zone).Format("15:04:05") }

// Relative says how far a moment lies from now: "2 minutes ago", "in 6 days".
func (c Clock) Relative(at time.Time) string {
	d := c.Now.Sub(at)
	if d < 0 {
		if d > -time.Second {
			return "now"
		}
		return "in " + Span(-d)
	}
	if d < time.Second {
		return "just now"
	}
	return Span(d) + " ago"
}

// Span is a length of time in its largest unit.
func Span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than a second"
	case d < 2*time.Minute:
		return Count(int64(d/time.Second), "second")
	case d < 2*time.Hour:
		return Count(int64(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return Count(int64(d/time.Hour), "hour")
	}
	return Count(int64(d/(24*time.Hour)), "day")
}

// initials are two letters for a name: of its first two words, or its first two.
func initials(name string) string {
	name, _, _ = strings.Cut(name, "@")
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	switch {
	case len(words) == 0:
		return "?"
	case len(words) == 1:
		r := []rune(words[0])
		return strings.ToUpper(string(r[:min(2, len(r))]))
	}
	return strings.ToUpper(string([]rune(words[0])[:1]) + string([]rune(words[1])[:1]))
}

// firstName is what comes before the @ of an address.
func firstName(address string) string {
	name, _, _ := strings.Cut(address, "@")
	return name
}

func orText(kind string) string {
	if kind == "" {
		return "text"
	}
	return kind
}

// meterClass is the colour of a meter: a warning from eight tenths on.
func meterClass(used, limit int64) string {
	if limit > 0 && used*10 >= limit*8 {
		return "f-warn"
	}
	return "f-acc"
}

// meterPath is the bar of a meter, 240 units long when it is full.
func meterPath(used, limit int64) string {
	width := 0.0
	if limit > 0 {
		width = 240 * min(1, float64(used)/float64(limit))
	}
	return fmt.Sprintf("M0 0h%.1fv8H0z", width)
}
