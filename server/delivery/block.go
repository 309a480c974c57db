package delivery

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/server/msgauth"
)

// block is the header block that stands in front of the message in every view of
// it. All recipients of one message see the same, so that the recipient stands
// in Received only when there is one: others must not show (RFC 5321, section
// 7.2).
func (in *Inbound) block(m *mail) []byte {
	b := message.AppendReturnPath(nil, m.r.From)
	if m.r.With != "" { // RFC 5321, section 4.4; what was made here travelled over no hop
		received := message.Received{
			Helo: m.r.HELO, Addr: m.r.Remote.Addr(), By: in.o.Hostname, With: m.r.With,
			TLS: strings.TrimSpace(m.r.TLS + " " + m.r.Cipher), ID: m.id.String(), Time: in.o.Now().UTC(),
		}
		if len(m.r.To) == 1 {
			received.For = m.r.To[0].Path
		}
		b = received.Append(b)
	}
	b = m.auth.AppendField(b, in.o.Hostname)
	if m.r.notice != "" {
		b = message.AppendField(b, "Postern-Notice", m.r.notice)
	}
	return m.judgement.appendFields(b, m.id)
}

// appendFields appends what the message was judged as, in words of closed lists: never
// text of the message, which would speak to its reader from a place that is ours
// (AGENT-SIDE.md, section 4).
func (j Judgement) appendFields(b []byte, id uuid.UUID) []byte {
	verdict := "v=1; verdict=" + j.Word()
	if j.Model != "" {
		verdict += fmt.Sprintf("; score=%.2f; model=%s", j.Score, j.Model)
	}
	b = message.AppendField(b, "Postern-Verdict", verdict+"; id="+id.String())
	if reasons := j.Record().Reasons; len(reasons) > 0 {
		b = message.AppendField(b, "Postern-Reasons", strings.Join(reasons, ", "))
	}
	return b
}

func (in *Inbound) hides(f message.Field) bool { return Hides(f, in.o.Hostname) }

// Hides says which fields of a message that was not made here no view shows,
// whichever way it comes into a mailbox: those with which a stranger would speak
// as Postern or to an agent's tools, results of authentication in the name of
// this server, which is hostname (RFC 8601, section 5), and a return path other
// than the real one.
func Hides(f message.Field, hostname string) bool {
	switch {
	case f.HasPrefix("postern-"), f.HasPrefix("agent-"), f.Is("idempotency-key"), f.Is("return-path"):
		return true
	case f.Is("authentication-results"):
		return msgauth.Claims(f.Value(), hostname)
	}
	return false
}
