package storage

import (
	"context"
	"time"

	"postern/storage/audit"

	"github.com/google/uuid"
)

// Verdict is what the injection scorer said of a message when it came in.
type Verdict uint8

const (
	Unscored Verdict = iota
	Clean
	Suspicious
	Quarantine
	Partial // scored in part, because of its size or its defects
)

// Origin is the door through which a message came.
type Origin uint8

const (
	OriginUnknown    Origin = iota
	OriginMX                // from outside, on port 25
	OriginSubmission        // from a credential of this server, for another inbox or as a sender's copy
	OriginAppend            // put there by a client, with APPEND
	OriginReport            // a delivery report (RFC 3464) that this server wrote
	OriginNotice            // another notice that this server wrote
)

// Content is what a message row holds sealed, under a key of the inbox and bound
// to mailbox and UID. It never changes (invariant 13).
type Content struct {
	Body      BodyRef // Key is set for Deposit alone, and zero in what Scan hands out: OpenBody unwraps it
	Structure []byte  // server/message's binary form; opaque here
	Overlay   []byte  // the frozen view of this copy: header block in front, hidden fields; opaque here
	Auth      []byte  // authentication results; opaque here
	Verdict   Verdict
	Score     float32
	Model     string
	SHA256    [32]byte // of the body's bytes
	MessageID string
	Origin    Origin
}

// Message is one message of a mailbox.
type Message struct {
	Mailbox  uuid.UUID
	UID      uint32
	ID       uuid.UUID // the same for all copies of a message
	Modseq   uint64
	Size     int64 // bytes of the view that IMAP shows
	Received time.Time
	Flags    Flags
	Content  *Content // nil when read without
}

// Deposit is a message to store.
type Deposit struct {
	ID       uuid.UUID
	Received time.Time
	Flags    Flags    // the fixed ones, ServerFlags included
	Keywords []string // the others, by name; those beyond the mailbox's table are left out
	Size     int64    // bytes of the view that IMAP shows
	Content
}

// Deposit stores a message in a mailbox and returns its UID. It takes UID and
// modseq from the mailbox's counters, holds the body, and adds mailbox and UID
// to the event. ErrNotFound when the mailbox is not one of in.
func (tx *Tx) Deposit(e *audit.Event, in *Inbox, mailbox uuid.UUID, d Deposit) (uid uint32, err error) {
	panic("in the next commit")
}

// CopyMessages copies messages within an inbox; contents, flags and dates come
// along (RFC 9051, section 6.4.7). src and dst pair the UIDs in both mailboxes.
// UIDs that are not there are left out.
func (tx *Tx) CopyMessages(e *audit.Event, in *Inbox, from uuid.UUID, uids []UIDRange, to uuid.UUID) (src, dst []uint32, err error) {
	panic("in the next commit")
}

// MoveMessages is CopyMessages and Expunge in one (RFC 9051, section 6.4.8).
func (tx *Tx) MoveMessages(e *audit.Event, in *Inbox, from uuid.UUID, uids []UIDRange, to uuid.UUID) (src, dst []uint32, err error) {
	panic("in the next commit")
}

// Expunge removes the messages in uids, or all for nil; with onlyDeleted those
// of them that have the flag Deleted. Returns the UIDs that went, in order.
func (tx *Tx) Expunge(e *audit.Event, in *Inbox, mailbox uuid.UUID, uids []UIDRange, onlyDeleted bool) ([]uint32, error) {
	panic("in the next commit")
}

// UIDs lists the UIDs of a mailbox in order, and the modseq at which the list is
// true.
func (in *Inbox) UIDs(ctx context.Context, mailbox uuid.UUID) ([]uint32, uint64, error) {
	panic("in the next commit")
}

// Scan calls fn for each message of uids that is there, in UID order, once. Rows are
// read in chunks, each in a short read transaction of its own; fn runs
// outside of any, so it may write to the network. The Message, its Content and
// their slices are valid until fn returns, and used again. An error of fn ends
// the scan and is returned. A content that does not open is ErrCorrupt, at that
// message: those before it were handed out, and a scan that begins after it
// goes on.
func (in *Inbox) Scan(ctx context.Context, mailbox uuid.UUID, uids []UIDRange, withContent bool, fn func(*Message) error) error {
	panic("in the next commit")
}
