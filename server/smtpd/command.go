package smtpd

import (
	"strconv"
	"strings"

	"postern/server/message"
)

// splitCommand parts a line into its verb, in upper case, and the rest.
// RFC 5321, section 4.1.1: verbs are letters of either case, and trailing white space is tolerated.
func splitCommand(line string) (verb, arg string) {
	verb, arg, _ = strings.Cut(line, " ")
	return strings.ToUpper(strings.TrimRight(verb, "\t")), strings.Trim(arg, " \t")
}

// envelope is what MAIL or RCPT say.
type envelope struct {
	path       message.Path
	parameters map[string]string // names in upper case
}

// requireTLS says that the message may go on over authenticated TLS alone (RFC 8689).
func (e envelope) requireTLS() bool {
	_, ok := e.parameters["REQUIRETLS"]
	return ok
}

// size is the announced size, -1 when there is none. What is over any bound of int64 is too large all the same.
func (e envelope) size() int64 {
	value, ok := e.parameters["SIZE"]
	if !ok {
		return -1
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 1<<63 - 1
	}
	return n
}

// parseMail reads the argument of MAIL. authParameter says whether AUTH= may stand there.
func parseMail(arg string, authParameter bool) (e envelope, bad reply, ok bool) {
	path, rest, ok := cutPath(arg, "FROM:")
	if !ok {
		return e, badMail, false
	}
	if e.parameters, bad, ok = parseParameters(rest); !ok {
		return e, bad, false
	}
	for name, value := range e.parameters {
		if bad, ok = checkMailParameter(name, value, authParameter); !ok {
			return e, bad, false
		}
	}
	_, utf8 := e.parameters["SMTPUTF8"]
	e.path, bad, ok = parsePath(path, utf8, badSender)
	if ok && e.path.IsPostmaster() {
		return e, badSender, false // only RCPT has the bare postmaster
	}
	return e, bad, ok
}

// checkMailParameter checks one parameter of MAIL.
// RFC 5321, section 4.1.1.11: 555 for a parameter that is not known, 501 for one with the wrong value.
func checkMailParameter(name, value string, authParameter bool) (bad reply, ok bool) {
	switch name {
	case "SIZE": // RFC 1870, section 3: up to 20 digits
		return badParameter, value != "" && len(value) <= 20 && strings.Trim(value, "0123456789") == ""
	case "BODY": // RFC 6152; BINARYMIME (RFC 3030) is not offered
		return badBody, strings.EqualFold(value, "7BIT") || strings.EqualFold(value, "8BITMIME")
	case "SMTPUTF8", "REQUIRETLS": // RFC 8689, section 2
		return badParameter, value == ""
	case "AUTH":
		if !authParameter {
			return badUnknown, false
		}
		// RFC 4954, section 5: one that is not trusted is read as AUTH=<>. None is.
		return badParameter, value != ""
	}
	return badUnknown, false
}

// parseRcpt reads the argument of RCPT; utf8 says whether MAIL asked for SMTPUTF8.
func parseRcpt(arg string, utf8 bool) (e envelope, bad reply, ok bool) {
	path, rest, ok := cutPath(arg, "TO:")
	if !ok {
		return e, badRcpt, false
	}
	if e.parameters, bad, ok = parseParameters(rest); !ok {
		return e, bad, false
	}
	if len(e.parameters) > 0 {
		// DSN, DELIVERBY and MT-PRIORITY are not offered, and RCPT has no others.
		return e, badUnknown, false
	}
	e.path, bad, ok = parsePath(path, utf8, badRecipient)
	if ok && e.path.IsNull() {
		return e, badRecipient, false
	}
	return e, bad, ok
}

func parsePath(s string, utf8 bool, bad reply) (message.Path, reply, bool) {
	path, err := message.ParsePath(s, utf8)
	if err == nil {
		return path, reply{}, true
	}
	if e, ok := err.(*message.PathError); ok && e.Rule == message.RuleUTF8 {
		return path, needUTF8, false
	}
	return path, bad, false
}

// cutPath takes the path out of an argument such as "FROM:<a@b> SIZE=3". White space after the colon is against the
// grammar, common and harmless.
func cutPath(arg, keyword string) (path, rest string, ok bool) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", "", false
	}
	arg = strings.TrimLeft(arg[len(keyword):], " \t")
	end := pathEnd(arg)
	path, rest = arg[:end], arg[end:]
	if path == "" || rest != "" && rest[0] != ' ' {
		return "", "", false
	}
	return path, rest, true
}

// pathEnd is where the path ends: behind its bracket, or at a space, neither of which counts in quotes.
func pathEnd(s string) int {
	quoted, bracket := false, strings.HasPrefix(s, "<")
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case bracket && c == '>':
			return i + 1
		case !bracket && c == ' ':
			return i
		}
	}
	return len(s)
}

// maxParameters is more than any extension that we know could use.
const maxParameters = 16

// parseParameters reads esmtp-params (RFC 5321, section 4.1.2), each of them once.
func parseParameters(s string) (all map[string]string, bad reply, ok bool) {
	for word := range strings.FieldsSeq(s) {
		name, value, hasValue := strings.Cut(word, "=")
		name = strings.ToUpper(name)
		if !isKeyword(name) || hasValue && !isValue(value) || len(all) == maxParameters {
			return nil, badParameter, false
		}
		if _, twice := all[name]; twice {
			return nil, badParameter, false
		}
		if all == nil {
			all = make(map[string]string, 2)
		}
		all[name] = value
	}
	return all, reply{}, true
}

func isKeyword(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' && i > 0) {
			return false
		}
	}
	return s != ""
}

func isValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == '=' || c >= 0x7f {
			return false
		}
	}
	return s != ""
}

// parseChunk reads the argument of BDAT (RFC 3030, section 2). A size beyond int64 is a size, of which too much.
func parseChunk(arg string) (size int64, last, ok bool) {
	digits, rest, _ := strings.Cut(arg, " ")
	if digits == "" || len(digits) > 20 || strings.Trim(digits, "0123456789") != "" {
		return 0, false, false
	}
	size, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		size = 1<<63 - 1
	}
	rest = strings.TrimSpace(rest)
	last = strings.EqualFold(rest, "LAST")
	return size, last, last || rest == ""
}

// helloName is the client's name for itself, of which nothing is believed: bounded, printable ASCII. Received shows it
// when it is a domain or an address literal.
func helloName(arg string) string {
	name, _, _ := strings.Cut(arg, " ")
	if len(name) > message.MaxDomain {
		name = name[:message.MaxDomain]
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, name)
}
