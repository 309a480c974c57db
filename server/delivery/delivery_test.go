package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/message"
	"postern/server/policy"
	"postern/server/queue"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

const hostname = "mail.example.com"

// world is an Inbound over a store of its own, with inboxes a@ and b@ of one
// organization and c@ of another.
type world struct {
	t       testing.TB
	home    string // has the data directory, data
	store   *storage.Store
	dir     *directory.Directory
	in      *delivery.Inbound
	a, b, c storage.InboxRecord

	mu  sync.Mutex
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Microsecond)
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	home := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(home, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, home: home, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.store, err = storage.Open(t.Context(), storage.Config{Dir: filepath.Join(home, "data"), Root: root, Now: w.clock})
	w.must(err)
	t.Cleanup(func() { w.store.Close() })
	w.dir = directory.New(w.store, directory.Options{Now: w.clock})
	org, err := w.dir.Organization(t.Context())
	w.must(err)
	other, err := w.dir.CreateOrganization(t.Context(), storage.System, "other")
	w.must(err)
	w.domain(org.ID, "example.com")
	w.domain(other.ID, "other.test")
	w.a = w.inbox(org.ID, "a@example.com", storage.Live)
	w.b = w.inbox(org.ID, "b@example.com", storage.Live)
	w.c = w.inbox(other.ID, "c@other.test", storage.Live)
	w.in = delivery.NewInbound(w.store, w.dir, delivery.Options{Hostname: hostname, Now: w.clock})
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) domain(org uuid.UUID, name string) {
	w.t.Helper()
	w.must(w.store.Write(context.Background(), storage.System, func(tx *storage.Tx) error {
		d := storage.Domain{Head: storage.Head{Org: org}, Name: name}
		return tx.CreateDomain(tx.Record(audit.Event{Verb: audit.DomainAdd}), &d)
	}))
}

func (w *world) inbox(org uuid.UUID, address string, env storage.Environment) storage.InboxRecord {
	w.t.Helper()
	in, err := w.dir.CreateInbox(context.Background(), storage.System, org, address, env)
	w.must(err)
	return in
}

func (w *world) stage(text string) *storage.Stage {
	w.t.Helper()
	g := w.store.Stage()
	_, err := io.WriteString(g, text)
	w.must(err)
	w.must(g.Finish())
	return g
}

func (w *world) path(address string) message.Path {
	w.t.Helper()
	p, err := message.ParsePath(address, true)
	w.must(err)
	return p
}

// received is a message from outside for some inboxes.
func (w *world) received(g *storage.Stage, to ...storage.InboxRecord) delivery.Received {
	w.t.Helper()
	remote := netip.MustParseAddrPort("203.0.113.5:40000")
	r := delivery.Received{
		Actor: audit.Actor{Kind: audit.Stranger, Network: remote.Addr()}, Door: "mx", Remote: remote,
		HELO: "sender.test", With: "ESMTPS", TLS: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256",
		From: w.path("someone@sender.test"), Stage: g,
	}
	for _, in := range to {
		r.To = append(r.To, delivery.Recipient{Path: w.path(in.Address), Inbox: in})
	}
	return r
}

func (w *world) deliver(text string, to ...storage.InboxRecord) (delivery.Receipt, error) {
	w.t.Helper()
	g := w.stage(text)
	defer g.Discard()
	return w.in.Deliver(context.Background(), w.received(g, to...))
}

// stored is a message as a mailbox has it.
type stored struct {
	storage.Message
	content   storage.Content
	raw, view string
	structure *message.Structure
}

func (w *world) mailbox(in storage.InboxRecord, role storage.Role) (all []stored) {
	w.t.Helper()
	ctx := context.Background()
	inbox, err := w.store.OpenInbox(ctx, in.Org, in.ID)
	w.must(err)
	box, err := inbox.MailboxByRole(ctx, role)
	w.must(err)
	w.must(inbox.Scan(ctx, box.ID, []storage.UIDRange{{First: 1, Last: 1<<32 - 1}}, true, func(m *storage.Message) error {
		s := stored{Message: *m, content: *m.Content}
		body, err := inbox.OpenBody(ctx, m)
		w.must(err)
		defer body.Close()
		overlay, err := message.DecodeOverlay(m.Content.Overlay)
		w.must(err)
		s.structure, err = message.DecodeStructure(m.Content.Structure)
		w.must(err)
		view := overlay.View(body, body.Size())
		s.raw = read(w.t, body, body.Size())
		s.view = read(w.t, view, view.Size())
		all = append(all, s)
		return nil
	}))
	return all
}

