package main_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-msgauth/dkim"
	gosmtp "github.com/emersion/go-smtp"
)

// book keeps what the server promised, by Message-ID.
type book struct {
	mu       sync.Mutex
	n        int
	promises map[string]*promise
	// rejected has what people decided against, by Message-ID and inbox (empty: all of
	// it); false: the answer was lost.
	rejected map[[2]string]bool
}

// promise is one message that somebody tried to hand over.
type promise struct {
	id    string
	from  string   // inbox whose Sent has a copy; empty: a stranger's
	local []string // inboxes that get it
	away  bool     // the peer gets it
	acked bool     // 250, or OK
	at    time.Time
	life  int
}

func newBook() *book {
	return &book{promises: map[string]*promise{}, rejected: map[[2]string]bool{}}
}

// enter notes a message before it is sent.
func (b *book) enter(kind string, p promise) *promise {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	p.id = fmt.Sprintf("%s.%d.load@elsewhere.test", kind, b.n)
	b.promises[p.id] = &p
	return &p
}

// ack notes that it was taken.
func (b *book) ack(p *promise, life int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.acked, p.at, p.life = true, time.Now(), life
}

// reject notes a decision against a message; sure: it was answered.
func (b *book) reject(id, inbox string, sure bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := [2]string{id, inbox}
	b.rejected[key] = b.rejected[key] || sure
}

// mostly is what may be there of a promise, least and most, at an inbox.
func (b *book) mostly(p *promise, inbox string) (least, most int) {
	least, most = 0, 1
	if p.acked {
		least = 1
	}
	for _, key := range [][2]string{{p.id, inbox}, {p.id, ""}} {
		if sure, ok := b.rejected[key]; ok && sure {
			return 0, 0
		} else if ok {
			least = 0
		}
	}
	return least, most
}

// peer is somebody else's mail server. It checks signatures by what was published when
// a message came, and sometimes says that it has no time.
type peer struct {
	mu      sync.Mutex
	r       *rand.Rand
	records map[string]string
	got     map[string][]arrival // by Message-ID
	births  func() int64         // how often the server was started that writes to it
	invalid []string
	busy    int
}

// arrival is when a message was taken, and in which life of the server its session
// began: the server lived on until it had seen that session's greeting.
type arrival struct {
	at   time.Time
	life int64
}

func newPeer(t *testing.T, n *internet, domain, ip string, r *rand.Rand, births func() int64) *peer {
	p := &peer{r: r, records: map[string]string{}, got: map[string][]arrival{}, births: births}
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", ip, n.port))
	if err != nil {
		t.Fatal(err)
	}
	s := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return peerSession{p, births()}, nil }))
	s.ErrorLog = log.New(io.Discard, "", 0) // that connections break is what this is about
	s.Domain = "mx." + domain
	s.ReadTimeout, s.WriteTimeout = time.Minute, time.Minute
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	n.exchanger(domain, ip)
	return p
}

// publish notes a TXT record that is in the DNS.
func (p *peer) publish(name, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records[strings.TrimSuffix(name, ".")] = text
}

func (p *peer) lookup(name string) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text := p.records[strings.TrimSuffix(name, ".")]; text != "" {
		return []string{text}, nil
	}
	return nil, &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
}

type peerSession struct {
	p    *peer
	life int64
}

func (peerSession) Reset()                                 {}
func (peerSession) Logout() error                          { return nil }
func (peerSession) Mail(string, *gosmtp.MailOptions) error { return nil }
func (peerSession) Rcpt(string, *gosmtp.RcptOptions) error { return nil }

