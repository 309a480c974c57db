package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Filter says which events a list leaves: those for which all its terms hold. People
// write it as words,
//
//	agent:scout verb:message.read,message.submitted -network:10.0.0.0/8 since:24h
//
// with commas between alternatives, a minus before what must not be so, and quotes
// around values that have spaces, commas or quotes in them.
type Filter []FilterTerm

// FilterTerm is one word of a filter.
type FilterTerm struct {
	Key    string
	Not    bool
	Values []string // alternatives
}

// Bounds of a filter.
const (
	maxFilter       = 4096 // bytes
	maxFilterTerms  = 32
	maxFilterValues = 64 // of one term
)

// filterKey is a key that a filter may have.
type filterKey struct {
	name, flag string
	one        bool   // one value, which is not negated
	help       string // what its values are
}

// filterKeys are all keys, in the order in which a filter is written.
var filterKeys = []filterKey{
	{"agent", "agent", false, "the name or id of an agent"},
	{"credential", "credential", false, "the id or public id of a token"},
	{"actor", "actor", false, "who acted: agent, person, unix, system, stranger, or a name or id"},
	{"verb", "verb", false, "what happened, as message.read, or a noun, as message, for all that happens to it"},
	{"inbox", "inbox", false, "the address or id of an inbox"},
	{"message", "message-id", false, "a Message-ID, or the id of a message"},
	{"network", "network", false, "an address or a network, as 203.0.113.0/24"},
	{"result", "result", false, "ok, refused, failed or held"},
	{"trigger", "trigger", false, "what caused a send: message, schedule, user, event, agent, or the Message-ID or name of it"},
	{"object", "object", false, "the id of what an event is about"},
	{"since", "since", true, "a time, as 2026-01-31 or 2026-01-31T15:04, or how long ago, as 24h or 7d"},
	{"until", "until", true, "a time, or how long ago; excluded"},
}

// FilterKeys are the keys of a filter, each with what its values are.
func FilterKeys() (keys, help []string) {
	for _, k := range filterKeys {
		keys, help = append(keys, k.name), append(help, k.help)
	}
	return keys, help
}

func keyOf(name string) *filterKey {
	for i := range filterKeys {
		if filterKeys[i].name == name || filterKeys[i].flag == name {
			return &filterKeys[i]
		}
	}
	return nil
}

// FilterError says what is wrong with a filter, and what could stand there instead.
type FilterError struct {
	Word    string // that is wrong
	Problem string
	Allowed []string // instead of it; none: see Problem
}

func (e *FilterError) Error() string {
	if len(e.Allowed) == 0 {
		return e.Problem
	}
	return e.Problem + ": it may be " + strings.Join(e.Allowed, ", ")
}

// wrongFilter makes a FilterError.
func wrongFilter(word string, allowed []string, format string, args ...any) error {
	return &FilterError{word, fmt.Sprintf(format, args...), allowed}
}

// ParseFilter reads a filter. It knows keys and the form of values; whether there is
// what they name, the server finds out. Errors are *FilterError.
func ParseFilter(text string) (Filter, error) {
	if len(text) > maxFilter {
		return nil, wrongFilter("", nil, "the filter is longer than %d bytes", maxFilter)
	}
	var f Filter
	for rest := strings.TrimLeftFunc(text, unicode.IsSpace); rest != ""; rest = strings.TrimLeftFunc(rest, unicode.IsSpace) {
		t, after, err := parseTerm(rest)
		if err != nil {
			return nil, err
		}
		if f, err = f.With(t); err != nil {
			return nil, err
		}
		rest = after
	}
	return f, nil
}

// parseTerm reads the first word.
func parseTerm(text string) (t FilterTerm, rest string, err error) {
	word := firstWord(text)
	key, after, ok := strings.Cut(text, ":")
	if !ok || len(key) >= len(word) {
		keys, _ := FilterKeys()
		return t, "", wrongFilter(word, withColons(keys), "%q has no key before it", word)
	}
	t.Key, t.Not = strings.CutPrefix(key, "-")
	t.Key = strings.ToLower(t.Key)
	for {
		var value string
		if value, after, err = parseValue(after, word); err != nil {
			return t, "", err
		}
		t.Values = append(t.Values, value)
		next, more := strings.CutPrefix(after, ",")
		if !more {
			return t, after, nil
		}
		after = next
	}
}