func read(t testing.TB, r io.ReaderAt, size int64) string {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, size))
	if err != nil || int64(len(b)) != size {
		t.Fatalf("read %d of %d bytes: %v", len(b), size, err)
	}
	return string(b)
}

func (w *world) events(verbs ...audit.Verb) []audit.Event {
	w.t.Helper()
	all, err := w.store.Events(context.Background(), storage.EventQuery{Verbs: verbs})
	w.must(err)
	return all
}

const plain = "From: someone@sender.test\r\nTo: a@example.com\r\nSubject: hello\r\nMessage-ID: <1@sender.test>\r\n\r\nHow are you?\r\n"

func TestDeliverToSeveral(t *testing.T) {
	w := newWorld(t)
	receipt, err := w.deliver(plain, w.a, w.b, w.c, w.a)
	w.must(err)
	for _, in := range []storage.InboxRecord{w.a, w.b, w.c} {
		all := w.mailbox(in, storage.RoleInbox)
		if len(all) != 1 {
			t.Fatalf("%s has %d messages, want 1", in.Address, len(all))
		}
		m := all[0]
		if m.raw != plain || m.ID != receipt.ID || m.UID != 1 {
			t.Errorf("%s: stored bytes differ or the id does", in.Address)
		}
		if !strings.HasSuffix(m.view, plain) || int64(len(m.view)) != m.Size || m.structure.Size != m.Size {
			t.Errorf("%s: view of %d bytes, size %d, structure %d:\n%s", in.Address, len(m.view), m.Size, m.structure.Size, m.view)
		}
		for _, want := range []string{"Return-Path: <someone@sender.test>\r\n", "Received: from sender.test ([203.0.113.5])", "by mail.example.com with ESMTPS",
			"Authentication-Results: mail.example.com; none\r\n", "Postern-Verdict: v=1; verdict=unscored; id=" + receipt.ID.String()} {
			if !strings.Contains(unfold(m.view), want) {
				t.Errorf("%s: the view lacks %q:\n%s", in.Address, want, m.view)
			}
		}
		if strings.Contains(m.view, "for <") { // RFC 5321, section 7.2
			t.Errorf("%s: Received names a recipient among several", in.Address)
		}
		if body := m.view[m.structure.Root.Body.Start:m.structure.Root.Body.End]; body != "How are you?\r\n" {
			t.Errorf("%s: the structure's body is %q", in.Address, body)
		}
		if m.content.Verdict != storage.Unscored || m.content.Origin != storage.OriginMX || m.content.MessageID != "<1@sender.test>" {
			t.Errorf("%s: content %+v", in.Address, m.content)
		}
	}
	events := w.events(audit.MessageReceived)
	if len(events) != 3 {
		t.Fatalf("invariant 2: %d events for 3 copies", len(events))
	}
	e := events[0]
	size, _ := e.Fields.Int(audit.KeySize)
	uid, _ := e.Fields.Int(audit.KeyUID)
	if e.Actor.Kind != audit.Stranger || e.Actor.Network.String() != "203.0.113.5" || e.Object != receipt.ID || e.Inbox != w.a.ID || e.Mailbox == uuid.Nil ||
		size != int64(len(plain)) || uid != 1 || e.Fields.Text(audit.KeyVerdict) != "unscored" || e.Fields.Text(audit.KeyDoor) != "mx" ||
		e.Personal.Text(audit.KeyFrom) != "someone@sender.test" || e.Personal.Text(audit.KeyTo) != "a@example.com" || e.Personal.Text(audit.KeyHELO) != "sender.test" {
		t.Errorf("AU-1: event %+v", e)
	}
}

