package message

import (
	"bytes"
	"io"
	"sync"
)

// window is the size of the scanner's buffer, and with it the memory that a
// message of any size costs. A delimiter line must fit.
const window = 64 << 10

var windows = sync.Pool{New: func() any { return new([window]byte) }}

// A scanner reads a message once, front to back, as lines. A line ends in
// CRLF, LF, or CR: software that reads mail disagrees on the bare ones
// (Python's email package ends a header line at each of them), and a field
// that some reader sees must not escape us. A line longer than the window
// comes in pieces.
type scanner struct {
	r    io.ReaderAt
	size int64

	buf      *[window]byte
	base     int64 // offset in the message of buf[0]
	pos, end int   // unread part of buf
	lf       int   // index of the first LF at or after pos; end when there is none
	eof      bool  // nothing behind end

	text  []byte // of the current piece, without line end; good until the next call
	at    int    // its index in buf
	term  int    // length of its line end; 0: more pieces follow, or the message ends
	start bool   // it begins a line
	lines int64  // line ends before the piece

	length   int64 // of the current line up to the piece's end
	prevLen  int64 // of the line before
	prevTerm int   // length of that line's end

	defects Defects
}

func newScanner(r io.ReaderAt, size int64) scanner {
	s := scanner{r: r, size: max(size, 0), buf: windows.Get().(*[window]byte), lf: -1, start: true}
	s.eof = s.size == 0
	// The state after a line that never was, so that the first piece begins one.
	s.term, s.lines = 1, -1
	return s
}

func (s *scanner) release() { windows.Put(s.buf) }

// next moves to the next piece and reports whether there is one.
func (s *scanner) next() bool {
	for {
		n, term := s.lineEnd()
		if term > 0 {
			s.emit(n, term)
			return true
		}
		switch {
		case s.eof:
			if s.pos == s.end {
				return false
			}
			s.emit(s.end-s.pos, 0)
			return true
		case s.pos == 0 && s.end == window:
			// A long line. A CR at its very end waits for what follows it.
			n = window
			if s.buf[window-1] == '\r' {
				n--
			}
			s.emit(n, 0)
			return true
		}
		s.fill()
	}
}

// lineEnd finds the end of the line at pos: the length of its text and of its
// end, which is 0 when the window does not show it.
func (s *scanner) lineEnd() (n, term int) {
	if s.lf < s.pos {
		s.findLF(s.pos)
	}
	n = bytes.IndexByte(s.buf[s.pos:s.lf], '\r')
	switch {
	case n < 0 && s.lf == s.end:
		return 0, 0
	case n < 0:
		s.defects |= DefectBareLF
		return s.lf - s.pos, 1
	case s.pos+n+1 == s.lf && s.lf < s.end:
		return n, 2
	case s.pos+n+1 == s.end && !s.eof:
		return 0, 0 // an LF may follow
	}
	s.defects |= DefectBareCR
	return n, 1
}

func (s *scanner) findLF(from int) {
	s.lf = s.end
	if i := bytes.IndexByte(s.buf[from:s.end], '\n'); i >= 0 {
		s.lf = from + i
	}
}

func (s *scanner) emit(n, term int) {
	if s.start = s.term > 0; s.start {
		s.lines++
		s.prevLen, s.prevTerm = s.length, s.term
		s.length = 0
	}
	s.at, s.text, s.term = s.pos, s.buf[s.pos:s.pos+n], term
	if s.length += int64(n); s.length > 998 {
		s.defects |= DefectLongLine
	}
	s.pos += n + term
}

// unread puts the current piece, the first of its line, back.
func (s *scanner) unread() {
	s.pos = s.at
	s.lines--
	s.length, s.term = s.prevLen, s.prevTerm
}

// fill moves what is unread to the front of the window and reads behind it.
func (s *scanner) fill() {
	copy(s.buf[:], s.buf[s.pos:s.end])
	s.base += int64(s.pos)
	s.end -= s.pos
	s.lf -= s.pos
	s.pos = 0
	old := s.end
	want := min(int64(window-old), s.size-s.base-int64(old))
	n, _ := s.r.ReadAt(s.buf[old:old+int(want)], s.base+int64(old))
	s.end += n
	if int64(n) < want {
		// A short read has an error, which the caller meets again when it reads.
		s.eof = true
		s.defects |= DefectReadFailed
	} else if s.base+int64(s.end) == s.size {
		s.eof = true
	}
	if s.lf == old {
		s.findLF(old)
	}
	if bytes.IndexByte(s.buf[old:s.end], 0) >= 0 {
		s.defects |= DefectNUL
	}
}

// offset is the place in the message of the next piece.
func (s *scanner) offset() int64 { return s.base + int64(s.pos) }

// lineOffset is the place in the message of the current piece.
func (s *scanner) lineOffset() int64 { return s.base + int64(s.at) }

// ended counts the lines that ended before the next piece.
func (s *scanner) ended() int64 {
	if s.term > 0 {
		return s.lines + 1
	}
	return s.lines
}
