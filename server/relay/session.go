package relay

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postern/server/queue"
)

// goodbye is how long QUIT may take. Everything is decided by then.
const goodbye = 2 * time.Second

// session is a connection to one host, past its greeting and EHLO.
type session struct {
	ctx      context.Context
	timeouts Timeouts
	conn     net.Conn
	stop     func() bool // ends the watch over ctx
	br       *bufio.Reader
	bw       *bufio.Writer
	ext      map[string]string // extensions: keyword in upper case to parameters
	tls      TLS
	proof    string // what authenticated the host
	failure  string // what TLS reports call what is wrong, though not so wrong that we left
}

// open connects, greets, protects and, with a smart host, authenticates.
// Without terms, STARTTLS is not used even when offered.
func (r *Relay) open(ctx context.Context, h hop, addr netip.AddrPort, t *terms) (*session, *fault) {
	dialer := net.Dialer{Timeout: r.config.Timeouts.Connect}
	conn, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		if ctx.Err() != nil {
			return nil, faultOf(ctx, err)
		}
		f := temporary(Unreachable, "4.4.1")
		f.absent = true
		return nil, f
	}
	s := &session{ctx: ctx, timeouts: r.config.Timeouts, conn: conn, proof: queue.ProofNone}
	// A deadline in the past ends whatever waits when the caller gives up.
	s.stop = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	s.attach(conn)
	if f := r.greet(s, h, t); f != nil {
		s.drop()
		return nil, f
	}
	return s, nil
}

func (s *session) attach(conn net.Conn) {
	s.conn = conn
	s.br = bufio.NewReaderSize(conn, maxReplyLine)
	s.bw = bufio.NewWriterSize(blockWriter{s}, 16<<10)
}

func (r *Relay) greet(s *session, h hop, t *terms) *fault {
	if h.smart != nil && h.smart.ImplicitTLS {
		if f := s.handshake(r.config.Roots, t); f != nil {
			return f
		}
	}
	greeting, err := s.read(s.timeouts.Greeting)
	if err != nil {
		f := faultOf(s.ctx, err)
		f.absent = !f.final
		return f
	}
	if greeting.code != 220 {
		// RFC 5321, section 3.1; RFC 7504 for 521. Another host may be willing.
		return refusal(greeting)
	}
	if f := s.hello(r.config.Hostname); f != nil {
		return f
	}
	_, offered := s.ext["STARTTLS"]
	switch {
	case s.tls.Version != "":
	case t == nil:
	case !offered && t.demand != "":
		// Not offered, or somebody between us took the offer away.
		return insecure("4.7.4", failNoSTARTTLS)
	case !offered:
		s.failure = failNoSTARTTLS
	default:
		if f := s.startTLS(r.config.Roots, t); f != nil {
			return f
		}
		// RFC 3207, section 4.2: forget what was said in clear.
		if f := s.hello(r.config.Hostname); f != nil {
			return f
		}
	}
	if h.smart != nil && h.smart.Username != "" {
		return s.authenticate(h.smart.Username, h.smart.Password)
	}
	return nil
}

// hello says EHLO, and HELO to those who do not know it (RFC 5321, section 3.2).
func (s *session) hello(name string) *fault {
	s.ext = make(map[string]string)
	r, err := s.command(s.timeouts.Command, "EHLO "+name)
	if err == nil && r.code/100 == 5 {
		r, err = s.command(s.timeouts.Command, "HELO "+name)
		r.lines = nil
	}
	if err != nil {
		return faultOf(s.ctx, err)
	}
	if r.code != 250 {
		return refusal(r)
	}
	for i, line := range r.lines {
		if i > 0 { // the first names the host
			keyword, params, _ := strings.Cut(strings.TrimSpace(line), " ")
			s.ext[strings.ToUpper(keyword)] = params
		}
	}
	return nil
}

func (s *session) offers(extension string) bool {
	_, ok := s.ext[extension]
	return ok
}

// maxSize is the peer's limit of RFC 1870, 0 when it named none.
func (s *session) maxSize() int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s.ext["SIZE"]), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// command sends one line and reads its reply. Nothing is sent after it before
// the reply is there.
func (s *session) command(wait time.Duration, line string) (reply, error) {
	if err := s.send(line); err != nil {
		return reply{}, err
	}
	if err := s.bw.Flush(); err != nil {
		return reply{}, err
	}
	return s.read(wait)
}

// send puts a line into the buffer.
func (s *session) send(line string) error {
	_, err := s.bw.WriteString(line + "\r\n")
	return err
}

// read reads one whole reply within wait.
func (s *session) read(wait time.Duration) (reply, error) {
	s.deadline(wait)
	return readReply(s.br)
}

// deadline bounds what comes next, unless the caller has given up already.
func (s *session) deadline(wait time.Duration) {
	s.conn.SetDeadline(time.Now().Add(wait))
	if s.ctx.Err() != nil {
		s.conn.SetDeadline(time.Unix(1, 0))
	}
}

// blockWriter gives each block its own deadline (RFC 5321, section 4.5.3.2.5).
type blockWriter struct{ s *session }

func (w blockWriter) Write(p []byte) (int, error) {
	w.s.deadline(w.s.timeouts.DataBlock)
	return w.s.conn.Write(p)
}

// close says goodbye and ends the connection.
func (s *session) close() {
	if s.bw.Buffered() == 0 { // otherwise we stopped in the middle of something
		s.conn.SetDeadline(time.Now().Add(goodbye))
		if _, err := s.conn.Write([]byte("QUIT\r\n")); err == nil {
			readReply(s.br)
		}
	}
	s.drop()
}

// drop ends the connection without a word.
func (s *session) drop() {
	s.stop()
	s.conn.Close()
}
