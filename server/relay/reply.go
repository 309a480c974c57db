package relay

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of one reply. RFC 5321, section 4.5.3.1.5 allows 512 octets a line;
// real servers exceed that a little.
const (
	maxReplyLine  = 4096 // the size of the reader's buffer
	maxReplyLines = 128
	maxReplyBytes = 32 << 10
	maxText       = 512
)

// errReply is wrapped by every error about what a peer said.
var errReply = errors.New("not an SMTP reply")

// reply is one complete reply of a server (RFC 5321, section 4.2).
type reply struct {
	code     int    // 200 to 599
	enhanced string // of the code's class; made up as x.0.0 when there was none
	text     string // sanitised, bounded, without the enhanced code
	lines    []string
}

// readReply reads a reply with its continuation lines. It holds the peer to the
// grammar: every line begins with the same three digits. The deadline is the
// caller's, and is for the whole reply.
func readReply(br *bufio.Reader) (reply, error) {
	var r reply
	total := 0
	for range maxReplyLines {
		line, err := br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return reply{}, fmt.Errorf("%w: line too long", errReply)
		}
		if err != nil {
			return reply{}, err
		}
		if total += len(line); total > maxReplyBytes {
			return reply{}, fmt.Errorf("%w: too long", errReply)
		}
		code, more, text, ok := parseReplyLine(string(line))
		if !ok || r.lines != nil && code != r.code {
			return reply{}, fmt.Errorf("%w: malformed line", errReply)
		}
		r.code = code
		r.lines = append(r.lines, text)
		if !more {
			r.finish()
			return r, nil
		}
	}
	return reply{}, fmt.Errorf("%w: too many lines", errReply)
}

// parseReplyLine takes a line apart. A bare LF as line end is let pass: the
// peer can gain nothing by it.
func parseReplyLine(line string) (code int, more bool, text string, ok bool) {
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !isDigit(line[1]) || !isDigit(line[2]) {
		return 0, false, "", false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, "", true
	}
	return code, line[3] == '-', line[4:], line[3] == '-' || line[3] == ' '
}

// finish derives the enhanced status code (RFC 2034) and the text for people.
func (r *reply) finish() {
	var b strings.Builder
	for _, line := range r.lines {
		code, rest, _ := strings.Cut(line, " ")
		if isEnhanced(code, r.code) {
			if r.enhanced == "" {
				r.enhanced = code
			}
			line = rest
		}
		if b.Len() > 0 && b.Len() < maxText {
			b.WriteByte(' ')
		}
		if b.Len() < maxText {
			b.WriteString(line)
		}
	}
	if r.enhanced == "" {
		r.enhanced = string(rune('0'+r.code/100)) + ".0.0"
	}
	r.text = printable(b.String())
}

// isEnhanced reports whether s is a status code whose class agrees with code.
func isEnhanced(s string, code int) bool {
	class, rest, _ := strings.Cut(s, ".")
	subject, detail, ok := strings.Cut(rest, ".")
	return ok && len(class) == 1 && int(class[0]-'0') == code/100 && isNumber(subject) && isNumber(detail)
}

func isNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= 3
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// printable replaces what is not plain to see, control and direction
// characters among it, by a question mark, and cuts at maxText octets.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.TrimSpace(s))
	if len(s) > maxText {
		s = s[:maxText]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return s
}
