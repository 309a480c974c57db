package imapd

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// A lexer takes one command off the client's stream and builds the line that the library gets for it.
//
// It knows no grammar but the one thing that decides where a command ends: quoted strings, and literals. Once something
// is wrong it keeps reading, to stay in step with the client, and keeps nothing.
type lexer struct {
	in       *input
	stranger bool  // before authentication
	largest  int64 // message that APPEND takes, in bytes

	line  []byte // for the library, while there is no fault
	fault *fault // the first thing that was wrong
	spent int64  // bytes consumed for this command

	tag      string // once known: empty if it could not be read
	verb     verb
	known    bool // tag and verb have been looked for
	args     int  // where in line the arguments start
	message  *upload
	literals int
	depth    int

	quote   bool // inside a quoted string
	escape  bool // after a backslash in one
	opened  int  // where in line its text starts
	highBit bool // it has a byte over 127
}

// An upload is the literal that ends an APPEND.
type upload struct {
	left int64 // bytes that the library has not had yet
	sync bool  // the client waits for "+"
	utf8 bool  // in the form UTF8 (~{n}…) of RFC 6855, so ")" follows
}

// command reads to the end of the command: a line's end outside of any literal, the announcement of a message that may
// come, or that of a synchronising literal which will not come because it is refused. The error is the connection's.
func (x *lexer) command() error {
	for {
		b, err := x.next()
		if err != nil {
			return err
		}
		if done, err := x.take(b); done || err != nil {
			return err
		}
	}
}

// next consumes a byte of the command.
func (x *lexer) next() (byte, error) {
	x.spent++
	return x.in.next()
}

// take looks at one byte and says whether the command ends with it.
func (x *lexer) take(b byte) (done bool, err error) {
	switch {
	case x.spent > x.most():
		x.lose(faultSpent)
		return true, nil
	case b == 0:
		x.lose(faultNUL)
		return true, nil
	case b == '\n':
		x.lose(faultLineEnd)
		return true, nil
	case b == '\r':
		return true, x.endLine()
	case x.quote:
		x.quoted(b)
	case b == '{':
		return x.brace()
	default:
		x.plain(b)
	}
	return false, nil
}

// most returns how many bytes of one command are worth reading.
func (x *lexer) most() int64 {
	if x.stranger {
		return maxStrangerSpent
	}
	return maxSpent
}

// room returns how long the line may become.
func (x *lexer) room() int {
	if x.stranger {
		return maxStrangerCommand
	}
	return maxCommand
}

// refuse notes the first thing that is wrong; the rest of the command is read and thrown away.
func (x *lexer) refuse(f *fault) {
	if x.fault == nil {
		x.fault = f
	}
}

// lose notes that the command's end cannot be found. Nothing that came before matters more.
func (x *lexer) lose(f *fault) {
	x.identify(false)
	x.fault = f
}

// keep adds bytes to the line. Room is left for CR LF.
func (x *lexer) keep(b ...byte) {
	if x.fault != nil {
		return
	}
	if len(x.line)+len(b) > x.room()-2 {
		x.refuse(faultTooLong)
		return
	}
	x.line = append(x.line, b...)
}

// plain takes a byte outside of strings.
func (x *lexer) plain(b byte) {
	switch {
	case b < ' ' || b == 0x7f:
		x.refuse(faultControl)
	case b >= utf8.RuneSelf:
		x.refuse(faultEightBit)
	case b == '"':
		x.quote, x.opened, x.highBit = true, len(x.line)+1, false
	case b == '(':
		if x.depth++; x.depth > maxDepth {
			x.refuse(faultDepth)
		}
	case b == ')':
		x.depth--
	}
	x.keep(b)
}

// quoted takes a byte of a quoted string. RFC 9051, section 9: QUOTED-CHAR is any character but CR and LF, with quote
// and backslash escaped; UTF-8 is taken from everybody, since clients send it without ENABLE.
func (x *lexer) quoted(b byte) {
	switch {
	case x.escape:
		x.escape = false
		if b != '"' && b != '\\' {
			x.refuse(faultEscape)
		}
	case b == '\\':
		x.escape = true
	case b == '"':
		x.quote = false
		if x.highBit && x.fault == nil && !utf8.Valid(x.line[x.opened:]) {
			x.refuse(faultUTF8)
		}
	case b >= utf8.RuneSelf:
		x.highBit = true
	}
	x.keep(b)
}

// endLine takes what follows a CR.
func (x *lexer) endLine() error {
	b, err := x.next()
	switch {
	case err != nil:
		return err
	case b != '\n':
		x.lose(faultLineEnd)
		return nil
	case x.quote:
		x.lose(faultQuote)
		return nil
	}
	x.identify(true)
	if x.fault == nil && x.verb == verbSearch && operators(x.line[x.args:]) > maxQueryKeys {
		x.refuse(faultOperators)
	}
	if x.fault == nil {
		x.line = append(x.line, '\r', '\n')
	}
	return nil
}

