package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"postern/dkim"
	"postern/server/message"
)

// transact hands the message to a host that has greeted us. A fault leaves the
// recipients that are still open to the next host, unless it is final.
func (a *attempt) transact(ctx context.Context, s *session) *fault {
	if f := a.sign(); f != nil {
		return f
	}
	if f := a.demand(s); f != nil {
		return f
	}
	if len(a.open) == 0 {
		return nil
	}
	accepted, f := a.envelope(ctx, s)
	if f != nil || len(accepted) == 0 {
		return f
	}
	r, err := s.command(s.timeouts.DataStart, "DATA")
	if err != nil {
		return faultOf(ctx, err)
	}
	if r.code != 354 {
		f := refusal(r)
		for _, i := range accepted {
			a.decide(i, f)
		}
		return nil
	}
	return a.data(ctx, s, accepted)
}

// sign makes the fields to put in front, once per attempt.
func (a *attempt) sign() *fault {
	if a.signed || a.m.Sign == nil {
		return nil
	}
	prefix, err := a.m.Sign()
	switch {
	case errors.Is(err, dkim.ErrMessage):
		return permanent(BadMessage, 0, "5.6.0")
	case err != nil:
		f := temporary(LocalFailure, "4.3.0")
		f.final = true
		return f
	}
	if len(prefix) > 0 && !bytes.HasSuffix(prefix, []byte("\r\n")) {
		f := temporary(LocalFailure, "4.3.0")
		f.final = true
		return f
	}
	a.prefix, a.signed = prefix, true
	return nil
}

// demand compares what the message needs with what the host offers, before
// anything is sent. See the package comment for why nothing is converted.
func (a *attempt) demand(s *session) *fault {
	size := a.m.Size + int64(len(a.prefix))
	if a.m.RequireTLS && !s.offers("REQUIRETLS") {
		f := permanent(NoRequireTLS, 0, "5.7.30") // RFC 8689, section 4.2.1
		f.final = false                           // another host may
		return f
	}
	switch limit := s.maxSize(); {
	case limit > 0 && size > limit:
		return permanent(TooLarge, 552, "5.3.4") // RFC 1870, section 6.1
	case a.m.EightBit && !s.offers("8BITMIME"):
		return permanent(NoEightBit, 0, "5.6.3") // RFC 6152, section 3
	case s.offers("SMTPUTF8"):
		return nil
	case a.m.UTF8 || !wire(a.m.From).IsASCII():
		return permanent(NoUTF8, 553, "5.6.7") // RFC 6531, section 3.5
	}
	for _, i := range append([]int(nil), a.open...) {
		if !wire(a.m.To[i]).IsASCII() {
			a.decide(i, permanent(NoUTF8, 553, "5.6.7"))
		}
	}
	return nil
}

// mail is the MAIL command with the parameters that the host understands.
func (a *attempt) mail(s *session) string {
	var b strings.Builder
	b.WriteString("MAIL FROM:<" + wire(a.m.From).String() + ">")
	if s.offers("SIZE") {
		b.WriteString(" SIZE=" + strconv.FormatInt(a.m.Size+int64(len(a.prefix)), 10))
	}
	if a.m.EightBit {
		b.WriteString(" BODY=8BITMIME")
	}
	if a.needsUTF8() {
		b.WriteString(" SMTPUTF8")
	}
	if a.m.RequireTLS {
		b.WriteString(" REQUIRETLS") // RFC 8689, section 2
	}
	return b.String()
}

func (a *attempt) needsUTF8() bool {
	if a.m.UTF8 || !wire(a.m.From).IsASCII() {
		return true
	}
	for _, i := range a.open {
		if !wire(a.m.To[i]).IsASCII() {
			return true
		}
	}
	return false
}

