package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// NoEvent is the sequence number of a Difference that no event speaks of.
const NoEvent = ^uint64(0)

// MaxDifferences bounds what Replay.Differences returns.
const MaxDifferences = 1000

// Replay holds stored rows against the log. It is fed all events in their order and remembers, for each decisive row,
// the version and digest that was written last, and for each mailbox which UIDs live in it. Then it is shown the rows,
// and what differs was changed behind the log's back.
//
// What an event did to messages is read from its fields, in Event.Mailbox: KeyUID was stored, KeyUIDs were removed, and
// with KeyToMailbox they became KeyToUIDs there (message.copied left them in place). Events that only concern messages
// which stay as they are (reads, lists, flags, duplicates, refusals) say UIDs without such an effect.
//
// The content of a message is written once, by the event that stored it. An event that wrote it again says so in Writes,
// under ContentTable; what left the mailbox afterwards takes that along.
//
// A row takes about 100 bytes, a mailbox 16 for each run of UIDs.
type Replay struct {
	next      uint64
	rows      map[rowKey]rowState
	tables    []string
	odd       map[rowKey][]byte // ids that are not 16 bytes long, by their key
	mailboxes map[uuid.UUID]*liveUIDs
	found     []Difference
}

// rowKey is a table's number and the id, or for ids of other lengths a hash of it.
type rowKey struct {
	id    [16]byte
	table uint16
}

type rowState struct {
	version uint64
	seq     uint64   // of the event that wrote it
	digest  [16]byte // first half
}

type liveUIDs struct {
	UIDs
	last      uint32 // highest ever given
	seq       uint64 // of the last event that changed the set
	rewritten map[uint32]rewrite
}

// rewrite is the last time the content of a message was written again.
type rewrite struct{ version, seq uint64 }

// ContentTable is the table of what messages hold sealed. An id in it is a mailbox and, in four bytes, a UID.
const ContentTable = "content"

// Difference is a row, or a mailbox's messages, that is not what the log says.
type Difference struct {
	Seq  uint64 // of the event that says otherwise; NoEvent when there is none
	Row  string // table and id
	What string
}

// String says what differs and where the log says otherwise.
func (d Difference) String() string {
	if d.Seq == NoEvent {
		return fmt.Sprintf("%s: %s", d.Row, d.What)
	}
	return fmt.Sprintf("%s: %s (event %d)", d.Row, d.What, d.Seq)
}

// NewReplay returns a replay that has seen nothing.
func NewReplay() *Replay {
	return &Replay{rows: map[rowKey]rowState{}, odd: map[rowKey][]byte{}, mailboxes: map[uuid.UUID]*liveUIDs{}}
}

func (r *Replay) differ(seq uint64, row, what string) {
	if len(r.found) < MaxDifferences {
		r.found = append(r.found, Difference{seq, row, what})
	}
}

// Add feeds the next event. The log itself may contradict itself: a number is missing, a version goes back, a UID is
// given twice or removed without having been there. These are Differences too.
func (r *Replay) Add(e *Event) {
	if e.Seq != r.next {
		r.differ(r.next, "event", "missing from the log")
	}
	r.next = e.Seq + 1
	r.addMessages(e)
	for i := range e.Writes {
		r.addWrite(e.Seq, &e.Writes[i])
	}
	if e.Verb == MailboxDelete {
		delete(r.mailboxes, e.Mailbox)
	}
}

func (r *Replay) addWrite(seq uint64, w *Write) {
	if w.Table == ContentTable && len(w.ID) == 20 {
		r.rewritten(seq, w)
		return
	}
	key := r.key(w.Table, w.ID)
	if old, ok := r.rows[key]; ok && w.Version < old.version {
		r.differ(seq, rowName(w.Table, w.ID), fmt.Sprintf("version %d was written after version %d", w.Version, old.version))
	}
	if w.Digest != [32]byte{} {
		r.rows[key] = rowState{w.Version, seq, [16]byte(w.Digest[:16])}
		return
	}
	delete(r.rows, key)
	delete(r.odd, key)
	// The row of a mailbox takes its messages along, whatever verb ended it.
	if len(w.ID) == 16 {
		delete(r.mailboxes, uuid.UUID(w.ID))
	}
}

// rewritten notes that the content of a message was written again.
func (r *Replay) rewritten(seq uint64, w *Write) {
	mailbox, uid := uuid.UUID(w.ID[:16]), binary.BigEndian.Uint32(w.ID[16:])
	m := r.mailboxes[mailbox]
	if m == nil || !m.Contains(uid) {
		r.differ(seq, messagesOf(mailbox), fmt.Sprintf("UID %d was written again without being there", uid))
		return
	}
	if m.rewritten == nil {
		m.rewritten = map[uint32]rewrite{}
	}
	if old := m.rewritten[uid]; w.Version <= old.version {
		r.differ(seq, messagesOf(mailbox), fmt.Sprintf("UID %d was written in version %d after version %d", uid, w.Version, old.version))
	}
	m.rewritten[uid] = rewrite{w.Version, seq}
}

func (r *Replay) key(table string, id []byte) rowKey {
	n := slices.Index(r.tables, table)
	if n < 0 {
		n = len(r.tables)
		r.tables = append(r.tables, table)
	}
	if len(id) == 16 {
		return rowKey{[16]byte(id), uint16(n)}
	}
	sum := sha256.Sum256(id)
	key := rowKey{[16]byte(sum[:16]), uint16(n)}
	r.odd[key] = bytes.Clone(id)
	return key
}