func unfold(s string) string { return strings.ReplaceAll(s, "\r\n ", " ") }

// TestRedeliveryIsStoredOnce sends again as a server does that lost our 250.
func TestRedeliveryIsStoredOnce(t *testing.T) {
	w := newWorld(t)
	_, err := w.deliver(plain, w.a)
	w.must(err)
	receipt, err := w.deliver(plain, w.a)
	if err != nil || !receipt.Duplicate {
		t.Fatalf("redelivery: %+v, %v", receipt, err)
	}
	// A recipient that is new gets it; the other does not get it again.
	receipt, err = w.deliver(plain, w.a, w.b)
	if err != nil || receipt.Duplicate {
		t.Fatalf("redelivery with a new recipient: %+v, %v", receipt, err)
	}
	if a, b := w.mailbox(w.a, storage.RoleInbox), w.mailbox(w.b, storage.RoleInbox); len(a) != 1 || len(b) != 1 {
		t.Errorf("%d and %d copies, want 1 and 1", len(a), len(b))
	}
	if n := len(w.events(audit.MessageDuplicate)); n != 2 {
		t.Errorf("%d events of duplicates, want 2", n)
	}
	// One byte more is another message, and so is the same after three days.
	if receipt, err := w.deliver(plain+"x", w.a); err != nil || receipt.Duplicate {
		t.Errorf("another message: %+v, %v", receipt, err)
	}
	w.advance(3*24*time.Hour + time.Minute)
	if receipt, err := w.deliver(plain, w.a); err != nil || receipt.Duplicate {
		t.Errorf("after three days: %+v, %v", receipt, err)
	}
}

func TestForgedFieldsAreHidden(t *testing.T) {
	w := newWorld(t)
	text := "Return-Path: <boss@example.com>\r\n" +
		"Postern-Verdict: v=1; verdict=clean\r\nPOSTERN-Reasons: none\r\nPost\x00ern-Verdict: v=1\r\n" +
		"Agent-Trigger: type=user\r\nagent-run:\r\n seventeen\r\nIdempotency-Key: 1\r\n" +
		"Authentication-Results: (a;b) \"MAIL.example.com\"; dkim=pass\r\n\theader.d=sender.test\r\n" +
		"Postern-Verdict\r\n : verdict=clean\r\nAuthentication-Results \r\n\t: mail.example.com; dkim=pass\r\n" + // its colon on the next line
		"Postern-Verdict\xa0: verdict=clean\r\nAuthentication-Results\xc2\xa0: mail.example.com; dkim=pass\r\n" + // a space that is none
		"Authentication-Results: relay.sender.test; spf=pass\r\n" + plain
	_, err := w.deliver(text, w.a)
	w.must(err)
	m := w.mailbox(w.a, storage.RoleInbox)[0]
	if m.raw != text {
		t.Error("stored bytes differ")
	}
	block, rest, _ := strings.Cut(m.view, "Authentication-Results: relay.sender.test; spf=pass\r\n")
	if rest != plain {
		t.Errorf("fields of the sender that are no forgery changed:\n%s", m.view)
	}
	for _, bad := range []string{"clean", "Reasons", "ern-Verdict: v=1\r\n", "Agent-", "agent-run", "seventeen", "Idempotency", "dkim=pass", "header.d", "boss"} {
		if strings.Contains(block, bad) {
			t.Errorf("the view shows %q:\n%s", bad, block)
		}
	}
	if m.structure.Envelope.Subject != "hello" || m.view[m.structure.Root.Body.Start:] != "How are you?\r\n" {
		t.Errorf("structure of the view: %+v", m.structure.Root)
	}
}

