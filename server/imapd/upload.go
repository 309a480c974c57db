package imapd

import "errors"

// errRefused ends the library's reading of a message whose command is refused.
var errRefused = errors.New("imapd: the command was refused")

// readMessage gives the library the message of an APPEND. The last byte is held back until the command is seen to end
// after it: a session stores when it has read everything, and must not for a client that has gone or one that goes on
// with a second message (MULTIAPPEND, RFC 3502, which the library would store in part and not answer).
func (g *guard) readMessage(p []byte) (int, error) {
	m := g.message
	if m.left > 1 {
		n, err := g.in.read(p[:min(int64(len(p)), m.left-1)])
		m.left -= int64(n)
		return n, err
	}
	last, err := g.in.next()
	if err != nil {
		return 0, err
	}
	ends, err := g.messageEnds(m)
	if err != nil {
		return 0, err
	}
	if !ends {
		return 0, g.abandon()
	}
	m.left = 0
	g.tail = [3]byte{last, '\r', '\n'}
	g.pending, g.phase = g.tail[:], phaseRunning
	return 0, nil
}

// messageEnds says whether the end of the command is next, and consumes it if so.
func (g *guard) messageEnds(m *upload) (bool, error) {
	end := "\r\n"
	if m.utf8 {
		end = ")\r\n"
	}
	for i := range len(end) {
		b, err := g.in.peek(i)
		if err != nil {
			return false, err
		}
		if b != end[i] {
			return false, nil
		}
	}
	g.in.drop(len(end))
	return true, nil
}

// abandon reads the rest of a command that goes on after its message. The error that it returns makes the session give
// up; the library, which does not answer such a command, comes back through SetReadDeadline and abandoned.
func (g *guard) abandon() error {
	g.phase = phaseAbandoned
	x, err := g.skip(0, faultMulti)
	if err != nil {
		return err
	}
	if x.fault.lost {
		return g.refuse(x.fault, g.out.state().tag)
	}
	g.why = x.fault
	return errRefused
}

// abandoned answers the command in the library's stead.
func (g *guard) abandoned() error {
	t := g.out.state()
	f := g.why
	g.phase, g.message, g.why = phaseReady, nil, nil
	if f == nil || t.answered {
		return nil
	}
	return g.refuse(f, t.tag)
}

// skipMessage reads a non-synchronising message, and the rest of its command, that the library has refused already.
func (g *guard) skipMessage(m *upload) error {
	x, err := g.skip(m.left, faultMulti)
	if err == nil && x.fault.lost {
		err = g.end(RefusedFraming, x.fault.text, true)
	}
	return err
}

// skip reads size bytes of a literal and what follows of its command, to throw them away. f is what is wrong with it.
func (g *guard) skip(size int64, f *fault) (*lexer, error) {
	g.hurry()
	x := &lexer{in: &g.in, stranger: !g.member, fault: f, known: true, spent: size}
	if err := g.in.discard(size); err != nil {
		return nil, err
	}
	return x, x.command()
}