// brace takes what follows "{" outside of strings: RFC 9051, section 9, literal = "{" number64 ["+"] "}" CRLF.
func (x *lexer) brace() (done bool, err error) {
	var size int64
	digits := 0
	b, err := x.next()
	for ; err == nil && '0' <= b && b <= '9'; b, err = x.next() {
		if digits++; digits > maxDigits {
			x.lose(faultSpent)
			return true, nil
		}
		if size < 1<<50 { // enough to be refused, and it cannot overflow
			size = size*10 + int64(b-'0')
		}
	}
	sync := true
	if err == nil && digits > 0 && b == '+' {
		sync = false
		b, err = x.next()
	}
	if err == nil && digits > 0 && b == '}' {
		if b, err = x.next(); err == nil && b == '\r' {
			if b, err = x.next(); err == nil && b == '\n' {
				return x.literal(size, sync)
			}
			if err == nil {
				x.lose(faultLineEnd)
				return true, nil
			}
		}
	}
	if err != nil {
		return false, err
	}
	// Not a literal. What ended the attempt is looked at like any other byte.
	x.refuse(faultLiteral)
	x.in.back()
	x.spent--
	return false, nil
}

// literal takes a literal that has just been announced. A refused synchronising one ends the command, because the
// client waits and will not send it (RFC 9051, section 4.3); a refused non-synchronising one is on its way and is
// skipped by its own count (RFC 7888, section 4), so that no byte of it is taken for a command.
func (x *lexer) literal(size int64, sync bool) (done bool, err error) {
	x.identify(false)
	if x.fault == nil && x.verb == verbAppend && x.atMessage() {
		x.announce(size, sync)
		if x.fault == nil {
			return true, nil
		}
	} else {
		x.admit(size, sync)
	}
	switch {
	case x.fault == nil:
		if sync {
			if err := x.in.prompt(); err != nil {
				return false, err
			}
		}
		return false, x.inline(size)
	case sync:
		return true, nil
	case x.spent+size > x.most():
		x.lose(faultSpent)
		return true, nil
	}
	x.spent += size
	return false, x.in.discard(size)
}

// admit decides about a literal that is an argument of a few bytes.
func (x *lexer) admit(size int64, sync bool) {
	x.literals++
	switch {
	case size > maxLiteral && !sync:
		x.refuse(faultNonSync)
	case size > maxLiteral:
		x.refuse(faultBigString)
	case x.literals > maxLiterals:
		x.refuse(faultLiterals)
	case len(x.line)+int(size)+len(`""`) > x.room()-2:
		x.refuse(faultTooLong)
	case bytes.HasSuffix(x.line, []byte("~")):
		x.refuse(faultLiteral8)
	}
}

// inline reads a literal into the line as a quoted string.
func (x *lexer) inline(size int64) error {
	x.keep('"')
	for range size {
		b, err := x.next()
		if err != nil {
			return err
		}
		switch b {
		case 0, '\r', '\n':
			x.refuse(faultString)
		case '"', '\\':
			x.keep('\\', b)
		default:
			x.keep(b)
		}
	}
	x.keep('"')
	return nil
}

// atMessage says whether a literal at the end of the line is the message of the APPEND on it, not its mailbox, and
// brings the line into the one form that the library gets: RFC 3516 writes "~" before a binary literal, RFC 6855
// "UTF8 (~" before one with UTF-8 in its header, and the library means the same by all of them.
func (x *lexer) atMessage() bool {
	rest := x.line[x.args:]
	end := astringEnd(rest)
	if end <= 0 || end >= len(rest) || rest[end] != ' ' {
		return false
	}
	x.message = new(upload)
	x.line = bytes.TrimSuffix(x.line, []byte("~"))
	const wrap = " UTF8 ("
	if n := len(x.line) - len(wrap); n >= x.args+end && bytes.EqualFold(x.line[n:], []byte(wrap)) {
		x.line = x.line[:n+1]
		x.message.utf8 = true
	}
	return true
}

// astringEnd returns the length of the atom or quoted string that b starts with. RFC 9051, section 9, astring.
func astringEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		if i := bytes.IndexByte(b, ' '); i >= 0 {
			return i
		}
		return len(b)
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// announce decides about the message of an APPEND. The library is always told of a synchronising literal: its "+" says
// that it stands where a message is expected, and without it no byte of the message is handed on.
//
// RFC 7888, section 5: a client of LITERAL- waits with a message over 4096 bytes. Some take it for LITERAL+; their
// bytes are on the way, and storing them is no more work than throwing them away.
func (x *lexer) announce(size int64, sync bool) {
	switch {
	case size > x.largest:
		x.refuse(faultMessage)
	case size == 0:
		x.refuse(faultEmpty)
	default:
		x.message.left, x.message.sync = size, sync
		x.keep('{')
		x.keep(strconv.AppendInt(nil, size, 10)...)
		x.keep('}')
		if x.fault == nil {
			x.line = append(x.line, '\r', '\n')
		}
	}
}
