package imapd

// readSASL takes one line of a SASL exchange: base64, or "*" to cancel. The library's reader takes the rest of a line
// over 4 KiB for a command, so one that is too long or is not base64 cancels the exchange too.
func (g *guard) readSASL() error {
	g.rest()
	g.hurry()
	line, f, err := g.saslLine()
	if err != nil {
		return err
	}
	if f != nil {
		return g.refuse(f, g.out.state().tag)
	}
	g.pending, g.phase = append(line, '\r', '\n'), phaseRunning
	return nil
}

// saslLine returns the line without its end.
func (g *guard) saslLine() (line []byte, f *fault, err error) {
	for n := range maxStrangerSpent {
		b, err := g.in.next()
		if err != nil {
			return nil, nil, err
		}
		switch {
		case b == '\r':
			if b, err = g.in.next(); err != nil {
				return nil, nil, err
			}
			if b != '\n' {
				return nil, faultLineEnd, nil
			}
			return line, nil, nil
		case b == '\n':
			return nil, faultLineEnd, nil
		case b == 0:
			return nil, faultNUL, nil
		case b == '*' && n == 0:
			line = append(line, b)
		case n < maxSASL && isBase64(b) && (n == 0 || line[0] != '*'):
			line = append(line, b)
		default:
			line = append(line[:0], '*')
		}
	}
	return nil, faultSpent, nil
}

func isBase64(b byte) bool {
	return isLetter(b) || '0' <= b && b <= '9' || b == '+' || b == '/' || b == '='
}
