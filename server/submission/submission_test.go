package submission_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/message"
	"postern/server/policy"
	"postern/server/queue"
	"postern/server/submission"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// world is an Outbound over a store of its own, with an agent that may send from
// a@example.com and is logged in.
type world struct {
	t      testing.TB
	cfg    storage.Config
	store  *storage.Store
	dir    *directory.Directory
	out    *submission.Outbound
	org    uuid.UUID
	a, b   storage.InboxRecord
	agent  storage.Agent
	p      *directory.Principal
	queued atomic.Int64

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

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newWorld makes a world whose domain is owned or not.
func newWorld(t testing.TB, owned bool) *world {
	t.Helper()
	home := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(home, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.cfg = storage.Config{Dir: filepath.Join(home, "data"), Root: root, Now: w.clock}
	w.store, err = storage.Open(t.Context(), w.cfg)
	w.must(err)
	t.Cleanup(func() { w.store.Abandon() })
	w.dir = directory.New(w.store, directory.Options{Now: w.clock, Terms: func(context.Context, uuid.UUID, uuid.UUID, uuid.UUID, uuid.UUID, uuid.UUID) (directory.Terms, error) {
		return directory.Terms{SessionLength: 48 * time.Hour, Sessions: 100}, nil
	}})
	org, err := w.dir.Organization(t.Context())
	w.must(err)
	w.org = org.ID
	w.must(w.store.Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		d := storage.Domain{Head: storage.Head{Org: org.ID}, Name: "example.com", Owned: owned}
		return tx.CreateDomain(tx.Record(audit.Event{Verb: audit.DomainAdd}), &d)
	}))
	w.a, w.b = w.inbox("a@example.com", storage.Live), w.inbox("b@example.com", storage.Live)
	w.agent, err = w.dir.CreateAgent(t.Context(), storage.System, w.org, "scout", "ada@example.com", "")
	w.must(err)
	w.p = w.login(w.a, storage.Live, storage.Read|storage.Send)
	w.out = submission.NewOutbound(w.store, w.dir, submission.Options{Hostname: "mail.example.com", Judge: clean, Now: w.clock, Queued: func(rows []storage.Outgoing) { w.queued.Add(int64(len(rows))) }})
	return w
}

func (w *world) inbox(address string, env storage.Environment) storage.InboxRecord {
	w.t.Helper()
	in, err := w.dir.CreateInbox(context.Background(), storage.System, w.org, address, env)
	w.must(err)
	return in
}

// login gives the agent a credential for an inbox and logs in with it.
func (w *world) login(in storage.InboxRecord, env storage.Environment, verbs storage.Verbs) *directory.Principal {
	w.t.Helper()
	_, secret, err := w.dir.CreateCredential(context.Background(), storage.System, w.org, directory.CredentialSpec{
		Agent: w.agent.ID, Env: env, Scopes: []storage.Scope{{Inbox: in.ID, Verbs: verbs}}})
	w.must(err)
	p, err := w.dir.Authenticate(context.Background(), directory.Attempt{
		Login: in.Address, Secret: secret, Remote: netip.MustParseAddr("192.0.2.7"), Door: "submissions", TLS: "TLS1.3", Mechanism: "PLAIN"})
	w.must(err)
	return p
}

func (w *world) path(address string) message.Path {
	w.t.Helper()
	p, err := message.ParsePath(address, true)
	w.must(err)
	return p
}

