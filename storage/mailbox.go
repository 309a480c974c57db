package storage

import (
	"context"
	"errors"

	"postern/storage/audit"

	"github.com/google/uuid"
)

// ErrLimit is the answer when an inbox has no room for another mailbox, a
// mailbox none for another keyword, or a counter has run out.
var ErrLimit = errors.New("storage: limit reached")

// Delimiter stands between the levels of a mailbox name.
const Delimiter = "/"

// MaxMailboxes is how many mailboxes one inbox can hold, and MaxMailboxName the
// longest name in bytes.
const (
	MaxMailboxes   = 1000
	MaxMailboxName = 1000
)

// Role is the special use of a mailbox (RFC 6154), or none. It never changes.
type Role int

const (
	RoleNone Role = iota
	RoleInbox
	RoleSent
	RoleDrafts
	RoleTrash
	RoleArchive
	RoleOutbox     // messages that wait for a person's decision or for the network
	RoleQuarantine // does not exist for an agent
)

// Mailbox is one mailbox of an inbox, with its counters at the moment of
// reading.
type Mailbox struct {
	ID, Inbox, Org uuid.UUID
	Name           string // UTF-8, levels divided by Delimiter; "INBOX" for RoleInbox
	Role           Role
	Subscribed     bool
	UIDValidity    uint32 // never changes, never used again within the inbox
	UIDNext        uint32
	Modseq         uint64
	Messages       uint32
	Unseen         uint32 // without Seen
	Deleted        uint32 // with Deleted
	Bytes          int64  // sum of Message.Size
	Keywords       []string
}

// Inbox is what a session holds of the store: the door to one inbox, and to
// nothing else. A mailbox of another inbox and one that does not exist give the
// same ErrNotFound. It is safe for use by several goroutines, and needs no
// closing.
type Inbox struct {
	store  *Store
	record InboxRecord
}

// OpenInbox opens the door to one inbox of an organization; ErrNotFound when
// there is none, when it belongs to another organization, or when its key was
// destroyed.
func (s *Store) OpenInbox(ctx context.Context, org, id uuid.UUID) (*Inbox, error) {
	panic("in the next commit")
}

// ID is the inbox's id.
func (in *Inbox) ID() uuid.UUID { return in.record.ID }

// Org is the id of the organization that the inbox belongs to.
func (in *Inbox) Org() uuid.UUID { return in.record.Org }

// Address is the inbox's address at the time of opening.
func (in *Inbox) Address() string { return in.record.Address }

// Mailboxes lists all mailboxes in order of name, INBOX first.
func (in *Inbox) Mailboxes(ctx context.Context) ([]Mailbox, error) { panic("in the next commit") }

// Mailbox reads one mailbox.
func (in *Inbox) Mailbox(ctx context.Context, id uuid.UUID) (Mailbox, error) {
	panic("in the next commit")
}

// MailboxByName reads the mailbox of this name. INBOX is found in any case (RFC
// 9051, section 5.1).
func (in *Inbox) MailboxByName(ctx context.Context, name string) (Mailbox, error) {
	panic("in the next commit")
}

// MailboxByRole reads the mailbox that has the role; not for RoleNone.
func (in *Inbox) MailboxByRole(ctx context.Context, role Role) (Mailbox, error) {
	panic("in the next commit")
}

// CreateMailboxes makes the standard mailboxes of a new inbox, all subscribed.
func (tx *Tx) CreateMailboxes(e *audit.Event, in InboxRecord) error { panic("in the next commit") }

// CreateMailbox makes a mailbox. Its UIDVALIDITY is higher than that of any
// mailbox that the inbox ever had. ErrConflict when the name is taken, ErrLimit
// when there are MaxMailboxes.
func (tx *Tx) CreateMailbox(e *audit.Event, in *Inbox, name string, role Role) (Mailbox, error) {
	panic("in the next commit")
}

// RenameMailbox gives a mailbox, and those below it, another name. ErrConflict
// when a name is taken or would lie below the mailbox itself. Renaming INBOX
// moves its messages to a new mailbox of that name and leaves INBOX, and what
// is below it, in place (RFC 9051, section 6.3.6).
func (tx *Tx) RenameMailbox(e *audit.Event, in *Inbox, mailbox uuid.UUID, name string) error {
	panic("in the next commit")
}

// DeleteMailbox removes a mailbox and its messages; those below it stay.
// ErrConflict for a mailbox that has a role.
func (tx *Tx) DeleteMailbox(e *audit.Event, in *Inbox, mailbox uuid.UUID) error {
	panic("in the next commit")
}

// SetSubscribed records whether clients list the mailbox among those that they
// are subscribed to.
func (tx *Tx) SetSubscribed(e *audit.Event, in *Inbox, mailbox uuid.UUID, subscribed bool) error {
	panic("in the next commit")
}
