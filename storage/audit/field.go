package audit

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Bounds of an event. They hold for writing and for reading.
const (
	MaxText      = 8 << 10   // bytes of one personal text
	MaxWord      = 128       // bytes of one word
	MaxFields    = 64        // clear fields
	MaxPersonal  = 2048      // personal fields, enough for the recipients of one message
	MaxWrites    = 1024      // decisive rows
	MaxCanonical = 512 << 10 // canonical bytes
	MaxSealed    = 512 << 10 // canonical personal bytes
)

// Field is one fact of an event. The kind of its Key says which Go type Value has: int64, bool, string or []byte. Make
// fields with Int, Bool, Time, Word, Flags, Set, ID, Digest and Text.
type Field struct {
	Key   Key
	Value any
}

// Fields are facts in the order in which they are written. A key may be repeated.
type Fields []Field

// Int makes a field of a number: a count, bytes, milliseconds, a code.
func Int[N int | int64 | uint32 | uint64](k Key, n N) Field {
	return Field{k, clampInt(uint64(n), n < 0)}
}

// clampInt keeps counters that are beyond int64 at its end: recording them must not fail.
func clampInt(n uint64, negative bool) int64 {
	if !negative && n > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(n)
}

// Bool makes a field of a yes or no.
func Bool(k Key, v bool) Field { return Field{k, v} }

// Time makes a field of an instant, kept in microseconds.
func Time(k Key, t time.Time) Field { return Field{k, t.UnixMicro()} }

// Word makes a field of a state or a name from Postern's own vocabulary: letters, digits and -._+:/,=~ up to MaxWord
// bytes. What is not such a word, an event with it does not pass Check.
func Word(k Key, w string) Field { return Field{k, w} }

// Flags makes the field of IMAP flags. Keep keywords that KnownFlag does not know for KeyKeywords.
func Flags(k Key, flags []string) Field { return Field{k, strings.Join(flags, " ")} }

// Set makes a field of UIDs.
func Set(k Key, s UIDs) Field { return Field{k, s.String()} }

// ID makes a field of an id.
func ID(k Key, id uuid.UUID) Field { return Field{k, id[:]} }

// Digest makes a field of a hash, at most 64 bytes.
func Digest(k Key, sum []byte) Field { return Field{k, slices.Clone(sum)} }

// Text makes a personal field of text that a person or a message said, cut at MaxText bytes. The bytes need not be
// UTF-8: they are kept as they are.
func Text(k Key, text string) Field {
	if len(text) > MaxText {
		cut := MaxText
		for cut > MaxText-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	return Field{k, text}
}

// knownFlags are the flags that may stand in clear: those of RFC 9051, section 2.3.2, and registered keywords. Any
// other keyword is a word that an agent chose, and so personal.
var knownFlags = map[string]bool{
	`\Answered`: true, `\Flagged`: true, `\Deleted`: true, `\Seen`: true, `\Draft`: true, `\Recent`: true,
	"$Forwarded": true, "$MDNSent": true, "$Junk": true, "$NotJunk": true, "$Phishing": true, "$Important": true,
	"$Submitted": true, "$SubmitPending": true, "$hasAttachment": true, "$hasNoAttachment": true,
}

// KnownFlag reports whether a flag may stand in a clear field.
func KnownFlag(flag string) bool { return knownFlags[flag] }

// Get returns the value of the first field with the key, or nil.
func (f Fields) Get(k Key) any {
	for i := range f {
		if f[i].Key == k {
			return f[i].Value
		}
	}
	return nil
}

// Int returns the number of the first field with the key.
func (f Fields) Int(k Key) (int64, bool) {
	n, ok := f.Get(k).(int64)
	return n, ok
}

// Text returns the string of the first field with the key: a word, flags, a UID set or a text.
func (f Fields) Text(k Key) string {
	s, _ := f.Get(k).(string)
	return s
}

// ID returns the id of the first field with the key.
func (f Fields) ID(k Key) (id uuid.UUID, ok bool) {
	b, _ := f.Get(k).([]byte)
	if len(b) != len(id) {
		return id, false
	}
	return uuid.UUID(b), true
}

// UIDs returns the UID set of the first field with the key.
func (f Fields) UIDs(k Key) (UIDs, bool) {
	text, ok := f.Get(k).(string)
	if !ok {
		return nil, false
	}
	s, err := ParseUIDs(text)
	return s, err == nil
}

// check says what is wrong with a field, before its bytes are made. It never quotes the value, which may be personal.
func (f Field) check() error {
	ok := false
	switch k := f.Key.kind(); k {
	case kindNone:
		return fmt.Errorf("audit: unknown %s", f.Key)
	case kindInt:
		_, ok = f.Value.(int64)
	case kindTime:
		var n int64
		n, ok = f.Value.(int64)
		ok = ok && n >= 0 && n < endOfTime
	case kindBool:
		_, ok = f.Value.(bool)
	case kindID:
		var b []byte
		b, ok = f.Value.([]byte)
		ok = ok && len(b) == 16
	case kindDigest:
		var b []byte
		b, ok = f.Value.([]byte)
		ok = ok && len(b) > 0 && len(b) <= 64
	default:
		var s string
		s, ok = f.Value.(string)
		ok = ok && checkString(k, s)
	}
	if !ok {
		return fmt.Errorf("audit: the value of field %s is not of its kind", f.Key)
	}
	return nil
}

func checkString(k kind, s string) bool {
	switch k {
	case kindWord:
		return isWord(s)
	case kindFlags:
		return isFlags(s)
	case kindSet:
		_, err := ParseUIDs(s)
		return err == nil
	default:
		return len(s) <= MaxText
	}
}

// isWord holds text of people and messages off the clear fields: no space, no @, no quote, nothing beyond ASCII.
// IsWord reports whether a text can be the value of a key of words.
func IsWord(s string) bool { return isWord(s) }

func isWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._+:/,=~", c) >= 0:
		default:
			return false
		}
	}
	return s != "" && len(s) <= MaxWord
}

func isFlags(s string) bool {
	if s == "" {
		return true
	}
	if len(s) > 512 {
		return false
	}
	for flag := range strings.SplitSeq(s, " ") {
		if !knownFlags[flag] {
			return false
		}
	}
	return true
}