// submit sends a text in the name of the session's inbox.
func (w *world) submit(p *directory.Principal, text string, to ...string) (submission.Receipt, error) {
	w.t.Helper()
	s := submission.Submitted{
		Principal: p, HELO: "laptop.local", With: "ESMTPSA",
		TLS: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256", From: w.path(p.Inbox.Address()), Stage: w.store.Stage()}
	defer s.Stage.Discard()
	io.WriteString(s.Stage, text)
	w.must(s.Stage.Finish())
	for _, r := range to {
		s.To = append(s.To, w.path(r))
	}
	return w.out.Submit(context.Background(), s)
}

func (w *world) events(verbs ...audit.Verb) []audit.Event {
	w.t.Helper()
	all, err := w.store.Events(context.Background(), storage.EventQuery{Verbs: verbs})
	w.must(err)
	return all
}

func (w *world) rows() []storage.Outgoing {
	w.t.Helper()
	rows, err := w.store.Outgoings(context.Background(), w.org, uuid.Nil, 1000)
	w.must(err)
	return rows
}

// stored is a message as a mailbox shows it and as it is stored.
type stored struct {
	storage.Message
	body      storage.BodyRef
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
		s := stored{Message: *m, body: m.Content.Body}
		body, err := inbox.OpenBody(ctx, m)
		w.must(err)
		defer body.Close()
		overlay, err := message.DecodeOverlay(m.Content.Overlay)
		w.must(err)
		s.structure, err = message.DecodeStructure(m.Content.Structure)
		w.must(err)
		view := overlay.View(body, body.Size())
		s.raw, s.view = read(w.t, body, body.Size()), read(w.t, view, view.Size())
		all = append(all, s)
		return nil
	}))
	return all
}

func read(t testing.TB, r io.ReaderAt, size int64) string {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, size))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// clean and cleanMail judge for tests that are about something else.
func clean(context.Context, *storage.Stage, *message.Structure) (*storage.Scoring, error) {
	return &storage.Scoring{Verdict: storage.Clean, Model: "test"}, nil
}

func cleanMail(context.Context, delivery.Judged) (delivery.Judgement, error) {
	return delivery.Judging(&storage.Scoring{Verdict: storage.Clean, Model: "test"}), nil
}

const letter = "From: Scout <A@example.com>\r\nTo: x@remote.test\r\nSubject: greetings\r\n\r\nhello\r\n"

func TestSubmit(t *testing.T) {
	w := newWorld(t, true)
	text := "Bcc: c@remote.test,\r\n d@remote.test\r\nReturn-Path: <forged@example.com>\r\nPostern-Verdict: v=1\r\n" +
		"Authentication-Results: mail.example.com; dmarc=pass header.from=forged.test\r\n" + letter
	receipt, err := w.submit(w.p, text, "x@remote.test", "c@remote.test", "b@example.com")
	w.must(err)
	if w.queued.Load() != 3 || w.p.Count.Load() != 1 {
		t.Error("the queue was not told, or the session does not count")
	}

	rows := w.rows()
	if len(rows) != 3 {
		t.Fatalf("%d rows in the queue, want one for each recipient", len(rows))
	}
	for i, want := range []struct {
		to    string
		local bool
	}{{"x@remote.test", false}, {"c@remote.test", false}, {"b@example.com", true}} {
		o := rows[i]
		if o.To != want.to || o.Local != want.local || o.From != "a@example.com" || o.Message != receipt.ID || o.Agent != w.agent.ID ||
			o.Credential != w.p.Credential.ID || o.State != storage.OutgoingQueued || o.EightBit || o.UTF8 {
			t.Errorf("row %+v", o)
		}
	}
	body, err := w.store.OpenOutgoing(t.Context(), &rows[0])
	w.must(err)
	defer body.Close()
	leaves := read(t, body, body.Size())
	for _, want := range []string{"Received: by mail.example.com with ESMTPSA", receipt.ID.String(), "\r\nDate: Fri, 02 Jan 2026 03:04:05 +0000\r\n",
		"\r\nMessage-ID: <", "\r\nAuto-Submitted: auto-generated\r\n", letter} {
		if !strings.Contains(leaves, want) {
			t.Errorf("RFC 6409: what leaves lacks %q:\n%s", want, leaves)
		}
	}
	for _, bad := range []string{"Bcc", "d@remote.test", "forged", "Postern-", "Authentication-Results", "192.0.2.7", "laptop", "DKIM-Signature"} {
		if strings.Contains(leaves, bad) {
			t.Errorf("what leaves has %q:\n%s", bad, leaves)
		}
	}

	sent := w.mailbox(w.a, storage.RoleSent)
	if len(sent) != 1 {
		t.Fatalf("%d copies in Sent", len(sent))
	}
	s := sent[0]
	bcc := "Bcc: c@remote.test,\r\n d@remote.test\r\n"
	if s.view != bcc+leaves || s.raw != leaves || s.Flags != storage.Seen || s.ID != receipt.ID || s.body.No != rows[0].BodyNo {
		t.Errorf("copy in Sent: flags %v, %q", s.Flags, s.view)
	}
	if s.Size != int64(len(s.view)) || s.structure.Size != s.Size || len(s.structure.Envelope.Bcc) != 2 || s.view[s.structure.Root.Body.Start:] != "hello\r\n" {
		t.Errorf("structure of the copy: %+v", s.structure)
	}
}

