package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// A model of the mail side in memory: what the store must agree with after any
// sequence of operations.
type modelBox struct {
	id         uuid.UUID
	name       string
	role       Role
	subscribed bool
	validity   uint32
	next       uint32
	messages   []modelMessage
}

type modelMessage struct {
	uid   uint32
	id    uuid.UUID
	size  int64
	flags string // names, sorted, separated by spaces
	body  byte
}

type model struct {
	*testStore
	t     *testing.T
	in    *Inbox
	rng   *rand.Rand
	boxes map[uuid.UUID]*modelBox
	// seen is what a session with an old view knows of each mailbox.
	seen map[uuid.UUID]view
}

type view struct {
	modseq   uint64
	messages map[uint32]string // flags by UID
}

// TestModel runs random operations against store and model, some of them in
// transactions that are rolled back, and compares everything that can be read.
func TestModel(t *testing.T) {
	steps := 600
	if testing.Short() {
		steps = 150
	}
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			ts, in, _ := newMailStore(t)
			m := &model{testStore: ts, t: t, in: in, rng: rand.New(rand.NewPCG(seed, 1)), boxes: map[uuid.UUID]*modelBox{}, seen: map[uuid.UUID]view{}}
			boxes, err := in.Mailboxes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range boxes {
				m.boxes[b.ID] = &modelBox{id: b.ID, name: b.Name, role: b.Role, subscribed: b.Subscribed, validity: b.UIDValidity, next: 1}
			}
			for range steps {
				m.step()
			}
			m.check()
			m.verify()
		})
	}
}