// envelope sends MAIL and RCPT, in one go where the host allows it (RFC 2920),
// and returns the recipients that it accepted. Refused ones are decided. MAIL
// being refused leaves everybody open to the next host.
func (a *attempt) envelope(ctx context.Context, s *session) (accepted []int, f *fault) {
	asked := append([]int(nil), a.open...)
	pipelining := s.offers("PIPELINING")
	if err := s.send(a.mail(s)); err != nil {
		return nil, faultOf(ctx, err)
	}
	if pipelining {
		for _, i := range asked {
			if err := s.send(rcpt(a.m.To[i])); err != nil {
				return nil, faultOf(ctx, err)
			}
		}
	}
	if err := s.bw.Flush(); err != nil {
		return nil, faultOf(ctx, err)
	}
	r, err := s.read(s.timeouts.Command)
	if err != nil {
		return nil, faultOf(ctx, err)
	}
	if r.code/100 != 2 {
		f := refusal(r)
		f.final = f.outcome == Permanent // about the message, not the host
		return nil, f
	}
	for _, i := range asked {
		if pipelining {
			r, err = s.read(s.timeouts.Command)
		} else {
			r, err = s.command(s.timeouts.Command, rcpt(a.m.To[i]))
		}
		if err != nil {
			return nil, faultOf(ctx, err)
		}
		if r.code/100 == 2 {
			accepted = append(accepted, i)
		} else {
			a.decide(i, refusedRecipient(r))
		}
	}
	return accepted, nil
}

func rcpt(p message.Path) string { return "RCPT TO:<" + wire(p).String() + ">" }

// refusedRecipient reads 552 without a code of its own as "too many recipients",
// which RFC 5321, section 4.5.3.1.10 wants treated as 452.
func refusedRecipient(r reply) *fault {
	f := refusal(r)
	if r.code == 552 && (r.enhanced == "5.0.0" || r.enhanced == "5.5.3") {
		f.outcome, f.enhanced = Temporary, "4.5.3"
	}
	return f
}

// data sends the message and settles the recipients that were accepted.
func (a *attempt) data(ctx context.Context, s *session, accepted []int) *fault {
	b := newBody(s.bw)
	end, err := a.write(b)
	if err != nil {
		// Without the final dot nothing was accepted (RFC 5321, section 4.1.1.4),
		// so the connection is dropped in the middle of the message.
		s.drop()
		return dataFault(ctx, err)
	}
	// From here on the message may be accepted without our knowing.
	var r reply
	if _, err = s.bw.WriteString(end); err == nil {
		if err = s.bw.Flush(); err == nil {
			r, err = s.read(s.timeouts.DataEnd)
		}
	}
	f := &fault{outcome: Delivered, reason: Accepted, code: r.code, enhanced: r.enhanced, text: r.text}
	switch {
	case err != nil:
		f = faultOf(ctx, err)
		f.uncertain, f.final = true, true
	case r.code/100 == 2:
	default:
		f = refusal(r)
		f.uncertain = f.reason == Protocol
	}
	for _, i := range accepted {
		a.results[i].BytesSent, a.results[i].SHA256 = b.n, b.sum()
		a.decide(i, f)
	}
	return nil
}

// errSource marks a failure to read the message, which is ours.
type errSource struct{ error }

// write sends all but the final dot, and returns that.
func (a *attempt) write(b *body) (end string, err error) {
	if _, err := b.Write(a.prefix); err != nil {
		return "", err
	}
	buf := make([]byte, min(max(a.m.Size, 1), 32<<10))
	for off := int64(0); off < a.m.Size; {
		n, err := a.m.Data.ReadAt(buf[:min(int64(len(buf)), a.m.Size-off)], off)
		if n == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return "", errSource{err}
		}
		off += int64(n)
		if _, err := b.Write(buf[:n]); err != nil {
			return "", err
		}
	}
	return b.finish()
}

// dataFault judges a failure before the final dot.
func dataFault(ctx context.Context, err error) *fault {
	var source errSource
	switch {
	case errors.Is(err, errBareLine):
		return permanent(BadMessage, 0, "5.6.0")
	case errors.As(err, &source) && ctx.Err() == nil:
		f := temporary(LocalFailure, "4.3.0")
		f.final = true
		return f
	}
	return faultOf(ctx, err)
}