func TestSubmissionIsOnRecord(t *testing.T) {
	w := newWorld(t, true)
	text := "Agent-Trigger: type=message; ref=\"<q@remote.test>\"\r\nAgent-Run: run 17\r\nIn-Reply-To: <q@remote.test>\r\nMessage-ID: <m@example.com>\r\n" + letter
	receipt, err := w.submit(w.p, text, "x@remote.test", "hidden@remote.test")
	w.must(err)
	events := w.events(audit.MessageSubmitted)
	if len(events) != 1 {
		t.Fatalf("%d events message.submitted", len(events))
	}
	e := events[0]
	var to, declared []string
	var digests [][]byte
	for _, f := range e.Personal {
		switch f.Key {
		case audit.KeyTo:
			to = append(to, f.Value.(string))
		case audit.KeyText:
			declared = append(declared, f.Value.(string))
		}
	}
	for _, f := range e.Fields {
		if f.Key == audit.KeySHA256 {
			digests = append(digests, f.Value.([]byte))
		}
	}
	if !slices.Equal(to, []string{"x@remote.test", "hidden@remote.test"}) {
		t.Errorf("AU-6: recipients %v", to)
	}
	if len(digests) != 2 || string(digests[0]) == string(digests[1]) {
		t.Errorf("AU-5: %d digests, want those of what was submitted and of what is stored", len(digests))
	}
	if !slices.Equal(declared, []string{`agent-trigger: type=message; ref="<q@remote.test>"`, "agent-run: run 17"}) {
		t.Errorf("AU-3: declared %q", declared)
	}
	if e.Object != receipt.ID || e.Actor.Session != w.p.Session || e.Actor.Credential != w.p.Credential.ID || e.Mailbox == uuid.Nil ||
		e.Personal.Text(audit.KeyMessageID) != "<m@example.com>" || e.Personal.Text(audit.KeyInReplyTo) != "<q@remote.test>" || len(e.Writes) != 2 {
		t.Errorf("AU-1: event %+v", e)
	}
	found, err := w.store.Events(t.Context(), storage.EventQuery{Org: w.org, MessageID: "<m@example.com>"})
	if err != nil || len(found) != 1 || found[0].ID != e.ID {
		t.Errorf("AU-2: %d events by Message-ID: %v", len(found), err)
	}
	if leaves := w.mailbox(w.a, storage.RoleSent)[0].raw; strings.Contains(strings.ToLower(leaves), "agent-") {
		t.Errorf("declared fields leave:\n%s", leaves)
	}
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t, true)
	first, err := w.submit(w.p, "Idempotency-Key: order-17\r\n"+letter, "x@remote.test")
	w.must(err)
	again, err := w.submit(w.p, "Idempotency-Key: order-17\r\nDate: Sat, 3 Jan 2026 00:00:00 +0000\r\n"+letter, "x@remote.test")
	if err != nil || !again.Duplicate || again.ID != first.ID {
		t.Errorf("retry: %+v, %v, want the receipt %v", again, err, first.ID)
	}
	if n := len(w.rows()); n != 1 || len(w.mailbox(w.a, storage.RoleSent)) != 1 || len(w.events(audit.MessageDuplicate)) != 1 {
		t.Errorf("a retry was sent: %d rows", n)
	}
	if r, err := w.submit(w.p, "Idempotency-Key: order-18\r\n"+letter, "x@remote.test"); err != nil || r.Duplicate {
		t.Errorf("another key: %+v, %v", r, err)
	}
	w.advance(25 * time.Hour)
	if r, err := w.submit(w.p, "Idempotency-Key: order-17\r\n"+letter, "x@remote.test"); err != nil || r.Duplicate {
		t.Errorf("the key after a day: %+v, %v", r, err)
	}
}

