package imapd

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/storage"
)

// panics counts what the library caught.
type panics struct {
	slog.Handler
	n *atomic.Int64
}

func (p panics) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "panic") {
		p.n.Add(1)
		r.Attrs(func(a slog.Attr) bool { println(a.String()); return true })
	}
	return nil
}
func (p panics) Enabled(context.Context, slog.Level) bool { return true }

// FuzzSession gives a logged-in session any bytes. Whatever they ask for, it does not panic, every command has one reply,
// and every response has the form of one.
func FuzzSession(f *testing.F) {
	for _, seed := range append(seeds, sessionSeeds...) {
		f.Add([]byte(seed))
	}
	h := newHome(f, nil)
	var caught atomic.Int64
	h.log = slog.New(panics{slog.DiscardHandler, &caught})
	names, texts := hostile(f)
	for i, text := range texts {
		if len(text) > 0 && len(text) < 100_000 && names[i] != "" {
			h.deposit(f, storage.RoleInbox, 0, text)
		}
	}
	c := &court{conns: make(chan net.Conn), done: make(chan struct{})}
	lib := newLibrary(h.newLibrarySession, h.log)
	go lib.Serve(c)
	f.Cleanup(func() { close(c.done) })
	limits := DefaultLimits()
	limits.Message = 10_000
	start := "l LOGIN " + supportAddress + " " + h.tokens["scout"] + "\r\ns SELECT INBOX\r\n"
	f.Fuzz(func(t *testing.T, in []byte) {
		given := false
		p := &peer{chunk: 1000, next: func([]byte) []byte {
			if given {
				return nil
			}
			given = true
			return append([]byte(start), in...)
		}}
		ended := make(chan struct{})
		c.conns <- guardConn(p, &limits, hooks{
			refused: func(r Refusal) {
				if r == RefusedConfused {
					t.Error("a command was not answered")
				}
			},
			closed: func() { close(ended) },
		})
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatal("the connection does not end")
		}
		if caught.Swap(0) > 0 {
			t.Error("a session panicked")
		}
		for _, r := range responses(p.sent) {
			if !wellFormed(r) {
				t.Errorf("the client got %q", r)
			}
		}
	})
}

var sessionSeeds = []string{
	"a FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY BODY.PEEK[]<1.2> BODY[HEADER.FIELDS.NOT (A B)] BINARY[1.2]<0.9> BINARY.SIZE[1] RFC822.TEXT)\r\n",
	"a FETCH 1:* FULL\r\nb UID FETCH 1:* (RFC822 RFC822.HEADER BODY[1.MIME] BODY[2.1.HEADER] BODY[3.TEXT])\r\n",
	"a STORE 1:3 FLAGS (\\Seen $Held x)\r\nb STORE 2 -FLAGS.SILENT (x)\r\nc EXPUNGE\r\nd UID EXPUNGE 1:4\r\n",
	"a SEARCH RETURN (SAVE MIN MAX) OR (TEXT a) NOT SENTON 1-Jan-2020\r\nb UID MOVE $ Trash\r\nc COPY 1:* a/b/c\r\n",
	"a CREATE a/b\r\nb RENAME a c\r\nc LIST \"\" % RETURN (STATUS (MESSAGES SIZE) CHILDREN)\r\nd DELETE c\r\ne LSUB \"\" *\r\n",
	"a APPEND INBOX (\\Draft k) {20+}\r\nSubject: x\r\n\r\nbody\r\n\r\nb NOOP\r\nc CLOSE\r\nd EXAMINE Outbox\r\n",
	"a ENABLE UTF8=ACCEPT\r\nb FETCH 1:* ENVELOPE\r\nc STATUS INBOX (DELETED-STORAGE)\r\nd NAMESPACE\r\n",
	"a IDLE\r\nDONE\r\nb SELECT Sent\r\nc UNSELECT\r\nd FETCH 1 FLAGS\r\n",
	"a SEARCH LARGER 1 SMALLER 9 KEYWORD x UNKEYWORD y HEADER \"\" \"\" 1,*:3 UID 2 ()\r\n",
}
