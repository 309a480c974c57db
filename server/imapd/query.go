package imapd

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"postern/storage"
)

// Bounds of a query.
const (
	maxQueryDepth = 50  // NOT, OR and parentheses inside one another
	maxQueryTerms = 64  // keys that look at content, each of which looks at every message
	maxQueryKeys  = 500 // keys of any kind
)

// A query is the argument of a SEARCH.
type query struct {
	root    criterion
	returns []string // words of RETURN, in capitals
	terms   []string // keys that look at content, as the log has them
}

// A queryReader reads the line that the library has accepted already: it holds no literal, and quoted strings end.
type queryReader struct {
	b     []byte
	s     *session
	saved []imap.UIDRange // "$"
	q     *query
	keys  int
}

var errQuery = bad("The search keys are not valid")

// parseQuery reads "[RETURN (…)] [CHARSET …] key …" (RFC 9051, section 6.4.4). The library refuses other character sets
// than US-ASCII and UTF-8, of which the one is part of the other.
func (s *session) parseQuery(args []byte, saved []imap.UIDRange) (*query, error) {
	r := &queryReader{b: bytes.TrimRight(args, " "), s: s, saved: saved, q: new(query)}
	if r.word("RETURN") {
		r.returns()
	}
	if r.word("CHARSET") {
		r.str()
	}
	kids, err := r.list(0)
	if err == nil && len(r.b) > 0 {
		err = errQuery
	}
	r.q.root = criterion{op: opAnd, kids: kids}
	return r.q, err
}

// operators counts the words NOT and OR in the argument of a SEARCH, outside of strings. The library recurses for each of
// them before it asks anybody: eleven thousand in one command cost 32 MB of stack, for each connection.
func operators(b []byte) (n int) {
	for len(b) > 0 {
		switch b[0] {
		case ' ', '(', ')':
			b = b[1:]
		case '"':
			b = b[quotedEnd(b):]
		default:
			end := bytes.IndexAny(b, ` ()"`)
			if end < 0 {
				end = len(b)
			}
			if word := b[:end]; bytes.EqualFold(word, []byte("NOT")) || bytes.EqualFold(word, []byte("OR")) {
				n++
			}
			b = b[end:]
		}
	}
	return n
}

// space passes over what stands between two things.
func (r *queryReader) space() { r.b = bytes.TrimLeft(r.b, " ") }

// word takes a word if it is the next thing.
func (r *queryReader) word(w string) bool {
	r.space()
	if len(r.b) < len(w) || !bytes.EqualFold(r.b[:len(w)], []byte(w)) || len(r.b) > len(w) && r.b[len(w)] != ' ' && r.b[len(w)] != '(' {
		return false
	}
	r.b = r.b[len(w):]
	return true
}

// returns takes the options of RETURN.
func (r *queryReader) returns() {
	r.space()
	list, rest, _ := bytes.Cut(bytes.TrimPrefix(r.b, []byte("(")), []byte(")"))
	r.b, r.q.returns = rest, strings.Fields(strings.ToUpper(string(list)))
}

// str takes an astring.
func (r *queryReader) str() string {
	r.space()
	if len(r.b) == 0 || r.b[0] != '"' {
		n := bytes.IndexAny(r.b, " ()")
		if n < 0 {
			n = len(r.b)
		}
		s := string(r.b[:n])
		r.b = r.b[n:]
		return s
	}
	var out []byte
	for i := 1; i < len(r.b); i++ {
		switch c := r.b[i]; c {
		case '"':
			r.b = r.b[i+1:]
			return string(out)
		case '\\':
			i++
			fallthrough
		default:
			if i < len(r.b) {
				out = append(out, r.b[i])
			}
		}
	}
	r.b = nil
	return string(out)
}

// list takes keys up to the end or a closing parenthesis.
func (r *queryReader) list(depth int) (kids []criterion, err error) {
	for {
		r.space()
		if len(r.b) == 0 || r.b[0] == ')' {
			return kids, nil
		}
		k, err := r.key(depth)
		if err != nil {
			return nil, err
		}
		kids = append(kids, k)
	}
}

// key takes one key.
func (r *queryReader) key(depth int) (k criterion, err error) {
	r.space()
	if r.keys++; r.keys > maxQueryKeys || depth > maxQueryDepth {
		return k, errTooMuch
	}
	if len(r.b) > 0 && r.b[0] == '(' {
		r.b = r.b[1:]
		k.op = opAnd
		k.kids, err = r.list(depth + 1)
		if err == nil && len(r.b) == 0 {
			err = errQuery
		}
		if err == nil {
			r.b = r.b[1:]
		}
		return k, err
	}
	word := strings.ToUpper(r.str())
	switch word {
	case "NOT":
		kid, err := r.key(depth + 1)
		return criterion{op: opNot, kids: []criterion{kid}}, err
	case "OR":
		one, err := r.key(depth + 1)
		if err != nil {
			return k, err
		}
		other, err := r.key(depth + 1)
		return criterion{op: opOr, kids: []criterion{one, other}}, err
	}
	if k, ok := flagKey(word); ok {
		return k, nil
	}
	return r.keyWithValue(word)
}

