package message

import (
	"strings"
	"time"
)

// What a notice of this server is about, in its Postern-Notice field, beside the
// id that the agent was told: a program needs to read nothing else.
const (
	NoticeReleased = "released" // people let a held message go
	NoticeRejected = "rejected" // a person refused it
	NoticeExpired  = "expired"  // nobody decided in time
)

// A ReleaseNotice tells an agent that a message which waited for people goes out.
// It is no delivery status notification: nothing is known yet about its delivery.
// As a DSN it quotes nothing that came from outside.
type ReleaseNotice struct {
	From       Path // ours
	To         Path // return path of the message
	Host       string
	MessageID  string // of the notice
	Answers    string // Message-ID of the message
	Time, Held time.Time
	Recipients []string // envelope recipients, as the agent wrote them
}

// Bytes writes the notice.
func (n ReleaseNotice) Bytes() []byte {
	b := AppendField(nil, "From", "Mail Delivery System <"+n.From.String()+">")
	b = AppendField(b, "To", "<"+n.To.String()+">")
	b = AppendField(b, "Subject", "Mail was released")
	b = AppendField(b, "Date", string(AppendDate(nil, n.Time)))
	b = AppendField(b, "Message-ID", n.MessageID)
	if isMessageID(n.Answers) {
		b = AppendField(b, "In-Reply-To", n.Answers)
		b = AppendField(b, "References", n.Answers)
	}
	b = AppendField(b, "Auto-Submitted", AutoReplied)
	b = AppendField(b, "MIME-Version", "1.0")
	b = AppendField(b, "Content-Type", "text/plain; charset=utf-8")
	b = AppendField(b, "Content-Transfer-Encoding", "8bit")
	b = append(b, "\r\nThis is the mail server at "+traceWord(n.Host)+".\r\n\r\n"...)
	b = append(b, "Your message of "+string(AppendDate(nil, n.Held))+" waited for approval.\r\nIt was released and is on its way to\r\n\r\n"...)
	for _, to := range n.Recipients {
		b = append(b, "  <"+strings.Map(printable, to)+">\r\n"...)
	}
	return append(b, "\r\n(Status 2.7.0.)\r\n"...)
}