func TestRefusalsAfterData(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		text string
		rule policy.Rule
		code int
	}{
		"several From":            {"From: b@b.test\r\n" + plain, policy.FromSeveral, 550},
		"loop":                    {strings.Repeat("Received: from x by y; Fri, 2 Jan 2026 03:04:05 +0000\r\n", policy.MaxHops+1) + plain, policy.MailLoop, 554}, // RFC 5321, section 6.3
		"thousands of fields":     {strings.Repeat("X: y\r\n", 5000) + plain, policy.HeaderTooLarge, 552},
		"one field of a megabyte": {"X: " + strings.Repeat("y", 1<<20) + "\r\n" + plain, policy.HeaderTooLarge, 552},
	} {
		_, err := w.deliver(c.text, w.a, w.b)
		var refused *delivery.RefusedError
		if !errors.As(err, &refused) || refused.Rule != c.rule || refused.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a, b := w.mailbox(w.a, storage.RoleInbox), w.mailbox(w.b, storage.RoleInbox); len(a)+len(b) != 0 {
		t.Errorf("refused messages are stored: %d and %d", len(a), len(b))
	}
	events := w.events(audit.MessageRefused)
	if len(events) != 0 { // AU-13
		t.Errorf("%d events of strangers' refusals, want none: the door aggregates them", len(events))
	}
}