// flagKey is a key that is only a word.
func flagKey(word string) (criterion, bool) {
	switch word {
	case "ALL", "OLD": // RFC 3501: OLD is what is not \Recent, which nothing is here
		return criterion{op: opAnd}, true
	case "NEW", "RECENT":
		return criterion{op: opOr}, true
	}
	name, not := strings.CutPrefix(word, "UN")
	switch name {
	case "ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN":
		flag, _ := storage.ParseFlag(`\` + name)
		return unless(not, criterion{op: opFlag, flags: flag}), true
	}
	return criterion{}, false
}

func unless(not bool, k criterion) criterion {
	if not {
		return criterion{op: opNot, kids: []criterion{k}}
	}
	return k
}

func (r *queryReader) keyWithValue(word string) (criterion, error) {
	switch word {
	case "KEYWORD", "UNKEYWORD":
		k, err := r.keyword(r.str())
		return unless(word == "UNKEYWORD", k), err
	case "LARGER", "SMALLER":
		n, err := strconv.ParseInt(r.str(), 10, 64)
		if err != nil {
			return criterion{}, errQuery
		}
		op := opLarger
		if word == "SMALLER" {
			op = opSmaller
		}
		return criterion{op: op, n: n}, nil
	case "BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE":
		return r.date(word)
	case "UID":
		return r.set(r.str(), true)
	case "SUBJECT", "FROM", "TO", "CC", "BCC":
		return r.term(criterion{op: opEnvelope, field: strings.ToLower(word)}, word)
	case "HEADER":
		field := r.str()
		return r.term(criterion{op: opHeader, field: field}, word+" "+field)
	case "BODY":
		return r.term(criterion{op: opBody}, word)
	case "TEXT":
		return r.term(criterion{op: opText}, word)
	}
	return r.set(word, false)
}

// keyword is a key for a flag by its name; one that the mailbox does not know, no message has.
func (r *queryReader) keyword(name string) (criterion, error) {
	if f, ok := storage.ParseFlag(name); ok {
		return criterion{op: opFlag, flags: f}, nil
	}
	box, err := r.s.inbox.Mailbox(r.s.ctx, r.s.box.id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return criterion{}, err
	}
	for i, k := range box.Keywords {
		if strings.EqualFold(k, name) {
			return criterion{op: opFlag, flags: 1 << (storage.FirstKeyword + i)}, nil
		}
	}
	return criterion{op: opOr}, nil
}

// term takes the string of a key that looks at content.
func (r *queryReader) term(k criterion, what string) (criterion, error) {
	s := r.str()
	if len(r.q.terms) == maxQueryTerms {
		return k, errTooMuch
	}
	r.q.terms = append(r.q.terms, what+" "+s)
	k.needle = newNeedle(s)
	return k, nil
}

// date takes the day of a key. RFC 9051, section 6.4.4: time and zone do not count.
func (r *queryReader) date(word string) (criterion, error) {
	t, err := time.Parse("2-Jan-2006", r.str())
	if err != nil {
		return criterion{}, errQuery
	}
	name, sent := strings.CutPrefix(word, "SENT")
	op := opReceived
	if sent {
		op = opSent
		r.q.terms = append(r.q.terms, word+" "+t.Format(time.DateOnly))
		if len(r.q.terms) > maxQueryTerms {
			return criterion{}, errTooMuch
		}
	}
	k := criterion{op: op, n: day(t)}
	switch name {
	case "BEFORE":
		k.before = true
	case "ON":
		k.on = true
	}
	return k, nil
}

// day numbers the days of the calendar in order.
func day(t time.Time) int64 {
	y, m, d := t.Date()
	return int64(y)*10_000 + int64(m)*100 + int64(d)
}

// set takes a set of numbers or UIDs.
func (r *queryReader) set(text string, uids bool) (criterion, error) {
	if text == "$" {
		return criterion{op: opSet, set: r.s.box.view.meet(r.saved)}, nil
	}
	var set imap.UIDSet
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(part, ":")
		if !ranged {
			last = first
		}
		a, ok1 := setNumber(first)
		b, ok2 := setNumber(last)
		if !ok1 || !ok2 {
			return criterion{}, errQuery
		}
		set = append(set, imap.UIDRange{Start: a, Stop: b})
	}
	if uids {
		return criterion{op: opSet, set: r.s.box.view.resolveUIDs(set)}, nil
	}
	seqs := make(imap.SeqSet, len(set))
	for i, u := range set {
		seqs[i] = imap.SeqRange{Start: uint32(u.Start), Stop: uint32(u.Stop)}
	}
	ranges, err := r.s.box.view.resolveSeqs(seqs)
	return criterion{op: opSet, set: ranges}, err
}

// setNumber reads a number of a set; "*" is 0, as in the library's sets.
func setNumber(s string) (imap.UID, bool) {
	if s == "*" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return imap.UID(n), err == nil && n > 0
}
