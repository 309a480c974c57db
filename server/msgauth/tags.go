package msgauth

import (
	"strconv"
	"strings"
)

// maxTags bounds the tags of one list. DKIM defines a dozen.
const maxTags = 100

// tag is one name=value of a tag list.
type tag struct {
	name       string
	value      string // without white space around it
	start, end int    // of the value and the white space around it, in the list
}

// tags is a tag list (RFC 6376, section 3.2), which DKIM and ARC use in fields
// and in key records.
type tags []tag

// parseTags reads a tag list strictly: a list with two tags of one name, with an
// empty place between semicolons, or with a byte that belongs nowhere is none.
func parseTags(s string) (tags, bool) {
	var list tags
	for at := 0; at <= len(s); {
		end := len(s)
		if i := strings.IndexByte(s[at:], ';'); i >= 0 {
			end = at + i
		}
		name, value, ok := strings.Cut(s[at:end], "=")
		if !ok && end == len(s) && strings.Trim(name, fws) == "" && len(list) > 0 {
			break // behind the last semicolon
		}
		t := tag{name: strings.Trim(name, fws), value: strings.Trim(value, fws), start: at + len(name) + 1, end: end}
		if _, twice := list.find(t.name); !ok || twice || len(list) == maxTags || !isTagName(t.name) || !isTagValue(t.value) {
			return nil, false
		}
		list, at = append(list, t), end+1
	}
	return list, true
}

// fws is the white space that may fold a line.
const fws = " \t\r\n"

func isTagName(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if letter := 'a' <= c && c <= 'z'; !letter && (i == 0 || s[i] != '_' && (s[i] < '0' || s[i] > '9')) {
			return false
		}
	}
	return s != ""
}

// isTagValue allows UTF-8, as RFC 8616, section 3 does.
func isTagValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f {
			return false
		}
	}
	return true
}

func (list tags) find(name string) (tag, bool) {
	for _, t := range list {
		if t.name == name {
			return t, true
		}
	}
	return tag{}, false
}

// get returns the value of a tag, empty when there is none.
func (list tags) get(name string) string {
	t, _ := list.find(name)
	return t.value
}

// joined returns the value of a tag that may be folded anywhere, without its
// white space.
func (list tags) joined(name string) string { return unspaced(list.get(name)) }

func unspaced(s string) string {
	if !strings.ContainsAny(s, fws) {
		return s
	}
	return strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(s)
}

// split returns what stands between the colons of a value.
func (list tags) split(name string) []string {
	parts := strings.Split(list.get(name), ":")
	for i, p := range parts {
		parts[i] = strings.Trim(p, fws)
	}
	return parts
}

// number reads a tag that, when it is there, is a number of up to limit digits.
func (list tags) number(name string, limit int) (n uint64, present, ok bool) {
	t, present := list.find(name)
	if !present {
		return 0, false, true
	}
	if len(t.value) > limit || t.value == "" || t.value[0] == '+' {
		return 0, true, false
	}
	n, err := strconv.ParseUint(t.value, 10, 64)
	return n, true, err == nil
}