func withColons(keys []string) (all []string) {
	for _, k := range keys {
		all = append(all, k+":")
	}
	return all
}

// firstWord is what stands before the first space.
func firstWord(text string) string {
	if i := strings.IndexFunc(text, unicode.IsSpace); i >= 0 {
		return text[:i]
	}
	return text
}

// parseValue reads a value up to a comma, a space or the end; in quotes, up to the
// closing one. There a backslash takes the next character as it is.
func parseValue(text, word string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			rest = text[i+1:]
			if rest != "" && rest[0] != ',' && !unicode.IsSpace(rune(rest[0])) {
				return "", "", wrongFilter(word, nil, "in %s something follows a closing quote: write a comma or a space between", word)
			}
			return b.String(), rest, nil
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", wrongFilter(word, nil, "in %s a quote is not closed", word)
}

// With adds a term, if it is one that may stand there.
func (f Filter) With(t FilterTerm) (Filter, error) {
	key := keyOf(t.Key)
	if key == nil {
		keys, _ := FilterKeys()
		return nil, wrongFilter(t.Key+":", withColons(keys), "there is no filter %q", t.Key+":")
	}
	t.Key = key.name
	values := make([]string, 0, len(t.Values))
	for _, v := range t.Values {
		if v = strings.TrimSpace(v); v == "" {
			return nil, wrongFilter(t.Key+":", []string{key.help}, "%s needs a value", t.Key+":")
		}
		if strings.IndexFunc(v, unicode.IsControl) >= 0 {
			return nil, wrongFilter(t.Key+":", nil, "the value of %s has a control character in it", t.Key+":")
		}
		if !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	t.Values = values
	switch {
	case len(values) == 0:
		return nil, wrongFilter(t.Key+":", []string{key.help}, "%s needs a value", t.Key+":")
	case len(values) > maxFilterValues:
		return nil, wrongFilter(t.Key+":", nil, "%s has more than %d alternatives", t.Key+":", maxFilterValues)
	case len(f) == maxFilterTerms:
		return nil, wrongFilter(t.Key+":", nil, "the filter has more than %d words", maxFilterTerms)
	case key.one && (t.Not || len(values) > 1):
		return nil, wrongFilter(t.Key+":", []string{key.help}, "%s takes one time, and no minus before it", t.Key+":")
	case key.one && slices.ContainsFunc(f, func(o FilterTerm) bool { return o.Key == t.Key }):
		return nil, wrongFilter(t.Key+":", nil, "%s stands there twice", t.Key+":")
	}
	return append(slices.Clip(f), t), nil
}

// Without is the filter without its term i.
func (f Filter) Without(i int) Filter { return slices.Delete(slices.Clone(f), i, i+1) }

// Only is the filter with a key that has this one value and nothing else.
func (f Filter) Only(key, value string) Filter {
	out := slices.DeleteFunc(slices.Clone(f), func(t FilterTerm) bool { return t.Key == key && !t.Not })
	return append(out, FilterTerm{Key: key, Values: []string{value}})
}

// Has reports whether the filter has this one value for a key, and no other.
func (f Filter) Has(key, value string) bool {
	return slices.ContainsFunc(f, func(t FilterTerm) bool {
		return t.Key == key && !t.Not && len(t.Values) == 1 && t.Values[0] == value
	})
}

// Value is the one value that a key has, empty when there is none.
func (f Filter) Value(key string) string {
	for _, t := range f {
		if t.Key == key && !t.Not && len(t.Values) == 1 {
			return t.Values[0]
		}
	}
	return ""
}

// sorted is the filter with its terms in the order of the keys, those that hold first.
func (f Filter) sorted() Filter {
	rank := func(t FilterTerm) int {
		n := 2 * slices.IndexFunc(filterKeys, func(k filterKey) bool { return k.name == t.Key })
		if t.Not {
			n++
		}
		return n
	}
	return slices.SortedStableFunc(slices.Values(f), func(a, b FilterTerm) int { return rank(a) - rank(b) })
}

// String is the filter as it is written: canonical, so that two that say the same in
// the same words are equal.
func (f Filter) String() string {
	var words []string
	for _, t := range f.sorted() {
		words = append(words, t.String())
	}
	return strings.Join(words, " ")
}

// String is the term as it is written.
func (t FilterTerm) String() string {
	var b strings.Builder
	if t.Not {
		b.WriteByte('-')
	}
	b.WriteString(t.Key + ":")
	for i, v := range t.Values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quoted(v))
	}
	return b.String()
}