// TestIdempotencyKeyOfWhatWaits: a retry of what waits for people is told so, and
// waits no second time; one of what was rejected is not told that all is well.
func TestIdempotencyKeyOfWhatWaits(t *testing.T) {
	w := newWorld(t, true)
	w.set(storage.LevelAgent, w.agent.ID, map[policy.Key]string{policy.KeyHoldAlways: "yes", policy.KeyHoldExpiry: "6h"})
	keyed := "Idempotency-Key: order-17\r\n" + letter
	first, err := w.submit(w.p, keyed, "x@remote.test")
	w.must(err)
	again, err := w.submit(w.p, keyed, "x@remote.test")
	if err != nil || !again.Held || !again.Duplicate || again.ID != first.ID {
		t.Errorf("retry: %+v, %v, want %v, held", again, err, first.ID)
	}
	waiting, err := w.store.Approvals(t.Context(), w.org, uuid.Nil, 10)
	if err != nil || len(waiting) != 1 || len(w.rows()) != 1 || len(w.mailbox(w.a, storage.RoleOutbox)) != 1 {
		t.Fatalf("%d wait, %d rows, %v", len(waiting), len(w.rows()), err)
	}
	if e := w.events(audit.MessageDuplicate); len(e) != 1 || e[0].Outcome != audit.Held || e[0].Object != first.ID {
		t.Errorf("%+v", e)
	}
	in, err := w.store.OpenInbox(t.Context(), w.org, w.a.ID)
	w.must(err)
	drafts, err := in.MailboxByRole(t.Context(), storage.RoleDrafts)
	w.must(err)
	w.must(w.store.Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		a := waiting[0]
		return tx.SettleApproval(tx.Record(audit.Event{Verb: audit.ApprovalReject, Org: w.org, Object: a.ID}), in, &a, drafts.ID)
	}))
	if no := w.refusal(second(w.submit(w.p, keyed, "x@remote.test"))); no.Rule != policy.NotApproved || no.Code != 550 {
		t.Errorf("retry of what was rejected: %+v", no)
	}
}

func TestHeaderRules(t *testing.T) {
	w := newWorld(t, true)
	for name, c := range map[string]struct {
		text string
		rule policy.Rule
	}{
		"another From":        {"From: b@example.com\r\n\r\nx\r\n", policy.FromNotInbox},
		"two authors":         {"From: a@example.com, b@example.com\r\n\r\nx\r\n", policy.FromNotInbox},
		"a group":             {"From: team: a@example.com;\r\n\r\nx\r\n", policy.FromNotInbox},
		"two From fields":     {"From: a@example.com\r\nFrom: b@example.com\r\n\r\nx\r\n", policy.FromSeveral},
		"two odd From fields": {"From: a@example.com\r\nfrom : b@example.com\r\n\r\nx\r\n", policy.FromSeveral},
		"no From":             {"Subject: x\r\n\r\nx\r\n", policy.FromMissing},
		"empty From":          {"From:\r\n\r\nx\r\n", policy.FromMissing},
		"no header":           {"\r\nx\r\n", policy.FromMissing},
		"empty":               {"", policy.FromMissing},
		"behind the bracket":  {"From: <a@example.com>b@example.com\r\n\r\nx\r\n", policy.HeaderSyntax},
		"in front of it":      {"From: b@example.com <a@example.com>\r\n\r\nx\r\n", policy.HeaderSyntax},
		"beyond what is read": {"From: a@example.com (" + strings.Repeat("x", 66_000) + "), b@example.com\r\n\r\nx\r\n", policy.HeaderSyntax},
		"two Sender fields":   {"Sender: a@example.com\r\nSender: b@example.com\r\n" + letter, policy.SenderFieldNotInbox},
		"another Sender":      {"Sender: b@example.com\r\n" + letter, policy.SenderFieldNotInbox},
		"mbox line":           {"From a@example.com Fri Jan  2 03:04:05 2026\r\n" + letter, policy.HeaderSyntax},
		"a line without name": {"Subject: x\r\nno field at all\r\n" + letter, policy.HeaderSyntax},
		"a folded first line": {" X: y\r\n" + letter, policy.FromMissing},
		"a name with NUL":     {"X\x00Y: z\r\n" + letter, policy.HeaderSyntax},
		"too many fields":     {strings.Repeat("X: y\r\n", 2000) + letter, policy.HeaderTooLarge},
		"a field too long":    {"X: " + strings.Repeat("y", 1<<20) + "\r\n" + letter, policy.HeaderTooLarge},
		"a loop":              {strings.Repeat("Received: by x; Fri, 2 Jan 2026 03:04:05 +0000\r\n", 60) + letter, policy.MailLoop},
	} {
		before := len(w.events(audit.MessageRefused))
		_, err := w.submit(w.p, c.text, "x@remote.test")
		var refused *submission.RefusedError
		if !errors.As(err, &refused) || refused.Rule != c.rule {
			t.Errorf("%s: %v, want rule %v", name, err, c.rule)
			continue
		}
		if e := w.events(audit.MessageRefused); len(e) != before+1 || e[before].Fields.Text(audit.KeyRule) != c.rule.String() {
			t.Errorf("AU-13: %s left no event", name)
		}
	}
	if len(w.rows()) != 0 || len(w.mailbox(w.a, storage.RoleSent)) != 0 {
		t.Error("something that was refused is stored")
	}
	// What is inside a part is the sender's affair.
	forward := letter[:len(letter)-len("\r\nhello\r\n")] + "Content-Type: message/rfc822\r\n\r\nFrom x\r\nno field\r\nFrom: a@b\r\nFrom: c@d\r\n\r\nold\r\n"
	if _, err := w.submit(w.p, forward, "x@remote.test"); err != nil {
		t.Errorf("a forwarded message with an odd header: %v", err)
	}
}

