package message

import (
	"errors"
	"strconv"
	"strings"

	"github.com/dunglas/httpsfv"
)

// Bounds of a structured value. A declaration that needs more is not one.
const (
	MaxStructuredBytes  = 1024 // of a value
	MaxStructuredParams = 16   // members of a value
	MaxMessageIDs       = 32   // of a list of Message-IDs
	MaxMessageIDBytes   = 998  // of one Message-ID: what fits on a line (RFC 5322, section 2.1.1)
)

// ErrStructured reports a value that is no list of members of a structured
// field, or is longer than one may be.
var ErrStructured = errors.New("message: not a structured field value")

// A Member is a key of a structured field with its value as text.
type Member struct{ Key, Value string }

// ParseMembers reads a structured field value (RFC 9651) that consists of keys
// with values, in the two forms in which people write them:
//
//	type=message; ref="<id@x>"    parameters (section 3.1.2) without an item in front
//	type=message, ref="<id@x>"    a Dictionary (section 3.2)
//
// Keys, values and the white space between them are those of the RFC in both.
// Values are Tokens, Strings, Display Strings and Integers, since all we want is
// text; of a key that is repeated the last value counts, as the RFC has it. The
// value is that of a header field of mail, which may be folded: a tab, which
// folding puts where the RFC allows a space, is read as one. The error is
// ErrStructured; it never holds the value.
func ParseMembers(value string) ([]Member, error) {
	value = strings.Trim(strings.ReplaceAll(value, "\t", " "), " ")
	if value == "" || len(value) > MaxStructuredBytes {
		return nil, ErrStructured
	}
	// What stands behind an item's first semicolon is a list of parameters.
	if item, err := httpsfv.UnmarshalItem([]string{"?1;" + value}); err == nil {
		return members(item.Params.Names(), item.Params.Get)
	}
	dictionary, err := httpsfv.UnmarshalDictionary([]string{value})
	if err != nil {
		return nil, ErrStructured
	}
	return members(dictionary.Names(), func(key string) (any, bool) {
		m, _ := dictionary.Get(key)
		item, ok := m.(httpsfv.Item)
		return item.Value, ok && len(item.Params.Names()) == 0
	})
}

// members makes texts of the values of keys.
func members(keys []string, get func(string) (any, bool)) (all []Member, err error) {
	if len(keys) == 0 || len(keys) > MaxStructuredParams {
		return nil, ErrStructured
	}
	for _, key := range keys {
		v, ok := get(key)
		m := Member{Key: key}
		switch v := v.(type) {
		case httpsfv.Token:
			m.Value = string(v)
		case httpsfv.DisplayString:
			m.Value = string(v)
		case string:
			m.Value = v
		case int64:
			m.Value = strconv.FormatInt(v, 10)
		default:
			ok = false
		}
		if !ok {
			return nil, ErrStructured
		}
		all = append(all, m)
	}
	return all, nil
}

// MessageIDs reads the Message-IDs of a field like References (RFC 5322, section
// 3.6.4): texts in angle brackets, which it keeps, whatever stands between them.
// It returns at most MaxMessageIDs, from the front; whole is false when there
// were more, or when something in the field was no Message-ID.
func MessageIDs(value string) (ids []string, whole bool) {
	whole = true
	for value = strings.Trim(value, " \t,"); value != ""; value = strings.Trim(value, " \t,") {
		end := strings.IndexByte(value, '>')
		if value[0] != '<' || end < 0 {
			start := strings.IndexByte(value, '<')
			if whole = false; start <= 0 {
				return ids, false
			}
			value = value[start:]
			continue
		}
		id := value[:end+1]
		value = value[end+1:]
		if !IsMessageID(id) {
			whole = false
			continue
		}
		if len(ids) == MaxMessageIDs {
			return ids, false
		}
		ids = append(ids, id)
	}
	return ids, whole
}

// IsMessageID reports whether a text has the form of a Message-ID: something in
// angle brackets with an @ inside, and no white space or further bracket.
func IsMessageID(s string) bool {
	n := len(s)
	if n < 5 || n > MaxMessageIDBytes || s[0] != '<' || s[n-1] != '>' {
		return false
	}
	inner := s[1 : n-1]
	if at := strings.LastIndexByte(inner, '@'); at <= 0 || at == len(inner)-1 {
		return false
	}
	return strings.IndexFunc(inner, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' }) < 0
}
