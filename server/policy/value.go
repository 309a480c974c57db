package policy

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/server/message"
	"postern/storage"
)

// Bounds of a list.
const (
	maxEntries = 500
	maxText    = 16 << 10
)

// none is the canonical text of an empty list, off of a duration that never ends,
// and everywhere an entry of a list that stands for every domain.
const (
	none       = "none"
	off        = "off"
	everywhere = "*"
)

// Never is the duration of what is off.
const Never time.Duration = math.MaxInt64

// ValueError says why a text is no value of a setting, in words for a person.
type ValueError struct {
	Key  Key
	What string
}

func (e *ValueError) Error() string { return string(e.Key) + ": " + e.What }

// Parse reads a value as a person writes it and returns its canonical text: equal
// values have equal texts. The error is a *ValueError.
func (s Setting) Parse(text string) (canonical string, err error) {
	if len(text) > maxText {
		return "", s.bad("longer than %d bytes", maxText)
	}
	text = strings.TrimSpace(text)
	switch s.Kind {
	case Count, Duration, Size:
		n, err := s.number(text)
		if err != nil {
			return "", err
		}
		return s.format(n), nil
	case YesNo:
		return s.yesNo(text)
	case Choice:
		if word := strings.ToLower(text); slices.Contains(s.Words, word) {
			return word, nil
		}
		return "", s.bad("say one of %s", strings.Join(s.Words, ", "))
	}
	return s.list(text)
}

// At reports whether the setting exists at a level.
func (s Setting) At(level storage.PolicyLevel) bool { return slices.Contains(s.Levels, level) }

func (s Setting) bad(format string, args ...any) error {
	return &ValueError{Key: s.Key, What: fmt.Sprintf(format, args...)}
}

func (s Setting) yesNo(text string) (string, error) {
	switch strings.ToLower(text) {
	case "yes", "on", "true":
		return "yes", nil
	case "no", "off", "false":
		return "no", nil
	}
	return "", s.bad("say yes or no")
}

// number reads a count, a size in bytes or a duration in nanoseconds.
func (s Setting) number(text string) (n int64, err error) {
	switch s.Kind {
	case Count:
		if n, err = strconv.ParseInt(text, 10, 64); err != nil {
			return 0, s.bad("%q is no whole number", text)
		}
	case Size:
		if n, err = parseUnits(text, sizeUnits); err != nil {
			return 0, s.bad("%q is no size: write bytes, 64KiB or 10MiB", text)
		}
	case Duration:
		if s.Off && strings.EqualFold(text, off) {
			return int64(Never), nil
		}
		if n, err = parseUnits(text, timeUnits); err != nil {
			return 0, s.bad("%q is no duration: write 30s, 45m, 12h or 90d%s", text, s.orOff())
		}
	}
	if n < s.Min || n > s.Max {
		return 0, s.bad("%s is not between %s and %s", s.format(n), s.format(s.Min), s.format(s.Max))
	}
	return n, nil
}

// orOff says what else may be written.
func (s Setting) orOff() string {
	if s.Off {
		return ", or off"
	}
	return ""
}

// unit is a suffix and what it stands for; the largest first.
type unit struct {
	suffix string
	size   int64
}

var (
	sizeUnits = []unit{{"MiB", 1 << 20}, {"KiB", 1 << 10}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}}
	timeUnits = []unit{{"d", int64(day)}, {"h", int64(time.Hour)}, {"m", int64(time.Minute)}, {"s", int64(time.Second)}}
)

var errNumber = errors.New("no number")

// parseUnits reads whole numbers with a unit each, such as 1h30m. A bare 0 needs
// no unit.
func parseUnits(text string, units []unit) (sum int64, err error) {
	if text == "" || text == "0" {
		return 0, numberIf(text == "0")
	}
	for text != "" {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		n, err := strconv.ParseInt(text[:digits], 10, 64)
		if err != nil {
			return 0, errNumber
		}
		text = text[digits:]
		end := strings.IndexAny(text, "0123456789")
		if end < 0 {
			end = len(text)
		}
		i := slices.IndexFunc(units, func(u unit) bool { return strings.EqualFold(u.suffix, text[:end]) })
		if i < 0 || n > math.MaxInt64/units[i].size || sum > math.MaxInt64-n*units[i].size {
			return 0, errNumber
		}
		sum, text = sum+n*units[i].size, text[end:]
	}
	return sum, nil
}

func numberIf(ok bool) error {
	if ok {
		return nil
	}
	return errNumber
}

// format writes a number of the setting's kind in the largest unit that divides it.
func (s Setting) format(n int64) string {
	units := []unit{{"", 1}}
	switch {
	case s.Kind == Size:
		units = sizeUnits
	case s.Kind == Duration && n == 0:
		return "0"
	case s.Off && n == int64(Never):
		return off
	case s.Kind == Duration:
		units = timeUnits
	}
	for _, u := range units {
		if n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n/units[len(units)-1].size, 10) + units[len(units)-1].suffix
}

// list reads entries separated by commas or white space. The canonical text has
// them sorted, each once.
func (s Setting) list(text string) (string, error) {
	if text == none {
		return none, nil
	}
	entries := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
	if len(entries) > maxEntries {
		return "", s.bad("more than %d entries", maxEntries)
	}
	for i, entry := range entries {
		canonical, err := s.entry(entry)
		if err != nil {
			return "", err
		}
		entries[i] = canonical
	}
	if len(entries) == 0 {
		return none, nil
	}
	slices.Sort(entries)
	return strings.Join(slices.Compact(entries), ","), nil
}

func (s Setting) entry(text string) (string, error) {
	switch {
	case s.Kind == Words:
		if word := strings.ToLower(text); slices.Contains(s.Words, word) {
			return word, nil
		}
		return "", s.bad("%q is none of %s", text, strings.Join(s.Words, ", "))
	case s.Kind == Routes && text == everywhere:
		return everywhere, nil
	case s.Kind == Mails && !strings.Contains(text, "@"):
		return "", s.bad("%q is no address", text)
	}
	place, err := parsePlace(text)
	if s.Kind == Domains && (err != nil || strings.ContainsAny(place, "@*")) {
		return "", s.bad("%q is no domain", text)
	}
	if s.Kind == Routes && (err != nil || strings.Contains(place, "@")) {
		return "", s.bad("%q is no domain (example.com), domains below one (*.example.com) or *", text)
	}
	if err != nil {
		return "", s.bad("%q is no address (ada@example.com), domain (example.com) or domains below one (*.example.com)", text)
	}
	return place, nil
}

// parsePlace reads an address, a domain, or "*." and a domain, which is every
// domain below it and not itself. An address that needs quotes is not taken:
// list its domain.
func parsePlace(text string) (string, error) {
	if strings.Contains(text, "@") {
		path, err := message.ParseAddress(text)
		if err != nil || strings.ContainsAny(text, "\"\\<>") {
			return "", errNumber
		}
		return path.Canonical().String(), nil
	}
	domain, below := strings.CutPrefix(text, "*.")
	path, err := message.NewPath("x", domain, true)
	if err != nil || strings.HasPrefix(domain, "[") {
		return "", errNumber
	}
	domain = message.CanonicalDomain(path.Domain)
	if below {
		domain = "*." + domain
	}
	return domain, nil
}

// split is the entries of a list's canonical text.
func split(text string) []string {
	if text == none || text == "" {
		return nil
	}
	return strings.Split(text, ",")
}
