package zone

import (
	"fmt"
	"slices"
	"strings"
)

// maxTags bounds a tag list; DKIM, DMARC, MTA-STS and TLS reporting have a dozen.
const maxTags = 64

// tag is one name=value of a record of DKIM, DMARC, MTA-STS or TLS reporting
// (RFC 6376, section 3.2).
type tag struct{ name, value string }

type tags []tag

// parseTags reads a tag list. Names are brought to lower case, white space around
// names and values goes.
func parseTags(text string) (all tags, err error) {
	for _, part := range strings.Split(text, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case !ok || name == "":
			return all, fmt.Errorf("%q is no tag", part)
		case all.has(name):
			return all, fmt.Errorf("tag %s stands there twice", name)
		case len(all) == maxTags:
			return all, fmt.Errorf("more than %d tags", maxTags)
		}
		all = append(all, tag{name, strings.TrimSpace(value)})
	}
	return all, nil
}

func (t tags) index(name string) int {
	return slices.IndexFunc(t, func(x tag) bool { return x.name == name })
}

func (t tags) has(name string) bool { return t.index(name) >= 0 }

// get is the value of a tag, empty when it is not there.
func (t tags) get(name string) string {
	if i := t.index(name); i >= 0 {
		return t[i].value
	}
	return ""
}

// set gives a tag a value, in its place or at the end.
func (t tags) set(name, value string) tags {
	if i := t.index(name); i >= 0 {
		t[i].value = value
		return t
	}
	return append(t, tag{name, value})
}

func (t tags) String() string {
	var parts []string
	for _, x := range t {
		parts = append(parts, x.name+"="+x.value)
	}
	return strings.Join(parts, "; ")
}

// addresses are the entries of a list of report addresses, which commas divide.
func addresses(list string) []string {
	var all []string
	for _, a := range strings.Split(list, ",") {
		if a = strings.TrimSpace(a); a != "" {
			all = append(all, a)
		}
	}
	return all
}

// asks reports whether a list of report addresses has ours. A size limit behind "!"
// is none of our concern (RFC 7489, section 6.2).
func asks(list, mailto string) bool {
	return slices.ContainsFunc(addresses(list), func(a string) bool {
		a, _, _ = strings.Cut(a, "!")
		return strings.EqualFold(a, mailto)
	})
}