// TestAC4_SendNeedsTheVerb holds the matrix of verbs against MAIL and DATA.
func TestAC4_SendNeedsTheVerb(t *testing.T) {
	w := newWorld(t, true)
	for verbs := storage.Read; verbs < storage.Send<<1; verbs++ {
		p := w.login(w.a, storage.Live, verbs)
		may := verbs&storage.Send != 0
		early := w.out.CheckSender(t.Context(), p, w.path("a@example.com"))
		_, late := w.submit(p, letter, "x@remote.test")
		for _, err := range []error{early, late} {
			var refused *submission.RefusedError
			if may != (err == nil) || err != nil && (!errors.As(err, &refused) || refused.Rule != policy.ScopeSend || refused.Code != 550) {
				t.Errorf("verbs %s: %v", directory.FormatVerbs(verbs), err)
			}
		}
	}
}

func TestSenders(t *testing.T) {
	w := newWorld(t, true)
	for from, rule := range map[string]policy.Rule{
		"a@example.com": policy.None, "A@EXAMPLE.com": policy.None, "": policy.SenderNull, "b@example.com": policy.SenderNotInbox,
		"x@remote.test": policy.SenderNotInbox,
	} {
		err := w.out.CheckSender(t.Context(), w.p, w.path(from))
		var refused *submission.RefusedError
		if rule == policy.None && err != nil || rule != policy.None && (!errors.As(err, &refused) || refused.Rule != rule) {
			t.Errorf("MAIL FROM:<%s>: %v", from, err)
		}
	}
	if n := len(w.events(audit.MessageRefused)); n != 3 {
		t.Errorf("AU-13: %d events of refused senders, want 3", n)
	}
}

// TestAC5_RecipientsTellNothing: RCPT answers alike for an inbox that exists, one
// that does not, and postmaster.
func TestAC5_RecipientsTellNothing(t *testing.T) {
	w := newWorld(t, true)
	for _, to := range []string{"b@example.com", "nobody@example.com", "postmaster@example.com", "postmaster", "x@remote.test"} {
		path := message.Path{Local: to}
		if strings.Contains(to, "@") {
			path = w.path(to)
		}
		if err := w.out.CheckRecipient(t.Context(), w.p, path, 1); err != nil {
			t.Errorf("RCPT TO:<%s>: %v", to, err)
		}
	}
	var refused *submission.RefusedError
	if err := w.out.CheckRecipient(t.Context(), w.p, w.path("x@remote.test"), policy.MaxRecipients+1); !errors.As(err, &refused) || refused.Code != 452 {
		t.Errorf("RFC 5321, section 4.5.3.1.10: one recipient too many: %v", err)
	}
	if _, err := w.submit(w.p, letter, "nobody@example.com", "postmaster@example.com"); err != nil {
		t.Errorf("submission to nobody: %v", err)
	}
}