// quoted puts a value in quotes when it needs them.
func quoted(v string) string {
	if strings.IndexFunc(v, func(r rune) bool { return r == ',' || r == '"' || unicode.IsSpace(r) }) < 0 {
		return v
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
}

// Flags are the flags of a command that leave the same events, each with a space
// before it, as a shell takes them.
func (f Filter) Flags() string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, t := range f.sorted() {
		if t.Not {
			t.Not = false
			b.WriteString(" --not " + shellWord(t.String()))
			continue
		}
		if seen[t.Key] { // a flag given twice has alternatives, and a word must hold too
			b.WriteString(" " + shellWord(t.String()))
			continue
		}
		seen[t.Key] = true
		values := make([]string, len(t.Values))
		for i, v := range t.Values {
			values[i] = flagged(v)
		}
		b.WriteString(" --" + keyOf(t.Key).flag + " " + shellWord(strings.Join(values, ",")))
	}
	return b.String()
}

// flagged is a value in a flag that takes several: in quotes, as in RFC 4180, when it
// needs them.
func flagged(v string) string {
	if !strings.ContainsAny(v, `,"`) {
		return v
	}
	return `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
}

// shellWord is a word as POSIX shells take it.
func shellWord(v string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,@+=%", r)
	}
	if v != "" && strings.IndexFunc(v, func(r rune) bool { return !plain(r) }) < 0 {
		return v
	}
	return "'" + strings.ReplaceAll(v, "'", `'\''`) + "'"
}

// Times are the bounds of time of a filter, zero where it has none. Lengths of time
// are before now.
func (f Filter) Times(now time.Time) (since, until time.Time, err error) {
	for _, t := range f {
		switch t.Key {
		case "since":
			since, err = Moment(t.Values[0], now)
		case "until":
			until, err = Moment(t.Values[0], now)
		}
		if err != nil {
			return since, until, err
		}
	}
	if !since.IsZero() && !until.IsZero() && until.Before(since) {
		return since, until, wrongFilter("until:", nil, "until: is before since:")
	}
	return since, until, nil
}

// Moment reads a time of the years 1970 to 2099, or how long ago one was: "24h", "7d",
// "2w". Times without a zone are UTC.
func Moment(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil && at.Year() >= 1970 && at.Year() < 2100 {
			return at.UTC(), nil
		}
	}
	if n := len(text); n > 1 && (text[n-1] == 'd' || text[n-1] == 'w') {
		days, err := strconv.Atoi(text[:n-1])
		if text[n-1] == 'w' {
			days *= 7
		}
		if err == nil && days >= 0 && days <= 36500 {
			return notBefore1970(now.Add(-time.Duration(days) * 24 * time.Hour)), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return notBefore1970(now.Add(-d)), nil
	}
	return time.Time{}, wrongFilter(text, []string{"2026-01-31", "2026-01-31T15:04", "24h", "7d"}, "%q is no time", text)
}

func notBefore1970(t time.Time) time.Time {
	if t.Unix() < 0 {
		return time.Unix(0, 0).UTC()
	}
	return t.UTC()
}
