package imapd

import "sync"

// inputSize is how much is read from the client at a time while a command is coming in.
const inputSize = 4 << 10

var inputPool = sync.Pool{New: func() any { return new([inputSize]byte) }}

// An input is the client's byte stream. It waits for a command with one byte and borrows a buffer when that byte is
// there, so an idle connection holds none.
type input struct {
	receive func(p []byte) (int, error) // blocks; returns at least one byte or an error
	prompt  func() error                // sends the client a continuation request
	buf     *[inputSize]byte
	r, w    int
	one     [1]byte
}

// fill blocks until at least one more byte is buffered.
func (in *input) fill() error {
	if in.buf == nil {
		if _, err := in.receive(in.one[:]); err != nil {
			return err
		}
		in.buf = inputPool.Get().(*[inputSize]byte)
		in.buf[0] = in.one[0]
		in.r, in.w = 0, 1
		return nil
	}
	if in.w == len(in.buf) {
		in.w = copy(in.buf[:], in.buf[in.r:in.w])
		in.r = 0
	}
	n, err := in.receive(in.buf[in.w:])
	in.w += n
	return err
}

// next consumes one byte.
func (in *input) next() (byte, error) {
	if in.r == in.w {
		if in.buf != nil {
			in.r, in.w = 0, 0
		}
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	b := in.buf[in.r]
	in.r++
	return b, nil
}

// back unreads the byte that next returned last.
func (in *input) back() { in.r-- }

// peek returns the byte i places ahead without consuming anything; i is small.
func (in *input) peek(i int) (byte, error) {
	for in.r+i >= in.w {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	return in.buf[in.r+i], nil
}

// drop consumes n bytes that peek has shown.
func (in *input) drop(n int) { in.r += n }

// read consumes up to len(p) bytes. What is not buffered goes straight from the connection to p.
func (in *input) read(p []byte) (int, error) {
	if in.r < in.w {
		n := copy(p, in.buf[in.r:in.w])
		in.r += n
		return n, nil
	}
	in.release()
	return in.receive(p)
}

// discard consumes n bytes.
func (in *input) discard(n int64) error {
	for n > 0 {
		if in.r == in.w {
			in.r, in.w = 0, 0
			if err := in.fill(); err != nil {
				return err
			}
		}
		k := min(n, int64(in.w-in.r))
		in.r += int(k)
		n -= k
	}
	return nil
}

// release gives an empty buffer back. Bytes that the client sent ahead of time keep theirs: they would be lost.
func (in *input) release() {
	if in.buf != nil && in.r == in.w {
		inputPool.Put(in.buf)
		in.buf, in.r, in.w = nil, 0, 0
	}
}