// TestUnownedDomain: an unproved domain sends inside and not outside.
func TestUnownedDomain(t *testing.T) {
	w := newWorld(t, false)
	var refused *submission.RefusedError
	if err := w.out.CheckRecipient(t.Context(), w.p, w.path("x@remote.test"), 1); !errors.As(err, &refused) || refused.Rule != policy.DomainNotOwned {
		t.Errorf("RCPT: %v", err)
	}
	if _, err := w.submit(w.p, letter, "b@example.com", "x@remote.test"); !errors.As(err, &refused) || refused.Rule != policy.DomainNotOwned {
		t.Errorf("DATA: %v", err)
	}
	if _, err := w.submit(w.p, letter, "b@example.com"); err != nil {
		t.Errorf("local mail: %v", err)
	}
}

// TestAC14_TestCredentialStaysInside holds that a test login is told yes for every recipient alike, and that only test
// inboxes get the mail: the rest is captured, outside of the queue.
func TestAC14_TestCredentialStaysInside(t *testing.T) {
	w := newWorld(t, false) // an unproved domain is no matter: nothing leaves
	test := w.inbox("test@example.com", storage.Test)
	w.inbox("trial@example.com", storage.Test)
	p := w.login(test, storage.Test, storage.Send)
	everybody := []string{"x@remote.test", "trial@example.com", "b@example.com", "nobody@example.com", "postmaster@example.com"}
	for i, to := range everybody {
		if err := w.out.CheckRecipient(t.Context(), p, w.path(to), i+1); err != nil {
			t.Errorf("RCPT %s: %v", to, err)
		}
	}
	_, err := w.submit(p, strings.Replace(letter, "A@example.com", "test@example.com", 1), everybody...)
	w.must(err)
	rows := w.rows()
	if len(rows) != 1 || !rows[0].Local || rows[0].To != "trial@example.com" {
		t.Errorf("the queue: %+v", rows)
	}
	captured, err := w.store.Captures(t.Context(), w.org, uuid.Nil, 10)
	w.must(err)
	var to []string
	for _, c := range captured {
		to = append(to, c.To)
	}
	if want := slices.Delete(slices.Clone(everybody), 1, 2); !slices.Equal(to, want) {
		t.Errorf("captured for %q, want %q", to, want)
	}
	// The other way round, live mail reaches a test inbox, as mail from outside does.
	_, err = w.submit(w.p, letter, "trial@example.com")
	w.must(err)
	if rows := w.rows(); len(rows) != 2 {
		t.Errorf("%d rows after live mail to a test inbox", len(rows))
	}
}

// TestAC9_RevocationBeatsTheCommit: a credential that ends while its message waits for
// the writer sends nothing.
func TestAC9_RevocationBeatsTheCommit(t *testing.T) {
	w := newWorld(t, true)
	entered, release := make(chan struct{}), make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		w.store.Write(context.Background(), storage.System, func(tx *storage.Tx) error {
			close(entered)
			<-release
			tx.Record(audit.Event{Verb: audit.ServerHeartbeat})
			return nil
		})
	})
	<-entered
	submitted := make(chan error, 1)
	go func() {
		_, err := w.submit(w.p, letter, "x@remote.test")
		submitted <- err
	}()
	time.Sleep(100 * time.Millisecond) // until it waits; were it not there yet, it would be refused all the same
	others.Go(func() {
		w.dir.RevokeCredential(context.Background(), storage.System, w.org, w.p.Credential.ID, "test")
	})
	time.Sleep(100 * time.Millisecond) // it acts in memory before it waits itself
	close(release)
	var ended *directory.AuthError
	if err := <-submitted; !errors.As(err, &ended) {
		t.Errorf("a submission of a credential that was revoked meanwhile: %v", err)
	}
	others.Wait()
	if n := len(w.rows()); n != 0 {
		t.Errorf("%d rows in the queue", n)
	}
}

