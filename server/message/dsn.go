package message

import (
	"bytes"
	"crypto/rand"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A DSN is a delivery status notification (RFC 3464) about one message. It
// carries status codes, our words for them, the addresses that the sender
// wrote, and the sender's own header. Nothing that a remote server said gets
// in, be it a reply's text or a host name: an agent reads the notice, and that
// text could be meant for it.
type DSN struct {
	From         Path   // ours, such as postmaster@example.com
	To           Path   // return path of the original
	ReportingMTA string // our host name
	MessageID    string // of the notice, with its angle brackets
	EnvelopeID   string // ENVID of the original (RFC 3461); may be empty
	Arrival      time.Time
	Time         time.Time // of the notice
	Recipients   []DSNRecipient
	Header       []byte // top header of the original; at most 16 KiB of it are quoted
	Notice       string // NoticeRejected or NoticeExpired: people ended it, and no server; empty otherwise
}

// A DSNRecipient is what became of one recipient.
type DSNRecipient struct {
	Final          Path
	Original       Path // ORCPT (RFC 3461); may be zero
	Action         DSNAction
	Status         string    // RFC 3463, "5.1.1"; anything else becomes x.0.0
	ReplyCode      int       // of the remote server, 200 to 599; 0 when none answered
	LastAttempt    time.Time // may be zero
	WillRetryUntil time.Time // of ActionDelayed; may be zero
}

// A DSNAction is the action field of RFC 3464, section 2.3.3.
type DSNAction uint8

// The actions.
const (
	ActionFailed DSNAction = iota + 1
	ActionDelayed
	ActionDelivered
	ActionRelayed
	ActionExpanded
)

var dsnActions = [...]struct{ name, subject, text, class string }{
	{},
	{"failed", "Mail could not be delivered", "could not be delivered", "5"},
	{"delayed", "Mail is delayed", "has not been delivered yet; delivery is still being tried", "4"},
	{"delivered", "Mail was delivered", "was delivered", "2"},
	{"relayed", "Mail was relayed", "was handed to a server that sends no notices of its own", "2"},
	{"expanded", "Mail was delivered to a list", "was delivered to a list", "2"},
}

func (a DSNAction) valid() bool { return a >= ActionFailed && a <= ActionExpanded }

// String is the word of RFC 3464.
func (a DSNAction) String() string {
	if !a.valid() {
		a = ActionFailed
	}
	return dsnActions[a].name
}

const maxQuotedHeader = 16 << 10

// Bytes writes the notice: a multipart/report (RFC 6522) of a text for people,
// the delivery status, and the original's header. With an address outside
// ASCII it takes the forms of RFC 6533.
func (d DSN) Bytes() []byte {
	boundary := rand.Text()
	global := !d.From.IsASCII() || !d.To.IsASCII()
	for _, r := range d.Recipients {
		global = global || !r.Final.IsASCII() || !r.Original.IsASCII()
	}
	b := d.appendHeader(nil, boundary)
	b = appendPartHead(b, boundary, "text/plain; charset=utf-8", global)
	b = d.appendText(b)
	b = appendPartHead(b, boundary, pick(global, "message/global-delivery-status", "message/delivery-status"), global)
	b = d.appendStatus(b, global)
	header := quoteHeader(d.Header)
	b = appendPartHead(b, boundary, pick(global, "message/global-headers", "text/rfc822-headers; charset=utf-8"),
		!isASCII(string(header)))
	b = append(b, header...)
	return append(append(append(b, "\r\n--"...), boundary...), "--\r\n"...)
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

func (d DSN) appendHeader(b []byte, boundary string) []byte {
	action := ActionFailed
	if len(d.Recipients) > 0 && d.Recipients[0].Action.valid() {
		action = d.Recipients[0].Action
	}
	for _, r := range d.Recipients {
		if r.Action == ActionFailed {
			action = ActionFailed
		}
	}
	b = AppendField(b, "From", "Mail Delivery System <"+d.From.String()+">")
	b = AppendField(b, "To", "<"+d.To.String()+">")
	b = AppendField(b, "Subject", orElse(decisions[d.Notice].subject, dsnActions[action].subject))
	b = AppendField(b, "Date", string(AppendDate(nil, d.Time)))
	b = AppendField(b, "Message-ID", d.MessageID)
	if id := originalID(d.Header); id != "" {
		b = AppendField(b, "In-Reply-To", id)
		b = AppendField(b, "References", id)
	}
	b = AppendField(b, "Auto-Submitted", AutoReplied)
	b = AppendField(b, "MIME-Version", "1.0")
	b = AppendField(b, "Content-Type", "multipart/report; report-type=delivery-status; boundary="+boundary)
	return b
}

// originalID is the Message-ID of the original when it has the form of one.
func originalID(header []byte) string {
	if id, _ := Lookup(header, "message-id"); isMessageID(id) {
		return id
	}
	return ""
}

func isMessageID(id string) bool {
	return len(id) >= 5 && len(id) <= 250 && isASCII(id) && id[0] == '<' && strings.IndexByte(id, '>') == len(id)-1 &&
		!strings.ContainsAny(id, " \t") && strings.Count(id, "@") == 1
}

// decisions are our words for what people decided about a message.
var decisions = map[string]struct{ subject, why string }{
	NoticeRejected: {"Mail was rejected", "It waited for approval, and was rejected. It is in Drafts."},
	NoticeExpired:  {"Mail was not approved in time", "It waited for approval, and nobody decided in time. It is in Drafts."},
}

func appendPartHead(b []byte, boundary, mediaType string, eightBit bool) []byte {
	b = append(append(append(b, "\r\n--"...), boundary...), "\r\n"...)
	b = AppendField(b, "Content-Type", mediaType)
	b = AppendField(b, "Content-Transfer-Encoding", pick(eightBit, "8bit", "7bit"))
	return append(b, "\r\n"...)
}

// appendText says in plain words what happened.
func (d DSN) appendText(b []byte) []byte {
	b = append(b, "This is the mail server at "...)
	b = append(b, traceWord(d.ReportingMTA)...)
	b = append(b, ".\r\n"...)
	for _, r := range d.Recipients {
		status := r.status()
		b = append(append(append(b, "\r\nYour message to <"...), strings.Map(printable, r.Final.String())...), ">\r\n"...)
		b = append(append(b, dsnActions[r.action()].text...), ".\r\n"...)
		if why := orElse(decisions[d.Notice].why, explain(status)); why != "" {
			b = append(append(b, why...), "\r\n"...)
		}
		b = append(append(append(b, "(Status "...), status...), r.replyText()...)
		b = append(b, ".)\r\n"...)
	}
	return append(b, "\r\nThe other parts of this notice are the status in a form for programs, and the\r\nheader of your message.\r\n"...)
}

func (r DSNRecipient) action() DSNAction {
	if r.Action.valid() {
		return r.Action
	}
	return ActionFailed
}

func (r DSNRecipient) replyText() string {
	if r.ReplyCode < 200 || r.ReplyCode > 599 {
		return ""
	}
	return ", reply " + strconv.Itoa(r.ReplyCode)
}

// status is the status code when it is one and fits the action.
func (r DSNRecipient) status() string {
	class := dsnActions[r.action()].class
	parts := strings.Split(r.Status, ".")
	if len(parts) == 3 && parts[0] == class && isSubcode(parts[1]) && isSubcode(parts[2]) {
		return r.Status
	}
	if len(parts) == 3 && r.action() == ActionFailed && parts[0] == "4" && isSubcode(parts[1]) && isSubcode(parts[2]) {
		return r.Status // RFC 3463, section 2: given up on a transient failure
	}
	return class + ".0.0"
}

// isSubcode reports whether s is a subject or detail (RFC 3463, section 2).
func isSubcode(s string) bool {
	return len(s) >= 1 && len(s) <= 3 && allDigits(s) && (s == "0" || s[0] != '0')
}

// explanations are our words for status codes, without their class (RFC 3463,
// and the IANA registry of enhanced status codes).
var explanations = map[string]string{
	"1.1":  "There is no such address.",
	"1.2":  "The domain of the address does not exist.",
	"1.3":  "The address is malformed.",
	"1.6":  "The mailbox has moved and left no address.",
	"1.10": "The domain does not accept mail.",
	"2.0":  "The mailbox cannot take mail.",
	"2.1":  "The mailbox is disabled.",
	"2.2":  "The mailbox is full.",
	"2.3":  "The message is larger than the mailbox accepts.",
	"3.4":  "The message is larger than the server accepts.",
	"4.1":  "The server for this address does not answer.",
	"4.2":  "The connection to the server for this address kept failing.",
	"4.4":  "No server for this address could be found.",
	"4.6":  "The message went round in a loop.",
	"4.7":  "Delivery was tried until its time was over.",
	"6.7":  "The server for this address does not accept addresses outside ASCII.",
	"7.0":  "The server for this address refuses the message by its policy.",
	"7.1":  "The server for this address refuses the message by its policy.",
	"7.10": "A server had to be reached over a safe connection and could not.",
}

var explanationsBySubject = map[string]string{
	"1": "There is something wrong with the address.",
	"2": "The mailbox does not accept the message.",
	"3": "The server for this address does not accept the message.",
	"4": "The server for this address could not be reached.",
	"5": "The servers did not understand each other.",
	"6": "The server for this address does not accept the message's form.",
	"7": "The server for this address refuses the message for reasons of security or policy.",
}

func explain(status string) string {
	if status[0] == '2' {
		return ""
	}
	code := status[2:]
	if text, ok := explanations[code]; ok {
		return text
	}
	subject, _, _ := strings.Cut(code, ".")
	return orElse(explanationsBySubject[subject], "The server gave no closer reason.")
}

// appendStatus writes the machine's part (RFC 3464, section 2).
func (d DSN) appendStatus(b []byte, global bool) []byte {
	typ := pick(global, "utf-8; ", "rfc822; ") // RFC 6533, section 3
	if d.EnvelopeID != "" {
		b = AppendField(b, "Original-Envelope-Id", traceText(d.EnvelopeID))
	}
	b = AppendField(b, "Reporting-MTA", "dns; "+traceWord(d.ReportingMTA))
	if !d.Arrival.IsZero() {
		b = AppendField(b, "Arrival-Date", string(AppendDate(nil, d.Arrival)))
	}
	for _, r := range d.Recipients {
		b = append(b, "\r\n"...)
		if !r.Original.IsNull() {
			b = AppendField(b, "Original-Recipient", typ+r.Original.String())
		}
		b = AppendField(b, "Final-Recipient", typ+r.Final.String())
		b = AppendField(b, "Action", r.Action.String())
		b = AppendField(b, "Status", r.status())
		if r.replyText() != "" {
			b = AppendField(b, "Diagnostic-Code", "smtp; "+strconv.Itoa(r.ReplyCode))
		}
		if !r.LastAttempt.IsZero() {
			b = AppendField(b, "Last-Attempt-Date", string(AppendDate(nil, r.LastAttempt)))
		}
		if r.Action == ActionDelayed && !r.WillRetryUntil.IsZero() {
			b = AppendField(b, "Will-Retry-Until", string(AppendDate(nil, r.WillRetryUntil)))
		}
	}
	return b
}

// quoteHeader is the header as it can stand in a part: whole fields, CRLF, no
// line over 998 bytes, no control characters, UTF-8.
func quoteHeader(header []byte) []byte {
	var b []byte
	for f := range Fields(header) {
		if len(f.Name) == 0 || !isASCII(string(f.Name)) || f.Span.Len() > 4<<10 {
			continue
		}
		var field []byte
		l := liner{b: header[f.Span.Start:f.Span.End], lf: -1}
		for line, ok := l.next(); ok; line, ok = l.next() {
			field = append(append(field, bytes.Map(printable, line[:min(len(line), 990)])...), "\r\n"...)
		}
		if len(b)+len(field) > maxQuotedHeader {
			break
		}
		b = append(b, field...)
	}
	return b
}

func printable(r rune) rune {
	if r < ' ' && r != '\t' || r == 0x7f || r == utf8.RuneError {
		return '?'
	}
	return r
}
