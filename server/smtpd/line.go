package smtpd

import (
	"bufio"
	"errors"
	"io"
)

// errBye is the end of the connection: the reply is the last one.
type errBye struct{ reply }

func (e errBye) Error() string { return e.text }

// readLine reads one line and takes its CR LF off. The reply bad says what is wrong with a line that was read to its
// end and must not be obeyed; an error that nothing more can be read. A line is never built up beyond max octets.
//
// RFC 5321, section 2.3.8: only CR LF ends a line. LF alone may be the end of a line to one peer and the middle of one to
// another; whoever sends it passes on what he was given, and what follows may be commands that he never meant to send.
func (c *conn) readLine(max int) (line string, bad reply, err error) {
	var long []byte // the line so far, when it is longer than the buffer
	spent := 0
	for {
		piece, err := c.in.ReadSlice('\n')
		spent += len(piece)
		switch {
		case err == nil && spent == len(piece):
			return checkLine(piece, max)
		case spent <= max+1:
			long = append(long, piece...)
		case spent > maxSpent:
			return "", reply{}, errBye{byeLong}
		}
		switch {
		case err == nil && spent > max && endsLine(piece):
			return "", badLong, nil
		case err == nil && spent > max:
			return "", reply{}, errBye{byeLineEnd}
		case err == nil:
			return checkLine(long, max)
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", reply{}, unexpected(err)
		}
	}
}

// unexpected is the error of a read that ended too soon, never io.EOF, which means the end of a message elsewhere.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// endsLine reports whether a piece that ends in LF has CR before it. A piece of LF alone follows a full buffer, whose
// last octet is not looked at: such a line is refused anyway, by the one word or the other.
func endsLine(piece []byte) bool {
	return len(piece) > 1 && piece[len(piece)-2] == '\r'
}

// checkLine checks a whole line that ends in LF.
func checkLine(raw []byte, max int) (string, reply, error) {
	if !endsLine(raw) {
		return "", reply{}, errBye{byeLineEnd}
	}
	if len(raw) > max {
		return "", badLong, nil
	}
	raw = raw[:len(raw)-2]
	for _, b := range raw {
		if b < ' ' && b != '\t' || b == 0x7f {
			return "", badControl, nil
		}
	}
	return string(raw), reply{}, nil
}