// TestAC9_RevocationStopsASubmission revokes the credential while the message is
// under way: what was read before counts for nothing.
func TestAC9_RevocationStopsASubmission(t *testing.T) {
	w := newWorld(t, true)
	_, err := w.dir.RevokeCredential(t.Context(), storage.System, w.org, w.p.Credential.ID, "leaked")
	w.must(err)
	var ended *directory.AuthError
	if _, err := w.submit(w.p, letter, "x@remote.test"); !errors.As(err, &ended) {
		t.Errorf("DATA: %v", err)
	}
	if err := w.out.CheckSender(t.Context(), w.p, w.path("a@example.com")); !errors.As(err, &ended) {
		t.Errorf("MAIL: %v", err)
	}
	if err := w.out.CheckRecipient(t.Context(), w.p, w.path("x@remote.test"), 1); !errors.As(err, &ended) {
		t.Errorf("RCPT: %v", err)
	}
	if len(w.rows()) != 0 {
		t.Error("a revoked credential has mail in the queue")
	}
}

// TestKeptAsWritten: what the sender wrote right stays byte for byte.
func TestKeptAsWritten(t *testing.T) {
	w := newWorld(t, true)
	text := "Message-ID: <own@example.com>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0100\r\nAuto-Submitted: no\r\nSender: a@example.com\r\n" +
		"X-Long: " + strings.Repeat("word ", 200) + "\r\n\tfolded\r\nSubject: =?utf-8?Q?gr=C3=BC=C3=9Fe?=\r\nFrom: a@example.com\r\n\r\n" + strings.Repeat("line\r\n", 30000)
	_, err := w.submit(w.p, text, "x@remote.test")
	w.must(err)
	raw := w.mailbox(w.a, storage.RoleSent)[0].raw
	if received, rest, _ := strings.Cut(raw, "Message-ID:"); "Message-ID:"+rest != text || !strings.HasPrefix(received, "Received: by ") {
		t.Errorf("a complete message was changed: %.400q", raw)
	}
}

func TestEightBit(t *testing.T) {
	w := newWorld(t, true)
	_, err := w.submit(w.p, strings.Replace(letter, "hello", "grüße", 1), "x@remote.test")
	w.must(err)
	_, err = w.submit(w.p, strings.Replace(letter, "greetings", "grüße", 1), "x@remote.test")
	w.must(err)
	rows := w.rows()
	if !rows[0].EightBit || rows[0].UTF8 || rows[1].EightBit || !rows[1].UTF8 {
		t.Errorf("8BITMIME %v %v, SMTPUTF8 %v %v", rows[0].EightBit, rows[1].EightBit, rows[0].UTF8, rows[1].UTF8)
	}
}

