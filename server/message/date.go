package message

import (
	"strings"
	"time"
)

// ParseDate reads a Date field (RFC 5322, section 3.3), its obsolete forms and
// the common mistakes: the weekday is ignored, names may be long, the zone may
// be missing (then UTC), comments may stand anywhere. The zone written is kept,
// since IMAP's SENTON looks at the date as the sender saw it.
func ParseDate(s string) (time.Time, bool) {
	d := dateReader{day: -1, year: -1, hour: -1}
	for s = skipCFWS(s); s != ""; s = skipCFWS(s) {
		n := 0
		for n < len(s) && s[n] > ' ' && s[n] != '(' && s[n] != ',' {
			n++
		}
		if n > 0 && !d.word(s[:n]) {
			return time.Time{}, false
		}
		s = strings.TrimLeft(s[n:], ",")
		if n == 0 && s != "" && s[0] < ' ' && s[0] != '\t' {
			s = s[1:] // a control byte
		}
	}
	return d.time()
}

// A dateReader collects what the words of a date say.
type dateReader struct {
	day, month, year     int
	hour, minute, second int
	zone                 int // seconds east of UTC
}

// word reads one word; it reports false when no date has such a word there.
func (d *dateReader) word(w string) bool {
	switch {
	case w[0] == '+' || w[0] == '-':
		return d.offset(w)
	case strings.IndexByte(w, ':') > 0:
		return d.clock(w)
	case '0' <= w[0] && w[0] <= '9':
		return d.number(w)
	}
	return d.name(w)
}

func (d *dateReader) number(w string) bool {
	// "01-Jan-2024", as some write it.
	if first, rest, ok := strings.Cut(w, "-"); ok {
		month, year, _ := strings.Cut(rest, "-")
		return month != "" && year != "" && d.number(first) && d.name(month) && d.number(year)
	}
	n, ok := digits(w, 4)
	switch {
	case !ok:
		return false
	case d.day < 0 && len(w) <= 2:
		d.day = n
	case d.year < 0 && len(w) >= 2:
		// RFC 5322, section 4.3: years of two and three digits.
		switch {
		case len(w) == 2 && n < 50:
			n += 2000
		case len(w) < 4:
			n += 1900
		}
		d.year = n
	default:
		return false
	}
	return true
}

func (d *dateReader) clock(w string) bool {
	hour, rest, _ := strings.Cut(w, ":")
	minute, second, _ := strings.Cut(rest, ":")
	var ok1, ok2, ok3 bool
	d.hour, ok1 = digits(hour, 2)
	d.minute, ok2 = digits(minute, 2)
	ok3 = true
	if second != "" {
		second, _, _ = strings.Cut(second, ".")
		d.second, ok3 = digits(second, 2)
	}
	d.second = min(d.second, 59) // a leap second
	return ok1 && ok2 && ok3 && d.hour < 24 && d.minute < 60
}

func (d *dateReader) offset(w string) bool {
	n, ok := digits(strings.Replace(w[1:], ":", "", 1), 4)
	if !ok || n/100 > 24 || n%100 >= 60 {
		return len(w) > 1 && ok // nonsense in form of a zone: UTC
	}
	d.zone = (n/100*60 + n%100) * 60
	if w[0] == '-' {
		d.zone = -d.zone
	}
	return true
}

const months = "janfebmaraprmayjunjulaugsepoctnovdec"

// name reads a month or a zone; other names, weekdays among them, say nothing.
func (d *dateReader) name(w string) bool {
	if len(w) < 3 {
		return true
	}
	lower := strings.ToLower(w[:3])
	if i := strings.Index(months, lower); i >= 0 && i%3 == 0 && d.month == 0 {
		d.month = i/3 + 1
		return true
	}
	if len(w) == 3 {
		switch lower {
		// RFC 5322, section 4.3.
		case "edt":
			d.zone = -4 * 3600
		case "est", "cdt":
			d.zone = -5 * 3600
		case "cst", "mdt":
			d.zone = -6 * 3600
		case "mst", "pdt":
			d.zone = -7 * 3600
		case "pst":
			d.zone = -8 * 3600
		}
	}
	return true
}

func (d *dateReader) time() (time.Time, bool) {
	if d.day < 1 || d.month == 0 || d.year < 1900 || d.hour < 0 {
		return time.Time{}, false
	}
	zone := time.UTC
	if d.zone != 0 {
		zone = time.FixedZone("", d.zone)
	}
	t := time.Date(d.year, time.Month(d.month), d.day, d.hour, d.minute, d.second, 0, zone)
	return t, t.Day() == d.day // no 31 February
}

// digits reads a number of one to limit digits.
func digits(s string, limit int) (n int, ok bool) {
	if s == "" || len(s) > limit {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}
