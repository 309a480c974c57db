package audit

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/uuid"
)

// AppendJSON appends the event as one JSON object without a line break. The rendering is a function of the event
// alone: names in a fixed order, times in RFC 3339 UTC with six digits, ids as UUIDs, digests in hex, a repeated key as
// an array, bytes that are not UTF-8 as U+FFFD. Lists and exports share it, and a verifier renders again to compare.
func (e *Event) AppendJSON(b []byte) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	b = appendID(append(b, `,"id":`...), e.ID)
	b = appendTime(append(b, `,"time":`...), e.Time)
	b = appendString(append(b, `,"verb":`...), e.Verb.String())
	b = appendString(append(b, `,"outcome":`...), e.Outcome.String())
	b = e.appendActor(append(b, `,"actor":`...))
	for _, x := range [...]struct {
		name string
		id   *uuid.UUID
	}{
		{`,"org":`, &e.Org}, {`,"agent":`, &e.Agent}, {`,"credential":`, &e.Credential},
		{`,"inbox":`, &e.Inbox}, {`,"mailbox":`, &e.Mailbox}, {`,"object":`, &e.Object},
	} {
		b = appendPresent(b, x.name, x.id)
	}
	if len(e.Fields) > 0 {
		b = appendFieldsJSON(append(b, `,"fields":`...), e.Fields)
	}
	if len(e.Writes) > 0 {
		b = appendWritesJSON(append(b, `,"writes":`...), e.Writes)
	}
	if sum, ok := e.Commitment(); ok {
		b = appendHex(append(b, `,"commitment":`...), sum[:])
	}
	if len(e.Personal) > 0 {
		b = appendFieldsJSON(append(b, `,"personal":`...), e.Personal)
	}
	return append(b, '}')
}

func (e *Event) appendActor(b []byte) []byte {
	b = appendString(append(b, `{"kind":`...), e.Actor.Kind.String())
	b = appendPresent(b, `,"id":`, &e.Actor.ID)
	b = appendPresent(b, `,"credential":`, &e.Actor.Credential)
	b = appendPresent(b, `,"session":`, &e.Actor.Session)
	if e.Actor.Network.IsValid() {
		b = append(b, `,"network":"`...)
		b = e.Actor.Network.Unmap().WithZone("").AppendTo(b)
		b = append(b, '"')
	}
	if e.Actor.Name != "" {
		b = appendString(append(b, `,"name":`...), e.Actor.Name)
	}
	return append(b, '}')
}

// appendFieldsJSON writes each key once, where it first stands, with an array of its values when there are several.
func appendFieldsJSON(b []byte, fields Fields) []byte {
	var count [len(keys)]int
	for i := range fields {
		count[fields[i].Key]++
	}
	b = append(b, '{')
	for i := range fields {
		k := fields[i].Key
		n := count[k]
		if n == 0 { // written with the first of its key
			continue
		}
		count[k] = 0
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, k.String()), ':')
		if n == 1 {
			b = fields[i].appendValue(b)
			continue
		}
		b = append(b, '[')
		for j := i; n > 0; j++ {
			if fields[j].Key != k {
				continue
			}
			b = fields[j].appendValue(b)
			if n--; n > 0 {
				b = append(b, ',')
			}
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func (f *Field) appendValue(b []byte) []byte {
	switch v := f.Value.(type) {
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		if f.Key.kind() == kindTime {
			return appendTime(b, time.UnixMicro(v))
		}
		return strconv.AppendInt(b, v, 10)
	case []byte:
		if f.Key.kind() == kindID {
			return appendID(b, uuid.UUID(v))
		}
		return appendHex(b, v)
	default:
		return appendString(b, v.(string))
	}
}

func appendWritesJSON(b []byte, writes []Write) []byte {
	b = append(b, '[')
	for i, w := range writes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"table":`...), w.Table)
		b = append(b, `,"id":`...)
		if len(w.ID) == 16 {
			b = appendID(b, uuid.UUID(w.ID))
		} else {
			b = appendHex(b, w.ID)
		}
		b = strconv.AppendUint(append(b, `,"version":`...), w.Version, 10)
		if w.Digest == [32]byte{} {
			b = append(b, `,"deleted":true}`...)
			continue
		}
		b = append(appendHex(append(b, `,"digest":`...), w.Digest[:]), '}')
	}
	return append(b, ']')
}

func appendPresent(b []byte, name string, id *uuid.UUID) []byte {
	if *id == uuid.Nil {
		return b
	}
	return appendID(append(b, name...), *id)
}

func appendID(b []byte, id uuid.UUID) []byte {
	b = hex.AppendEncode(append(b, '"'), id[:4])
	b = hex.AppendEncode(append(b, '-'), id[4:6])
	b = hex.AppendEncode(append(b, '-'), id[6:8])
	b = hex.AppendEncode(append(b, '-'), id[8:10])
	b = hex.AppendEncode(append(b, '-'), id[10:])
	return append(b, '"')
}

func appendHex(b, v []byte) []byte { return append(hex.AppendEncode(append(b, '"'), v), '"') }

func appendTime(b []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(b, '"'), timeFormat), '"')
}

// appendString writes a JSON string (RFC 8259, section 7). What would act on a terminal or hide from a reader is escaped
// too, so that a line may be shown as it is.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			b = append(b, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case unseen(r):
			for _, u := range utf16.AppendRune(nil, r) {
				b = append(b, `\u`...)
				b = hex.AppendEncode(b, []byte{byte(u >> 8), byte(u)})
			}
		default:
			b = utf8.AppendRune(b, r) // U+FFFD for what is not UTF-8
		}
	}
	return append(b, '"')
}

// unseen reports controls, zero-width characters, line separators, changes of direction and tags. The ranges are
// written out, since the tables of package unicode grow, and a verifier of another year has to render alike.
func unseen(r rune) bool {
	switch {
	case r < ' ', 0x7f <= r && r <= 0x9f, r == 0xad, r == 0x61c, r == 0x180e, r == 0xfeff:
		return true
	case 0x200b <= r && r <= 0x200f, 0x2028 <= r && r <= 0x202e, 0x2060 <= r && r <= 0x206f:
		return true
	}
	return 0xe0000 <= r && r <= 0xe0fff
}