// Data takes a message, and notes it before its 250 can be known.
func (s peerSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	p := s.p
	p.mu.Lock()
	busy := p.r.IntN(40) == 0
	if busy {
		p.busy++
	}
	p.mu.Unlock()
	if busy {
		return &gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 3, 2}, Message: "no time now"}
	}
	id := strings.Trim(messageID(b), "<>")
	signed, err := dkim.VerifyWithOptions(bytes.NewReader(b), &dkim.VerifyOptions{LookupTXT: p.lookup})
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || len(signed) == 0 {
		p.invalid = append(p.invalid, fmt.Sprintf("%s: %d signatures (%v)", id, len(signed), err))
	}
	for _, v := range signed {
		if v.Err != nil && !strings.Contains(v.Err.Error(), "unsupported") {
			p.invalid = append(p.invalid, fmt.Sprintf("%s: %v", id, v.Err))
		}
	}
	p.got[id] = append(p.got[id], arrival{time.Now(), s.life})
	return nil
}

// settle lets everything that waits come to its end: people let go what is held, and
// the queue empties.
func (w *loaded) settle() {
	w.t.Helper()
	r := w.rand("settle")
	for deadline := time.Now().Add(5 * time.Minute); ; {
		w.decide(w.t.Context(), r, true)
		queued, waiting, held := w.queued(), w.lines("quarantine", "list"), w.lines("approval", "list")
		if len(queued) == 0 && len(waiting) == 0 && len(held) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Errorf("%d wait in the queue, %d in quarantine, %d for approval: %v", len(queued), len(waiting), len(held), queued)
			return
		}
		for _, row := range queued {
			w.command(w.t.Context(), "queue", "retry", row.ID) // one that has gone meanwhile is no row any more
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// lines are the lines of JSON of a list.
func (w *loaded) lines(args ...string) (all []string) {
	for line := range strings.Lines(w.postern(append(args, "-o", "jsonl")...)) {
		if strings.TrimSpace(line) != "" {
			all = append(all, line)
		}
	}
	return all
}

// shelf counts Message-IDs by mailbox of one inbox.
type shelf map[string]map[string]int

// shelf reads which messages an inbox has.
func (w *loaded) shelf(a *loadAgent) shelf {
	w.t.Helper()
	token, _ := a.current()
	c, err := imapclient.DialTLS(w.IMAPS, &imapclient.Options{TLSConfig: w.trust})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(a.inbox, token).Wait(); err != nil {
		w.t.Fatal(err)
	}
	boxes, err := c.List("", "*", nil).Collect()
	if err != nil {
		w.t.Fatal(err)
	}
	all := shelf{}
	for _, box := range boxes {
		data, err := c.Select(box.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		if err != nil {
			w.t.Fatal(err)
		}
		all[box.Mailbox] = map[string]int{}
		if data.NumMessages == 0 {
			continue
		}
		var every imap.SeqSet
		every.AddRange(1, 0)
		msgs, err := c.Fetch(every, &imap.FetchOptions{Envelope: true}).Collect()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, m := range msgs {
			all[box.Mailbox][strings.Trim(m.Envelope.MessageID, "<>")]++
		}
	}
	return all
}

// sent are the mailboxes that hold copies of what an agent sends.
var sent = []string{"Sent", "Outbox", "Drafts"}

// received is how often a message is among those that came in.
func (s shelf) received(id string) (n int) {
	for box, ids := range s {
		if !slices.Contains(sent, box) {
			n += ids[id]
		}
	}
	return n
}

// kept is how often the sender has a copy.
func (s shelf) kept(id string) (n int) {
	for _, box := range sent {
		n += s[box][id]
	}
	return n
}

// holds compares every promise with what is there.
func (w *loaded) holds() {
	w.t.Helper()
	shelves := map[string]shelf{}
	for _, a := range w.agents {
		shelves[a.inbox] = w.shelf(a)
	}
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	w.peer.mu.Lock()
	defer w.peer.mu.Unlock()
	for id, p := range w.book.promises {
		kind, _, _ := strings.Cut(id, ".")
		if p.acked {
			w.count(kind + " taken")
		} else {
			w.count(kind + " without an answer")
		}
		for _, inbox := range p.local {
			least, most := w.book.mostly(p, inbox)
			if n := shelves[inbox].received(id); n < least || n > most {
				w.fault("a message is not there once", "%s is %d times in %s, want %d to %d (taken: %v, at %v)", id, n, inbox, least, most, p.acked, p.at.Sub(w.begun))
			}
		}
		if p.from != "" {
			if n := shelves[p.from].kept(id); n > 1 || p.acked && n != 1 {
				w.fault("a sender's copy is not there once", "%s is %d times at %s (taken: %v)", id, n, p.from, p.acked)
			}
		}
		if p.away {
			w.arrivedAway(p)
		}
	}
	for _, text := range w.peer.invalid {
		w.fault("a message left without a signature that holds", "%s", text)
	}
	w.counts["peer had no time"] = w.peer.busy
}

// arrivedAway holds what the peer got against a promise. Twice is allowed where the
// server was killed between the peer's 250 and its own record (RFC 1047; see package
// queue).
func (w *loaded) arrivedAway(p *promise) {
	got := w.peer.got[p.id]
	least, _ := w.book.mostly(p, "")
	if len(got) < least {
		w.fault("a message did not leave", "%s was taken at %v", p.id, p.at.Sub(w.begun))
	}
	if _, most := w.book.mostly(p, ""); len(got) > 0 && most == 0 {
		w.fault("a message left that people refused", "%s", p.id)
	}
	if len(got) == 1 && p.acked {
		w.times["250 to the peer's"] = append(w.times["250 to the peer's"], got[0].at.Sub(p.at))
	}
	for i := 1; i < len(got); i++ {
		w.counts["twice at the peer, by a kill"]++
		if !w.killed[got[i-1].life] || got[i-1].life == got[i].life {
			w.fault("the peer got a message twice", "%s at %v in life %d and %v in life %d", p.id, got[i-1].at.Sub(w.begun), got[i-1].life, got[i].at.Sub(w.begun), got[i].life)
		}
	}
}

// logVerifies exports the log and verifies it as an auditor would.
func (w *loaded) logVerifies() {
	w.t.Helper()
	dir := w.t.TempDir()
	bundle, key := filepath.Join(dir, "bundle.jsonl"), filepath.Join(dir, "key")
	w.postern("audit", "export", bundle)
	if err := os.WriteFile(key, []byte(w.postern("audit", "key")), 0o600); err != nil {
		w.t.Fatal(err)
	}
	out, err := exec.Command(w.bin, "audit", "verify", bundle, "--key", key).CombinedOutput()
	if err != nil {
		w.t.Errorf("audit verify: %v\n%s", err, out)
	}
	b, err := os.ReadFile(bundle)
	if err != nil {
		w.t.Fatal(err)
	}
	w.counts["lines of the exported log"] = bytes.Count(b, []byte("\n"))
}

// nothingReadable searches the data, the backups and the log of the process. // CO-2
func (w *loaded) nothingReadable() {
	w.t.Helper()
	for _, f := range w.mark.search(w.t, w.tokens.sample(20), filepath.Join(w.dir, "data"), w.backupDir()) {
		w.t.Error("readable: ", f)
	}
	logs := w.t.TempDir()
	if err := os.WriteFile(filepath.Join(logs, "log"), w.log.Bytes(), 0o600); err != nil {
		w.t.Fatal(err)
	}
	for _, f := range w.mark.search(w.t, w.tokens.sample(20), logs) {
		w.t.Error("in the log: ", f)
	}
}

func (w *loaded) backupDir() string { return filepath.Join(w.dir, "backups") }

// backupsRestore verifies the newest backups, with no server running.
func (w *loaded) backupsRestore() {
	w.t.Helper()
	all := backups(w.t, w.backupDir())
	if len(all) == 0 {
		w.t.Error("no backup was finished")
	}
	slices.Sort(all)
	for _, b := range all[max(0, len(all)-2):] {
		verifyBackup(w.t, w.bin, w.dir, b)
	}
}
