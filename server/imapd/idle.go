package imapd

// readDone waits for the line that ends IDLE. RFC 9051, section 6.3.13: DONE and nothing else, because a server could
// not tell a command from it. Ours can: anything else ends the IDLE as DONE would and is then a command of its own, so
// that a client which forgot gets a tagged reply to each of the two.
func (g *guard) readDone() error {
	g.rest()
	g.deadline = g.idleDeadline()
	const done = "DONE\r\n"
	length := 0
	for length < len(done) {
		b, err := g.in.peek(length)
		if err != nil {
			// Told of the end, the library would close the session without waiting for its Idle, which may not even
			// have begun. Told DONE, it waits; its OK goes nowhere, and then it learns of the end.
			g.pending = []byte(done)
			return nil
		}
		g.hurry()
		if isLetter(b) {
			b &^= 0x20
		}
		if b != done[length] {
			break
		}
		length++
	}
	if length == len(done) {
		g.in.drop(length)
	}
	g.pending, g.phase = []byte(done), phaseRunning
	return nil
}