// TestWalk follows a submission to a local inbox and to one that does not exist:
// through the queue, with the real local transport, to the report.
func TestWalk(t *testing.T) {
	w := newWorld(t, true)
	in := delivery.NewInbound(w.store, w.dir, delivery.Options{Hostname: "mail.example.com", Judge: cleanMail, Now: w.clock})
	local := delivery.NewLocal(in)
	q := queue.New(w.store, queue.Options{Hostname: "mail.example.com", Local: local, Remote: local, Report: in.Report, Now: w.clock})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	receipt, err := w.submit(w.p, "Bcc: b@example.com\r\n"+letter, "b@example.com", "nobody@example.com")
	w.must(err)
	q.Kick()
	for range 2000 {
		if len(w.rows()) == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	w.must(<-done)

	got := w.mailbox(w.b, storage.RoleInbox)
	if len(got) != 1 || strings.Contains(got[0].view, "Bcc") || strings.Contains(got[0].view, "DKIM-Signature") {
		t.Fatalf("local recipient: %+v", got)
	}
	if sent := w.mailbox(w.a, storage.RoleSent); got[0].body.No != sent[0].body.No {
		t.Error("the local copy does not share the body with Sent")
	}
	reports := w.mailbox(w.a, storage.RoleInbox)
	if len(reports) != 1 || !strings.Contains(reports[0].raw, "Status: 5.1.1") || !strings.Contains(reports[0].raw, "Final-Recipient: rfc822; nobody@example.com") {
		t.Errorf("report: %+v", reports)
	}
	trace, err := w.store.Events(t.Context(), storage.EventQuery{Org: w.org, Object: receipt.ID})
	w.must(err)
	var verbs []string
	for _, e := range trace {
		verbs = append(verbs, e.Verb.String())
	}
	slices.Sort(verbs)
	if !slices.Equal(verbs, []string{"message.submitted", "queue.delivered", "queue.failed"}) {
		t.Errorf("events of the submission: %v", verbs)
	}

	// Invariant 11: the rows that are left are those that the log says.
	w.must(w.dir.Flush(t.Context()))
	w.must(w.store.Close())
	verified, err := storage.VerifyData(t.Context(), w.cfg)
	w.must(err)
	for _, problem := range verified.Problems {
		t.Errorf("rows and log differ: %+v", problem)
	}
}

// BenchmarkSubmit sends by many at once, to one address that is known and to a new one
// each time: without rules of holds, and by one under all that look at a message, by
// which what goes to a new address is held.
func BenchmarkSubmit(b *testing.B) {
	for _, c := range []struct {
		name, to string
		senders  int
		holds    bool
	}{{"known/1", "x@remote.test", 1, false}, {"known/8", "x@remote.test", 8, false}, {"known/64", "x@remote.test", 64, false},
		{"new/1", "%d@remote.test", 1, false}, {"new/8", "%d@remote.test", 8, false}, {"new/64", "%d@remote.test", 64, false},
		{"known-under-holds/1", "x@remote.test", 1, true}, {"held/1", "%d@remote.test", 1, true}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, true)
			w.unlimited()
			text := letter + strings.Repeat("The quick brown fox jumps over the lazy dog, and then does it again. 0123456789\r\n", 48)
			send := func(i int64) (submission.Receipt, error) {
				return w.submit(w.p, text, strings.Replace(c.to, "%d", fmt.Sprint(i), 1))
			}
			if _, err := send(-1); err != nil {
				b.Fatal(err)
			}
			if c.holds {
				w.set(storage.LevelAgent, w.agent.ID, map[policy.Key]string{policy.KeyHoldFirstTime: "yes", policy.KeyHoldNewDomain: "yes",
					policy.KeyHoldAttachment: "yes", policy.KeyHoldForward: "yes", policy.KeyHoldRecipients: "50", policy.KeyHoldRate: "1000000"})
			}
			var n atomic.Int64
			b.ResetTimer()
			before := computed(b)
			var all sync.WaitGroup
			for range c.senders {
				all.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						r, err := send(i)
						if err != nil || r.Held != (c.name == "held/1") {
							b.Errorf("%+v, %v", r, err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64((computed(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// TestAC6_SessionTokenInManyMessages: in however many messages at once the token of a
// person's session stands, it ends, once; those that came before its end are stopped.
func TestAC6_SessionTokenInManyMessages(t *testing.T) {
	w := newWorld(t, true)
	who := storage.Person{Head: storage.Head{Org: w.org}, Address: "ada@example.com", Roles: []storage.PersonRole{storage.PersonAdmin}}
	w.must(w.store.Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		p := who
		defer func() { who = p }()
		return tx.CreatePerson(tx.Record(audit.Event{Verb: audit.PersonCreate}), &p)
	}))
	_, token, err := w.dir.StartSession(t.Context(), storage.System, who, directory.SessionSpec{Door: "control", Factor: true})
	w.must(err)
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { _, errs[i] = w.submit(w.p, letter+token+"\r\n", "x@remote.test") })
	}
	all.Wait()
	stopped := 0
	for _, err := range errs {
		if err != nil && w.refusal(err).Rule == policy.TokenLeaked {
			stopped++
		}
	}
	if n := len(w.events(audit.PersonLogout)); n != 1 || stopped == 0 {
		t.Errorf("%d were stopped and the session ended %d times", stopped, n)
	}
	if _, err := w.dir.PersonSession(t.Context(), token); !errors.Is(err, directory.ErrSession) {
		t.Errorf("the session lives: %v", err)
	}
}

// computed is what the processors did for this process.
func computed(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
