package imapd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// A recorder is a session that notes what it was asked to do. It is what stands behind the guard in these tests: the
// real library calls it, so that a command which it notes is one that the library ran.
type recorder struct {
	mu       sync.Mutex
	calls    []string
	guard    *guard
	idle     atomic.Int32
	messages uint32          // how many Fetch writes, at least 3
	body     string          // what Fetch writes for each message
	block    chan struct{}   // Fetch stops in the middle of its first literal until it is closed
	begun    chan struct{}   // … and closes this before
	news     chan uint32     // numbers that Idle reports as EXISTS
	ended    *sync.WaitGroup // sessions alive
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, fmt.Sprintf(format, args...))
}

// noted returns the calls so far.
func (r *recorder) noted() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.calls...)
}

// notedAt waits for call i, for a while.
func (r *recorder) notedAt(i int) []string {
	for range 1000 {
		if n := r.noted(); len(n) > i {
			return n
		}
		time.Sleep(5 * time.Millisecond)
	}
	return r.noted()
}

func (r *recorder) Close() error {
	if r.idle.Load() != 0 {
		panic("closed while idling")
	}
	if r.ended != nil {
		r.ended.Done()
	}
	return nil
}

func (r *recorder) Login(user, password string) error {
	r.note("LOGIN %s %s", user, password)
	if password != "right" {
		return imapserver.ErrAuthFailed
	}
	return nil
}

func (r *recorder) Select(name string, _ *imap.SelectOptions) (*imap.SelectData, error) {
	r.note("SELECT %s", name)
	return &imap.SelectData{NumMessages: 3, UIDNext: 4, UIDValidity: 1}, nil
}

func (r *recorder) Create(name string, _ *imap.CreateOptions) error {
	r.note("CREATE %s", name)
	return nil
}

func (r *recorder) Delete(name string) error {
	r.note("DELETE %s", name)
	return nil
}

func (r *recorder) Rename(from, to string, _ *imap.RenameOptions) error {
	r.note("RENAME %s %s", from, to)
	return nil
}
func (r *recorder) Subscribe(name string) error   { r.note("SUBSCRIBE %s", name); return nil }
func (r *recorder) Unsubscribe(name string) error { r.note("UNSUBSCRIBE %s", name); return nil }

func (r *recorder) List(w *imapserver.ListWriter, ref string, patterns []string, _ *imap.ListOptions) error {
	r.note("LIST %s %s", ref, strings.Join(patterns, " "))
	return w.WriteList(&imap.ListData{Mailbox: "INBOX", Delim: '/'})
}

func (r *recorder) Status(name string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	r.note("STATUS %s", name)
	n, z := uint32(3), int64(0)
	return &imap.StatusData{
		Mailbox: name, NumMessages: &n, NumUnseen: &n, NumDeleted: &n, NumRecent: &n, Size: &z, DeletedStorage: &z,
	}, nil
}

func (r *recorder) Append(name string, lit imap.LiteralReader, _ *imap.AppendOptions) (*imap.AppendData, error) {
	if name == "full" {
		r.note("APPEND refused")
		return nil, &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeOverQuota, Text: "Full"}
	}
	b, err := io.ReadAll(lit)
	if err != nil {
		r.note("APPEND cut")
		return nil, err
	}
	r.note("APPEND %s %d %q", name, len(b), b[:min(len(b), 64)])
	return &imap.AppendData{UID: 4, UIDValidity: 1}, nil
}
func (r *recorder) AppendLimit() uint32                       { return 1 << 20 }
func (r *recorder) Poll(*imapserver.UpdateWriter, bool) error { return nil }

func (r *recorder) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	r.idle.Add(1)
	defer r.idle.Add(-1)
	r.note("IDLE")
	for {
		select {
		case n := <-r.news:
			if err := w.WriteNumMessages(n); err != nil {
				return err
			}
		case <-stop:
			return nil
		}
	}
}
func (r *recorder) Unselect() error { r.note("UNSELECT"); return nil }

func (r *recorder) Expunge(*imapserver.ExpungeWriter, *imap.UIDSet) error {
	r.note("EXPUNGE")
	return nil
}

func (r *recorder) Search(_ imapserver.NumKind, c *imap.SearchCriteria, _ *imap.SearchOptions) (*imap.SearchData, error) {
	r.note("SEARCH %q %v", c.Text, c.Header)
	return &imap.SearchData{All: imap.SeqSetNum(1)}, nil
}

func (r *recorder) Fetch(w *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	r.note("FETCH %v", set)
	for n := uint32(1); n <= max(3, r.messages); n++ {
		m := w.CreateMessage(n)
		m.WriteUID(imap.UID(n))
		for _, s := range o.BodySection {
			b := m.WriteBodySection(s, int64(len(r.body)))
			half := len(r.body) / 2
			io.WriteString(b, r.body[:half])
			if r.block != nil && n == 1 {
				close(r.begun)
				<-r.block
			}
			io.WriteString(b, r.body[half:])
			b.Close()
		}
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (r *recorder) Store(_ *imapserver.FetchWriter, set imap.NumSet, _ *imap.StoreFlags, _ *imap.StoreOptions) error {
	r.note("STORE %v", set)
	return nil
}

func (r *recorder) Copy(set imap.NumSet, dest string) (*imap.CopyData, error) {
	r.note("COPY %v %s", set, dest)
	return nil, nil
}

func (r *recorder) Move(_ *imapserver.MoveWriter, set imap.NumSet, dest string) error {
	r.note("MOVE %v %s", set, dest)
	return nil
}
func (r *recorder) Namespace() (*imap.NamespaceData, error) {
	r.note("NAMESPACE")
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: '/'}}}, nil
}

// A house is a listener and the library on loopback.
type house struct {
	*listener
	client  *tls.Config
	last    chan *recorder // the session of each connection
	refused chan Refusal
	alive   sync.WaitGroup
}

var discardLog = slog.New(slog.DiscardHandler)

// newHouse serves with limits until the test ends. arrange, if any, prepares each session.
func newHouse(t testing.TB, limits Limits, arrange func(*recorder)) *house {
	t.Helper()
	server, client := testTLS(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{client: client, last: make(chan *recorder, 4096), refused: make(chan Refusal, 4096)}
	h.listener = listen(ln, server, limits, func(_ netip.Addr, r Refusal, _ bool) { h.refused <- r })
	lib := newLibrary(func(_ *imapserver.Conn, g *guard) (imapserver.Session, error) {
		r := &recorder{guard: g, news: make(chan uint32), body: "body", ended: &h.alive}
		h.alive.Add(1)
		if arrange != nil {
			arrange(r)
		}
		h.last <- r
		return r, nil
	}, discardLog)
	served := make(chan error, 1)
	go func() { served <- lib.Serve(h.listener) }()
	t.Cleanup(func() {
		h.shutdown(10 * time.Second)
		if err := <-served; err != nil {
			t.Error(err)
		}
		h.alive.Wait()
	})
	return h
}

// dial connects and does the handshake.
func (h *house) dial(t testing.TB) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", h.Addr().String(), h.client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// testTLS makes a certificate for 127.0.0.1 and a client that trusts it.
func testTLS(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "imap.test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: pool}
}
