package imapd

// A fault is why a command does not reach the library: the reply that the client gets instead. Its text says what is
// wrong with the form and repeats nothing that the client sent but the tag.
type fault struct {
	kind string // "BAD" or "NO"
	code string // response code without brackets, or empty
	text string
	lost bool // where the command ends cannot be told: the connection ends too
}

// reply returns the response line for a command with the given tag; "" stands for a tag that could not be read.
// RFC 9051, section 7.1.3: an untagged BAD answers a command whose tag the server cannot tell.
func (f *fault) reply(tag string) string {
	if tag == "" {
		tag = "*"
	}
	if f.code != "" {
		return tag + " " + f.kind + " [" + f.code + "] " + f.text + "\r\n"
	}
	return tag + " " + f.kind + " " + f.text + "\r\n"
}

// Faults after which the stream cannot be trusted. A CR or LF on its own, or a quoted string that runs into the end of
// the line, is how text that a client should have quoted shows: what follows may be the rest of that text, dressed as a
// command.
var (
	faultNUL      = &fault{kind: "BAD", text: "NUL is not allowed in a command", lost: true}
	faultLineEnd  = &fault{kind: "BAD", text: "Lines end with CR LF, and neither stands alone", lost: true}
	faultQuote    = &fault{kind: "BAD", text: "A quoted string does not end on its line", lost: true}
	faultSpent    = &fault{kind: "BAD", code: "TOOBIG", text: "The command is too long to be skipped", lost: true}
	faultProtocol = &fault{kind: "BAD", text: "This is an IMAP server", lost: true}
)

// Faults after which the next command is where it should be.
var (
	faultTag       = &fault{kind: "BAD", text: "A command starts with a tag"}
	faultTagForm   = &fault{kind: "BAD", text: "The tag has a character that is not allowed, or is too long"}
	faultNoCommand = &fault{kind: "BAD", text: "The command is missing"}
	faultUnknown   = &fault{kind: "BAD", text: "Unknown command"}
	faultStranger  = &fault{kind: "BAD", code: "CLIENTBUG", text: "Log in first"}
	faultStartTLS  = &fault{kind: "BAD", text: "TLS is already active"}
	faultControl   = &fault{kind: "BAD", text: "Control characters are not allowed here"}
	faultEightBit  = &fault{kind: "BAD", text: "Bytes over 127 are allowed in strings alone"}
	faultUTF8      = &fault{kind: "BAD", text: "A quoted string is not UTF-8"}
	faultEscape    = &fault{kind: "BAD", text: "In a quoted string a backslash escapes a quote or a backslash"}
	faultLiteral   = &fault{kind: "BAD", text: "A brace that announces no literal"}
	faultLiteral8  = &fault{kind: "BAD", text: "A binary literal is allowed as a message alone"}
	faultString    = &fault{kind: "BAD", text: "A string may not contain NUL, CR or LF"}
	faultDepth     = &fault{kind: "BAD", code: "LIMIT", text: "Parentheses are nested too deeply"}
	faultOperators = &fault{kind: "NO", code: "LIMIT", text: "The command asks for too much at once"} // as errTooMuch, before the library has recursed
	faultTooLong   = &fault{kind: "BAD", code: "TOOBIG", text: "The command is too long"}
	faultLiterals  = &fault{kind: "BAD", code: "LIMIT", text: "Too many literals in one command"}
	faultBigString = &fault{kind: "NO", code: "TOOBIG", text: "Literals are limited to 4096 bytes in this place"}
	faultNonSync   = &fault{kind: "BAD", code: "TOOBIG", text: "Non-synchronizing literals are limited to 4096 bytes"}
	faultMessage   = &fault{kind: "NO", code: "TOOBIG", text: "The message is larger than this server takes"}
	faultEmpty     = &fault{kind: "NO", code: "CANNOT", text: "An empty message cannot be appended"}
	faultMulti     = &fault{kind: "BAD", text: "One message may be appended at a time, and the command ends after it"}
	faultID        = &fault{kind: "BAD", text: "ID takes NIL or a list of at most 30 names and values"}
)
