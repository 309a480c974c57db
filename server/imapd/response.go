package imapd

import (
	"errors"
	"io"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"

	"postern/storage"
)

// A response is the stream of untagged FETCH responses of one command, written by us rather than by the library: its
// writer re-encodes subjects and names, writes dates anew, leaves Content-MD5 out, panics on a multipart without parts,
// and allocates for every string. It goes straight to the guard, which the library does not write to while a command is
// running in the session.
//
// Whole responses are gathered; the guard is told when a piece ends at a boundary, so that a farewell lands between two.
type response struct {
	guard *guard
	lent  *[]byte
	b     []byte
	utf8  bool // the client takes UTF-8 in quoted strings (RFC 6855; RFC 9051, section 5.1)
	open  bool // the guard has part of a response
	begun int  // where in b the response for the message at hand starts; -1 when some of it has left

	flags     storage.Flags // that named was made of
	named     []byte
	namedOnce bool
}

// responseSize is how much is gathered: two TLS records.
const responseSize = 32 << 10

var responsePool = sync.Pool{New: func() any { b := make([]byte, 0, responseSize); return &b }}

func (s *session) newResponse() *response {
	caps := s.conn.EnabledCaps()
	r := &response{guard: s.guard, utf8: caps.Has(imap.CapIMAP4rev2) || caps.Has(imap.CapUTF8Accept)}
	r.lent = responsePool.Get().(*[]byte)
	r.b = (*r.lent)[:0]
	return r
}

// end sends what is left.
func (r *response) end() error {
	err := r.flush(true)
	if cap(r.b) == responseSize {
		responsePool.Put(r.lent)
	}
	r.b = nil
	return err
}

// flush hands what was gathered to the guard.
func (r *response) flush(boundary bool) error {
	if len(r.b) == 0 && !r.open {
		return nil
	}
	if !r.open {
		r.guard.SetWriteDeadline(time.Now())
		r.open = true
	}
	_, err := r.guard.Write(r.b)
	r.b, r.begun = r.b[:0], -1
	if boundary {
		r.guard.SetWriteDeadline(time.Time{})
		r.open = false
	}
	return err
}

// begin starts the response for a message.
func (r *response) begin(seq uint32) {
	r.begun = len(r.b)
	r.b = append(r.b, "* "...)
	r.b = strconv.AppendUint(r.b, uint64(seq), 10)
	r.b = append(r.b, " FETCH ("...)
}

// done ends the response for a message.
func (r *response) done() error {
	if n := len(r.b); r.b[n-1] == ' ' {
		r.b = r.b[:n-1] // behind the last item
	}
	r.b = append(r.b, ")\r\n"...)
	if len(r.b) >= responseSize/2 || r.open {
		return r.flush(true)
	}
	return nil
}

// takeBack drops the response for the message at hand, if nothing of it has left.
func (r *response) takeBack() bool {
	if r.begun < 0 {
		return false
	}
	r.b = r.b[:r.begun]
	return true
}

// room sends what there is when a literal of a size would make the buffer grow.
func (r *response) room(n int) {
	if len(r.b)+n > responseSize {
		r.flush(false) // an error shows again at the end
	}
}

// number writes "NAME n ".
func (r *response) number(name string, n int64) {
	r.b = append(r.b, name...)
	r.b = strconv.AppendInt(r.b, n, 10)
	r.b = append(r.b, ' ')
}

// date writes INTERNALDATE.
func (r *response) date(t time.Time) {
	r.b = append(r.b, `INTERNALDATE "`...)
	r.b = t.AppendFormat(r.b, "02-Jan-2006 15:04:05 -0700")
	r.b = append(r.b, `" `...)
}

// flagList writes FLAGS. Most messages of a mailbox have the same ones.
func (r *response) flagList(f storage.Flags, keywords []string) {
	if !r.namedOnce || f != r.flags {
		r.flags, r.namedOnce = f, true
		r.named = append(r.named[:0], "FLAGS ("...)
		for i, name := range f.Names(keywords) {
			if i > 0 {
				r.named = append(r.named, ' ')
			}
			r.named = append(r.named, name...)
		}
		r.named = append(r.named, ") "...)
	}
	r.b = append(r.b, r.named...)
}

// plain says of each byte whether it may stand in a quoted string as it is. Control characters may, by the grammar, but
// are better off in a literal.
var plain = func() (t [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// maxQuoted is the longest string that is written quoted.
const maxQuoted = 1024

// str writes a string: quoted where it can be, otherwise as a literal (RFC 9051, section 4.3). NUL is in neither.
func (r *response) str(s string) {
	i := 0
	for i < len(s) && plain[s[i]] {
		i++
	}
	if i == len(s) && i <= maxQuoted {
		r.b = append(r.b, '"')
		r.b = append(r.b, s...)
		r.b = append(r.b, '"')
		return
	}
	r.oddString(s, i)
}

// oddString writes a string that cannot be quoted as it stands; the first odd byte is at i.
func (r *response) oddString(s string, i int) {
	high, zeros := false, 0
	quotable := len(s) <= maxQuoted
	for ; i < len(s); i++ {
		c := s[i]
		high = high || c >= utf8.RuneSelf
		quotable = quotable && (plain[c] || c == '"' || c == '\\' || c >= utf8.RuneSelf)
		if c == 0 {
			zeros++
		}
	}
	if !quotable || high && (!r.utf8 || !utf8.ValidString(s)) {
		r.room(len(s) + 32)
		r.b = append(r.b, '{')
		r.b = strconv.AppendInt(r.b, int64(len(s)-zeros), 10)
		r.b = append(r.b, "}\r\n"...)
		for i := range len(s) {
			if s[i] != 0 {
				r.b = append(r.b, s[i])
			}
		}
		return
	}
	r.b = append(r.b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			r.b = append(r.b, '\\')
		}
		r.b = append(r.b, s[i])
	}
	r.b = append(r.b, '"')
}

// nstr writes a string, or NIL for an empty one.
func (r *response) nstr(s string) {
	if s == "" {
		r.b = append(r.b, "NIL"...)
		return
	}
	r.str(s)
}

// errTorn: a message could not be read to its end, and what has been said of it cannot be taken back. The connection is
// cut.
var errTorn = errors.New("imapd: the store failed in the middle of a literal")

// literal writes "name {size}" and size bytes of src, without holding more than the buffer.
func (r *response) literal(name, mark string, size int64, src io.Reader) error {
	r.b = append(r.b, name...)
	r.b = append(r.b, ' ')
	r.b = append(r.b, mark...)
	r.b = append(r.b, '{')
	r.b = strconv.AppendInt(r.b, size, 10)
	r.b = append(r.b, "}\r\n"...)
	for size > 0 {
		if len(r.b) >= responseSize-512 {
			if err := r.flush(false); err != nil {
				return err
			}
		}
		free := r.b[len(r.b):cap(r.b)]
		n, err := src.Read(free[:min(int64(len(free)), size)])
		r.b = r.b[:len(r.b)+n]
		size -= int64(n)
		if err != nil && size > 0 {
			return err
		}
	}
	r.b = append(r.b, ' ')
	return nil
}