// TestWhatCannotBeParsedIsStored delivers what no parser understands: it comes
// back byte for byte.
func TestWhatCannotBeParsedIsStored(t *testing.T) {
	w := newWorld(t)
	nested := "From: x@y.test\r\n"
	for i := range 200 {
		nested += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	for name, text := range map[string]string{
		"empty":             "",
		"one byte":          "x",
		"no header":         "\r\nbody only\r\n",
		"only a header":     "Subject: x\r\n",
		"binary":            "Subject: \xff\xfe\r\n\r\n\x00\x01\x02\xff" + strings.Repeat("\x80", 1000),
		"no parts":          "Content-Type: multipart/mixed; boundary=x\r\n\r\n",
		"nested multiparts": nested,
		"one long line":     "Subject: x\r\n\r\n" + strings.Repeat("a", 300<<10),
		"mbox line":         "From someone Fri Jan  2 03:04:05 2026\r\nSubject: x\r\n\r\nbody\r\n",
	} {
		before := len(w.mailbox(w.b, storage.RoleInbox))
		if _, err := w.deliver(text, w.b); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		all := w.mailbox(w.b, storage.RoleInbox)
		if m := all[len(all)-1]; len(all) != before+1 || m.raw != text || int64(len(m.view)) != m.Size || m.structure.Size != m.Size {
			t.Errorf("%s: stored %d bytes of %d, view %d, size %d", name, len(m.raw), len(text), len(m.view), m.Size)
		}
	}
}

// TestDiskFailsUnderTheParser: what could not be read back is not judged by the half
// that could, but waits at its sender.
func TestDiskFailsUnderTheParser(t *testing.T) {
	w := newWorld(t)
	noise := make([]byte, 300<<10) // nothing makes it small
	rand.NewChaCha8([32]byte{}).Read(noise)
	g := w.stage(plain + string(noise))
	files, err := filepath.Glob(filepath.Join(w.home, "data", "bodies", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files of bodies, %v", len(files), err)
	}
	w.must(os.Truncate(files[0], 4096))
	var refused *delivery.RefusedError
	if _, err := w.in.Deliver(t.Context(), w.received(g, w.a)); !errors.Is(err, storage.ErrUnavailable) || errors.As(err, &refused) {
		t.Errorf("a message that cannot be read back: %v", err)
	}
	if all := w.mailbox(w.a, storage.RoleInbox); len(all) != 0 {
		t.Errorf("%d messages are stored", len(all))
	}
}

// TestNothingWithoutTheCommit: when the commit does not happen nothing is there, and the
// error is temporary.
func TestNothingWithoutTheCommit(t *testing.T) {
	w := newWorld(t)
	g := w.stage(plain)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.in.Deliver(ctx, w.received(g, w.a))
	var refused *delivery.RefusedError
	if err == nil || errors.As(err, &refused) {
		t.Errorf("a delivery whose caller is gone: %v", err)
	}
	if n := len(w.mailbox(w.a, storage.RoleInbox)); n != 0 || len(w.events(audit.MessageReceived)) != 0 {
		t.Errorf("%d messages stored", n)
	}
	// The same stage can be delivered again.
	if _, err := w.in.Deliver(t.Context(), w.received(g, w.a)); err != nil {
		t.Error(err)
	}
}

func TestConcurrentDeliveries(t *testing.T) {
	w := newWorld(t)
	const n = 64
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if _, err := w.deliver(fmt.Sprintf("Message-ID: <%d@x.test>\r\n", i)+plain, w.a); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := w.mailbox(w.a, storage.RoleInbox)
	if len(got) != n {
		t.Fatalf("%d messages, want %d", len(got), n)
	}
	for i, m := range got {
		if m.UID != uint32(i+1) {
			t.Fatalf("invariant 13: UID %d at place %d", m.UID, i)
		}
	}
}

// outgoing queues a message for local recipients and returns the rows as the
// queue would hand them to the transport.
func (w *world) outgoing(from storage.InboxRecord, text string, to ...string) []queue.Item {
	w.t.Helper()
	g := w.stage(text)
	defer g.Discard()
	sum := g.SHA256()
	var items []queue.Item
	w.must(w.store.Write(context.Background(), storage.System, func(tx *storage.Tx) error {
		items = nil
		body, err := tx.AddBody(g)
		if err != nil {
			return err
		}
		e := tx.Record(audit.Event{Verb: audit.MessageSubmitted})
		id := storage.NewID()
		for _, r := range to {
			o := storage.Outgoing{Head: storage.Head{Org: from.Org}, Inbox: from.ID, Message: id, State: storage.OutgoingQueued, Local: true,
				From: from.Address, To: r, SHA256: sum[:], Expires: tx.Now().Add(time.Hour)}
			if err := tx.CreateOutgoing(e, &o, body, "example.com"); err != nil {
				return err
			}
			items = append(items, queue.Item{Outgoing: o, Sender: w.path(from.Address), Recipient: w.path(r)})
		}
		return nil
	}))
	body, err := w.store.OpenOutgoing(context.Background(), &items[0].Outgoing)
	w.must(err)
	w.t.Cleanup(func() { body.Close() })
	for i := range items {
		items[i].Body = body
	}
	return items
}

// attempt does with items what the queue does: what the transport made ready is
// stored in a transaction of the queue's.
func (w *world) attempt(items []queue.Item) []queue.Result {
	w.t.Helper()
	results := delivery.NewLocal(w.in).Attempt(context.Background(), items)
	for _, r := range results {
		if r.Deposit != nil {
			w.must(w.store.Write(context.Background(), storage.System, r.Deposit.Store))
			break // they share it
		}
	}
	return results
}

func TestLocalTransport(t *testing.T) {
	w := newWorld(t)
	items := w.outgoing(w.a, plain, "b@example.com", "nobody@example.com", "c@other.test", "x@elsewhere.test", "B@example.com")
	results := w.attempt(items)
	for i, want := range []struct {
		outcome  queue.Outcome
		enhanced string
	}{{queue.Delivered, "2.1.5"}, {queue.Permanent, "5.1.1"}, {queue.Delivered, "2.1.5"}, {queue.Permanent, "5.1.2"}, {queue.Delivered, "2.1.5"}} {
		if results[i].Outcome != want.outcome || results[i].Enhanced != want.enhanced {
			t.Errorf("%s: %+v", items[i].To, results[i])
		}
	}
	b, c := w.mailbox(w.b, storage.RoleInbox), w.mailbox(w.c, storage.RoleInbox)
	if len(b) != 1 || len(c) != 1 || b[0].raw != plain {
		t.Fatalf("%d and %d copies", len(b), len(c))
	}
	if b[0].Flags&storage.SenderVerified == 0 {
		t.Error("local mail of the same organization is not marked as verified")
	}
	if c[0].Flags&storage.SenderVerified != 0 {
		t.Error("mail of another organization is marked as verified")
	}
	if b[0].content.Origin != storage.OriginSubmission || strings.Contains(b[0].view, "Received:") {
		t.Errorf("local copy: %s", b[0].view)
	}
	if b[0].content.Body.No != c[0].content.Body.No || b[0].content.Body.No != items[0].BodyNo {
		t.Error("copies do not share the queue's body")
	}
	// A second attempt, as after a crash before the result was recorded.
	results = w.attempt(items[:1])
	if results[0].Outcome != queue.Delivered || len(w.mailbox(w.b, storage.RoleInbox)) != 1 {
		t.Errorf("attempt after a crash: %+v, stored twice", results[0])
	}
}

// TestAC14_TestMailReachesTestInboxesOnly: a live inbox answers a test sender like
// one that does not exist.
func TestAC14_TestMailReachesTestInboxesOnly(t *testing.T) {
	w := newWorld(t)
	from := w.inbox(w.a.Org, "from@example.com", storage.Test)
	w.inbox(w.a.Org, "to@example.com", storage.Test)
	results := w.attempt(w.outgoing(from, plain, "to@example.com", "a@example.com", "nobody@example.com"))
	if results[0].Outcome != queue.Delivered || results[1].Outcome != queue.Permanent || !reflect.DeepEqual(results[1], results[2]) {
		t.Errorf("results %+v", results)
	}
	if n := len(w.mailbox(w.a, storage.RoleInbox)); n != 0 {
		t.Errorf("%d test messages in a live inbox", n)
	}
}

// TestLocalRefusal: what delivery refuses is a permanent failure for all.
func TestLocalRefusal(t *testing.T) {
	w := newWorld(t)
	results := w.attempt(w.outgoing(w.a, "From: x@y.test\r\n"+plain, "b@example.com", "c@other.test"))
	for _, r := range results {
		if r.Outcome != queue.Permanent || r.Rule != "from-several" || r.Enhanced != "5.6.0" {
			t.Errorf("%+v", r)
		}
	}
}

func TestReport(t *testing.T) {
	w := newWorld(t)
	notice := message.DSN{
		From: w.path("postmaster@example.com"), To: w.path("a@example.com"), ReportingMTA: hostname, MessageID: message.NewMessageID("example.com"),
		Time: w.clock(), Header: []byte("Subject: hello\r\n\r\n"),
		Recipients: []message.DSNRecipient{{Final: w.path("x@remote.test"), Action: message.ActionFailed, Status: "5.1.1"}},
	}
	report, err := w.in.Report(t.Context(), queue.Notice{Org: w.a.Org, Inbox: w.a.ID, To: w.path("a@example.com"), Data: notice.Bytes()})
	w.must(err)
	defer report.Discard()
	w.must(w.store.Write(t.Context(), storage.System, report.Store))
	m := w.mailbox(w.a, storage.RoleInbox)
	if len(m) != 1 || !bytes.HasPrefix([]byte(m[0].view), []byte("Return-Path: <>\r\n")) || m[0].content.Origin != storage.OriginReport {
		t.Fatalf("notice: %+v", m)
	}
	if !strings.Contains(m[0].view, "Postern-Verdict: v=1; verdict=unscored") { // invariant 5
		t.Error("a notice has no verdict")
	}
	if events := w.events(audit.NoticeDelivered); len(events) != 1 || events[0].Inbox != w.a.ID {
		t.Errorf("%d events notice.delivered", len(events))
	}
	if _, err := w.in.Report(t.Context(), queue.Notice{Org: w.c.Org, Inbox: w.a.ID, Data: notice.Bytes()}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("AC-19: notice to an inbox of another organization: %v", err)
	}
}

func BenchmarkDeliver(b *testing.B) {
	for _, senders := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(senders), func(b *testing.B) {
			w := newWorld(b)
			body := strings.Repeat("The quick brown fox jumps over the lazy dog, and then does it again. 0123456789\r\n", 48)
			var next sync.Mutex
			n := 0
			b.SetBytes(int64(len(body)))
			b.ResetTimer()
			var all sync.WaitGroup
			for range senders {
				all.Go(func() {
					for {
						next.Lock()
						n++
						i := n
						next.Unlock()
						if i > b.N {
							return
						}
						if _, err := w.deliver(fmt.Sprintf("From: s@sender.test\r\nTo: a@example.com\r\nSubject: %d\r\nMessage-ID: <%d@x.test>\r\nDate: Fri, 2 Jan 2026 03:04:05 +0000\r\n\r\n", i, i)+body, w.a); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