// verify replays the log against the rows: the events alone say which UIDs live
// in which mailbox, and what each mailbox's record is.
func (m *model) verify() {
	m.t.Helper()
	if err := m.Close(); err != nil {
		m.t.Fatal(err)
	}
	report, err := VerifyData(m.t.Context(), m.cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, p := range report.Problems {
		m.t.Error(p)
	}
}

func (m *model) step() {
	before := m.clone()
	var undo bool
	switch op := m.rng.IntN(100); {
	case op < 40:
		undo = m.do(audit.MessageReceived, m.deposit)
	case op < 60:
		undo = m.do(audit.MessageFlagged, m.setFlags)
	case op < 68:
		undo = m.do(audit.MessageCopied, m.copy)
	case op < 76:
		undo = m.do(audit.MessageMoved, m.move)
	case op < 84:
		undo = m.do(audit.MessageExpunged, m.expunge)
	case op < 88:
		undo = m.do(audit.MailboxCreate, m.create)
	case op < 91:
		undo = m.do(audit.MailboxRename, m.rename)
	case op < 93:
		undo = m.do(audit.MailboxDelete, m.delete)
	case op < 95:
		undo = m.do(audit.MailboxSubscribe, m.subscribe)
	case op < 98:
		m.look()
	default:
		m.check()
	}
	if undo {
		m.boxes = before
	}
}

var errUndo = errors.New("undo")

// do runs one operation; one in ten is rolled back.
func (m *model) do(v audit.Verb, fn func(tx *Tx, e *audit.Event) error) (undo bool) {
	m.t.Helper()
	undo = m.rng.IntN(10) == 0
	err := m.Write(context.Background(), System, func(tx *Tx) error {
		if err := fn(tx, tx.Record(audit.Event{Verb: v})); err != nil || !undo {
			return err
		}
		return errUndo
	})
	if errors.Is(err, errExpected) {
		return true
	}
	if err != nil && err != errUndo {
		m.t.Fatalf("%s: %v", v, err)
	}
	return undo
}

// errExpected: the store refused what the model refuses too.
var errExpected = errors.New("expected")

func (m *model) clone() map[uuid.UUID]*modelBox {
	boxes := map[uuid.UUID]*modelBox{}
	for id, b := range m.boxes {
		c := *b
		c.messages = slices.Clone(b.messages)
		boxes[id] = &c
	}
	return boxes
}

// pick takes a mailbox by chance, the same one for the same seed.
func (m *model) pick() *modelBox {
	all := slices.SortedFunc(maps.Values(m.boxes), func(a, b *modelBox) int { return strings.Compare(a.name+a.role.String(), b.name+b.role.String()) })
	return all[m.rng.IntN(len(all))]
}

// uids takes ranges by chance, overlapping and out of order as a client may.
func (m *model) uids(b *modelBox) (ranges []UIDRange, has func(uint32) bool) {
	for range 1 + m.rng.IntN(4) {
		first := 1 + m.rng.Uint32N(b.next+2)
		ranges = append(ranges, UIDRange{First: first, Last: first + m.rng.Uint32N(6)})
	}
	return ranges, func(uid uint32) bool {
		return slices.ContainsFunc(ranges, func(r UIDRange) bool { return r.First <= uid && uid <= r.Last })
	}
}

var someFlags = []string{`\Seen`, `\Deleted`, `\Flagged`, "$Junk", "red", "Green", "blue-ish"}

func (m *model) flags() (flags Flags, keywords, names []string) {
	for _, name := range someFlags {
		if m.rng.IntN(3) != 0 {
			continue
		}
		names = append(names, name)
		if f, ok := ParseFlag(name); ok {
			flags |= f
		} else {
			keywords = append(keywords, name)
		}
	}
	return flags, keywords, names
}

func join(names []string) string {
	sort.Strings(names)
	return strings.Join(slices.Compact(names), " ")
}

func (m *model) deposit(tx *Tx, e *audit.Event) error {
	b := m.pick()
	size := 100 + m.rng.IntN(3000)
	if m.rng.IntN(20) == 0 {
		size = inlineLimit + m.rng.IntN(100000)
	}
	fill := byte(m.rng.IntN(256))
	g := m.stage(m.t, slices.Repeat([]byte{fill}, size))
	tx.afterCommit(g.Discard)
	d := letter(int(fill))
	flags, keywords, names := m.flags()
	d.Flags, d.Keywords, d.SHA256, d.Size = flags|SenderVerified, keywords, g.SHA256(), int64(size+10)
	var err error
	if d.Body, err = tx.AddBody(g); err != nil {
		return err
	}
	uid, err := tx.Deposit(e, m.in, b.id, d)
	if uid != b.next {
		m.t.Errorf("UID %d, want %d", uid, b.next)
	}
	b.messages = append(b.messages, modelMessage{uid: uid, id: d.ID, size: d.Size, flags: join(append(names, "$SenderVerified")), body: fill})
	b.next++
	return err
}

func (m *model) setFlags(tx *Tx, e *audit.Event) error {
	b := m.pick()
	ranges, has := m.uids(b)
	flags, keywords, names := m.flags()
	op := FlagOp(m.rng.IntN(3))
	var want []uint32
	for i := range b.messages {
		msg := &b.messages[i]
		if !has(msg.uid) {
			continue
		}
		now := strings.Fields(msg.flags)
		switch op {
		case AddFlags:
			now = append(now, names...)
		case RemoveFlags:
			now = slices.DeleteFunc(now, func(n string) bool { return slices.Contains(names, n) })
		case ReplaceFlags:
			now = append(slices.Clone(names), "$SenderVerified")
		}
		if joined := join(now); joined != msg.flags {
			msg.flags = joined
			want = append(want, msg.uid)
		}
	}
	changed, err := tx.SetFlags(e, m.in, b.id, ranges, op, flags|Held|InjectionSuspected, keywords)
	if !slices.Equal(uidsOf(changed), want) && len(want)+len(changed) > 0 {
		m.t.Errorf("changed %v, want %v", changed, want)
	}
	return err
}

// transfer copies in the model and returns the UIDs of both sides.
func (m *model) transfer(from, to *modelBox, has func(uint32) bool) (src, dst []uint32) {
	for _, msg := range slices.Clone(from.messages) {
		if !has(msg.uid) {
			continue
		}
		src = append(src, msg.uid)
		msg.uid = to.next
		to.next++
		dst = append(dst, msg.uid)
		to.messages = append(to.messages, msg)
	}
	return src, dst
}

func (m *model) copy(tx *Tx, e *audit.Event) error {
	from, to := m.pick(), m.pick()
	ranges, has := m.uids(from)
	src, dst, err := tx.CopyMessages(e, m.in, from.id, ranges, to.id)
	wantSrc, wantDst := m.transfer(from, to, has)
	if !slices.Equal(src, wantSrc) || !slices.Equal(dst, wantDst) {
		m.t.Errorf("copy %v to %v, want %v to %v", src, dst, wantSrc, wantDst)
	}
	return err
}

func (m *model) move(tx *Tx, e *audit.Event) error {
	from, to := m.pick(), m.pick()
	ranges, has := m.uids(from)
	src, dst, err := tx.MoveMessages(e, m.in, from.id, ranges, to.id)
	wantSrc, wantDst := m.transfer(from, to, has)
	from.messages = slices.DeleteFunc(from.messages, func(msg modelMessage) bool { return slices.Contains(wantSrc, msg.uid) })
	if !slices.Equal(src, wantSrc) || !slices.Equal(dst, wantDst) {
		m.t.Errorf("move %v to %v, want %v to %v", src, dst, wantSrc, wantDst)
	}
	return err
}

func (m *model) expunge(tx *Tx, e *audit.Event) error {
	b := m.pick()
	ranges, has := m.uids(b)
	if m.rng.IntN(3) == 0 {
		ranges, has = nil, func(uint32) bool { return true }
	}
	only := ranges == nil || m.rng.IntN(2) == 0
	gone, err := tx.Expunge(e, m.in, b.id, ranges, only)
	var want []uint32
	b.messages = slices.DeleteFunc(b.messages, func(msg modelMessage) bool {
		goes := has(msg.uid) && (!only || strings.Contains(msg.flags, `\Deleted`))
		if goes {
			want = append(want, msg.uid)
		}
		return goes
	})
	if !slices.Equal(gone, want) {
		m.t.Errorf("expunged %v, want %v", gone, want)
	}
	return err
}

var someNames = []string{"a", "b", "a/b", "a/b/c", "b/a", "x"}

func (m *model) named(name string) *modelBox {
	for _, b := range m.boxes {
		if b.name == name {
			return b
		}
	}
	return nil
}

func (m *model) create(tx *Tx, e *audit.Event) error {
	name := someNames[m.rng.IntN(len(someNames))]
	b, err := tx.CreateMailbox(e, m.in, name, RoleNone)
	if m.named(name) != nil {
		if !errors.Is(err, ErrConflict) {
			m.t.Errorf("create %s twice: %v", name, err)
		}
		return errExpected
	}
	if err != nil {
		return err
	}
	m.boxes[b.ID] = &modelBox{id: b.ID, name: name, validity: b.UIDValidity, next: 1}
	return nil
}

func (m *model) rename(tx *Tx, e *audit.Event) error {
	b, name := m.pick(), someNames[m.rng.IntN(len(someNames))]
	if b.role != RoleNone {
		return nil // TestRenameInbox
	}
	clash := name == b.name || strings.HasPrefix(name, b.name+"/")
	renamed := map[*modelBox]string{b: name}
	for _, o := range m.boxes {
		if rest, below := strings.CutPrefix(o.name, b.name+"/"); below {
			renamed[o] = name + "/" + rest
		}
	}
	for _, to := range renamed {
		clash = clash || m.named(to) != nil
	}
	err := tx.RenameMailbox(e, m.in, b.id, name)
	if clash {
		// A name that one of the moved ones leaves free may serve or not.
		if err == nil {
			m.t.Errorf("rename %s to %s went through", b.name, name)
		}
		return errExpected
	}
	for o, to := range renamed {
		o.name = to
	}
	return err
}

func (m *model) delete(tx *Tx, e *audit.Event) error {
	b := m.pick()
	err := tx.DeleteMailbox(e, m.in, b.id)
	if b.role != RoleNone {
		if !errors.Is(err, ErrConflict) {
			m.t.Errorf("delete %s: %v", b.name, err)
		}
		return errExpected
	}
	delete(m.boxes, b.id)
	return err
}

func (m *model) subscribe(tx *Tx, e *audit.Event) error {
	b := m.pick()
	b.subscribed = !b.subscribed
	return tx.SetSubscribed(e, m.in, b.id, b.subscribed)
}

// look brings the old view of one mailbox up to date by Changes, and compares it
// with the mailbox itself.
func (m *model) look() {
	m.t.Helper()
	b := m.pick()
	v, known := m.seen[b.id]
	if !known {
		v.messages = map[uint32]string{}
	}
	c, err := m.in.Changes(m.t.Context(), b.id, v.modseq)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, uid := range c.Vanished {
		delete(v.messages, uid)
	}
	for _, f := range c.Flags {
		if _, ok := v.messages[f.UID]; !ok || f.Modseq <= v.modseq || f.Modseq > c.Modseq {
			m.t.Errorf("flags of UID %d at %d, which the view at %d does not have", f.UID, f.Modseq, v.modseq)
		}
		v.messages[f.UID] = m.names(b.id, f.Flags)
	}
	for _, uid := range c.New {
		if _, ok := v.messages[uid]; ok {
			m.t.Errorf("UID %d is new twice", uid)
		}
		v.messages[uid] = ""
	}
	err = m.in.Scan(m.t.Context(), b.id, audit.UIDsOf(c.New...), false, func(msg *Message) error {
		v.messages[msg.UID] = m.names(b.id, msg.Flags)
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	v.modseq = c.Modseq
	m.seen[b.id] = v
	want := map[uint32]string{}
	for _, msg := range b.messages {
		want[msg.uid] = msg.flags
	}
	if !maps.Equal(v.messages, want) || c.UIDNext != b.next {
		m.t.Fatalf("view of %s: %v, want %v", b.name, v.messages, want)
	}
}

func (m *model) names(mailbox uuid.UUID, f Flags) string {
	box, err := m.in.Mailbox(m.t.Context(), mailbox)
	if err != nil {
		m.t.Fatal(err)
	}
	return join(f.Names(box.Keywords))
}

// check compares all that can be read.
func (m *model) check() {
	m.t.Helper()
	boxes, err := m.in.Mailboxes(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	if len(boxes) != len(m.boxes) {
		m.t.Fatalf("%d mailboxes, want %d", len(boxes), len(m.boxes))
	}
	for _, got := range boxes {
		b := m.boxes[got.ID]
		if b == nil || got.Name != b.name || got.Role != b.role || got.Subscribed != b.subscribed || got.UIDValidity != b.validity || got.UIDNext != b.next {
			m.t.Fatalf("mailbox %+v, want %+v", got, b)
		}
		m.checkMessages(got, b)
	}
	m.checkBodies()
}

func (m *model) checkMessages(got Mailbox, b *modelBox) {
	m.t.Helper()
	var unseen, deleted, bytes int
	uids, _, err := m.in.UIDs(m.t.Context(), b.id)
	all := scanAll(m.t, m.in, b.id)
	if err != nil || len(all) != len(b.messages) || len(uids) != len(b.messages) {
		m.t.Fatalf("%s: %d messages and %d UIDs, want %d, %v", b.name, len(all), len(uids), len(b.messages), err)
	}
	for i, want := range b.messages {
		msg := all[i]
		if flags := join(msg.Flags.Names(got.Keywords)); uids[i] != want.uid || msg.UID != want.uid || msg.ID != want.id || msg.Size != want.size || flags != want.flags {
			m.t.Fatalf("%s: message %+v with %q, want %+v", b.name, msg, flags, want)
		}
		if m.rng.IntN(5) == 0 && readBody(m.t, m.in, &msg)[0] != want.body {
			m.t.Fatalf("%s: message %d has another's body", b.name, want.uid)
		}
		bytes += int(msg.Size)
		if msg.Flags&Seen == 0 {
			unseen++
		}
		if msg.Flags&Deleted != 0 {
			deleted++
		}
	}
	if int(got.Messages) != len(all) || int(got.Unseen) != unseen || int(got.Deleted) != deleted || int(got.Bytes) != bytes {
		m.t.Fatalf("%s: counters %+v, recounted %d, %d, %d, %d", b.name, got, len(all), unseen, deleted, bytes)
	}
}

// checkBodies recounts the references of bodies, and their files.
func (m *model) checkBodies() {
	m.t.Helper()
	wrong := m.number(m.t, `SELECT COUNT(*) FROM body b LEFT JOIN body_ref f ON f.no = b.no
		WHERE COALESCE(f.refs, 1) <> (SELECT COUNT(*) FROM message WHERE body = b.no)`)
	lost := m.number(m.t, "SELECT COUNT(*) FROM message WHERE body NOT IN (SELECT no FROM body)")
	stray := m.number(m.t, "SELECT COUNT(*) FROM body_ref WHERE no NOT IN (SELECT no FROM body)") +
		m.number(m.t, "SELECT COUNT(*) FROM content WHERE place NOT IN (SELECT place FROM message) OR place / 4294967296 NOT IN (SELECT no FROM mailbox)")
	if wrong+lost+stray != 0 {
		m.t.Fatalf("%d bodies with wrong counts, %d messages without body, %d stray rows", wrong, lost, stray)
	}
	m.bodies.removals.Wait()
	if _, err := m.SweepBodies(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	if rows := m.number(m.t, "SELECT COUNT(*) FROM body WHERE file IS NOT NULL"); len(m.files(m.t)) < rows {
		m.t.Fatalf("%d files for %d rows", len(m.files(m.t)), rows)
	}
}