func (r *Replay) addMessages(e *Event) {
	switch e.Verb {
	case MessageRead, MessageSearched, MessageFlagged, MessageTraced, MessageDuplicate, MessageRefused, MessageRescored, MessageRendered, MessageListed:
		return
	}
	if e.Mailbox == uuid.Nil {
		return
	}
	to, moved := e.Fields.ID(KeyToMailbox)
	if uids, ok := e.Fields.UIDs(KeyUIDs); ok && e.Verb != MessageCopied {
		r.removed(e.Seq, e.Mailbox, uids)
	}
	if uids, ok := e.Fields.UIDs(KeyToUIDs); ok && moved {
		r.stored(e.Seq, to, uids)
	}
	if uid, ok := e.Fields.Int(KeyUID); ok && uid > 0 && uid <= math.MaxUint32 {
		r.stored(e.Seq, e.Mailbox, UIDsOf(uint32(uid)))
	}
}

func (r *Replay) stored(seq uint64, mailbox uuid.UUID, uids UIDs) {
	m := r.mailboxes[mailbox]
	if m == nil {
		m = new(liveUIDs)
		r.mailboxes[mailbox] = m
	}
	m.seq = seq
	for _, u := range uids {
		if u.First <= m.last {
			r.differ(seq, messagesOf(mailbox), fmt.Sprintf("UID %d was given again after %d", u.First, m.last))
		}
		m.last = max(m.last, u.Last)
		m.Add(u.First, u.Last)
	}
}

func (r *Replay) removed(seq uint64, mailbox uuid.UUID, uids UIDs) {
	m := r.mailboxes[mailbox]
	if m == nil {
		m = new(liveUIDs)
		r.mailboxes[mailbox] = m
	}
	m.seq = seq
	maps.DeleteFunc(m.rewritten, func(uid uint32, _ rewrite) bool { return uids.Contains(uid) })
	for _, u := range uids {
		if n := m.Remove(u.First, u.Last); n != uint64(u.Last-u.First)+1 {
			r.differ(seq, messagesOf(mailbox), "UIDs were removed that were not there: "+brief(UIDs{u}))
		}
	}
}

// Row shows a decisive row as it is stored: its version, and the SHA-256 of its sealed record. Show each row once.
func (r *Replay) Row(table string, id []byte, version uint64, digest [32]byte) {
	key := r.key(table, id)
	want, ok := r.rows[key]
	switch name := rowName(table, id); {
	case !ok:
		r.differ(NoEvent, name, "no event wrote the row, or a later one deleted it")
	case version != want.version:
		r.differ(want.seq, name, fmt.Sprintf("the row has version %d, and version %d was written", version, want.version))
	case [16]byte(digest[:16]) != want.digest:
		r.differ(want.seq, name, "the record is not the one that was written")
	}
	delete(r.rows, key)
	delete(r.odd, key)
}

// Content shows that a message is there in a version of its content. Show those that were scored, before the Messages
// of the mailbox.
func (r *Replay) Content(mailbox uuid.UUID, uid uint32, version uint64) {
	m := r.mailboxes[mailbox]
	if m == nil {
		return // Messages says that
	}
	want, known := m.rewritten[uid]
	if known && version != want.version {
		r.differ(want.seq, messagesOf(mailbox), fmt.Sprintf("UID %d has version %d, and version %d was written", uid, version, want.version))
	}
	delete(m.rewritten, uid)
}

// Messages shows the UIDs that a mailbox has in the store. Show each mailbox that has any once.
func (r *Replay) Messages(mailbox uuid.UUID, have UIDs) {
	want := r.mailboxes[mailbox]
	if want == nil {
		want = &liveUIDs{seq: NoEvent}
	}
	for uid, w := range want.rewritten {
		if have.Contains(uid) {
			r.differ(w.seq, messagesOf(mailbox), fmt.Sprintf("UID %d is as it was before it was written again", uid))
		}
	}
	if extra := have.Minus(want.UIDs); len(extra) > 0 {
		r.differ(want.seq, messagesOf(mailbox), "no event stored UIDs "+brief(extra))
	}
	if lost := want.Minus(have); len(lost) > 0 {
		r.differ(want.seq, messagesOf(mailbox), "the log has UIDs that are gone: "+brief(lost))
	}
	delete(r.mailboxes, mailbox)
}

// Differences returns what was found, at most MaxDifferences, and of what was never shown, that it is gone. Call it
// once, after all events were fed and all rows shown.
func (r *Replay) Differences() []Difference {
	var lost []Difference
	for key, want := range r.rows {
		id := key.id[:]
		if odd, ok := r.odd[key]; ok {
			id = odd
		}
		lost = append(lost, Difference{want.seq, rowName(r.tables[key.table], id), "the row is gone"})
	}
	for mailbox, want := range r.mailboxes {
		if len(want.UIDs) > 0 {
			lost = append(lost, Difference{want.seq, messagesOf(mailbox), "the log has UIDs that are gone: " + brief(want.UIDs)})
		}
	}
	slices.SortFunc(lost, func(a, b Difference) int { return strings.Compare(a.Row, b.Row) })
	for _, d := range lost {
		r.differ(d.Seq, d.Row, d.What)
	}
	return r.found
}

func messagesOf(mailbox uuid.UUID) string { return "messages of mailbox " + mailbox.String() }

func rowName(table string, id []byte) string {
	switch {
	case len(id) == 16:
		return table + " " + uuid.UUID(id).String()
	case utf8.Valid(id) && isWord(string(id)):
		return table + " " + string(id)
	}
	return table + " " + hex.EncodeToString(id)
}

// brief shows at most eight ranges.
func brief(s UIDs) string {
	if len(s) > 8 {
		return fmt.Sprintf("%s … (%d in all)", s[:8], s.Count())
	}
	return s.String()
}
