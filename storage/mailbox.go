package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"postern/storage/seal"
)

var (
	// ErrLimit: no room for another mailbox or keyword, or a counter has run
	// out.
	ErrLimit = errors.New("storage: limit reached")
	// ErrName: not a name that a mailbox or a keyword can have.
	ErrName = errors.New("storage: not a valid name")
)

// Delimiter stands between the levels of a mailbox name.
const Delimiter = "/"

// MaxMailboxes is how many mailboxes one inbox can hold, and MaxMailboxName the
// longest name in bytes.
const (
	MaxMailboxes   = 1000
	MaxMailboxName = 1000
)

// inboxName is the name of RoleInbox, found in any case (RFC 9051, section 5.1).
const inboxName = "INBOX"

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
	RoleQuarantine // does not exist for an agent: no name leads to it, nor is its name taken
)

// String is the role as the log names it.
func (r Role) String() string {
	switch r {
	case RoleInbox:
		return "inbox"
	case RoleSent:
		return "sent"
	case RoleDrafts:
		return "drafts"
	case RoleTrash:
		return "trash"
	case RoleArchive:
		return "archive"
	case RoleOutbox:
		return "outbox"
	case RoleQuarantine:
		return "quarantine"
	}
	return "other"
}

// standardMailboxes are those of a new inbox.
var standardMailboxes = []struct {
	name string
	role Role
}{
	{inboxName, RoleInbox}, {"Sent", RoleSent}, {"Drafts", RoleDrafts}, {"Trash", RoleTrash},
	{"Archive", RoleArchive}, {"Outbox", RoleOutbox}, {"Quarantine", RoleQuarantine},
}

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

	no      int64     // half of the place of its messages
	version uint64    // of the sealed record
	event   uuid.UUID // that wrote it
}

// mailboxRecord is what a mailbox's row holds sealed. The counters are clear,
// and change without a new version.
type mailboxRecord struct {
	Inbox       uuid.UUID `json:"inbox"`
	No          int64     `json:"no"`
	Name        string    `json:"name"`
	Role        Role      `json:"role"`
	UIDValidity uint32    `json:"uidvalidity"`
	Subscribed  bool      `json:"subscribed,omitempty"`
	Keywords    []string  `json:"keywords,omitempty"`
}

// Inbox is what a session holds of the store: the door to one inbox, and to
// nothing else (invariant 14). A mailbox of another inbox and one that does not
// exist give the same ErrNotFound. It is safe for use by several goroutines,
// and needs no closing.
type Inbox struct {
	store  *Store
	record InboxRecord
	keys   *inboxKeys
	safe   bool // renditions are handed out in place of messages
}

// OpenInbox opens the door to one inbox of an organization; ErrNotFound when
// there is none, when it belongs to another organization, or when its key was
// destroyed.
func (s *Store) OpenInbox(ctx context.Context, org, id uuid.UUID) (*Inbox, error) {
	rec, err := s.InboxRecord(ctx, org, id)
	if err != nil {
		return nil, err
	}
	keys, err := s.inboxKeysOf(ctx, org, id)
	if err != nil {
		return nil, err
	}
	return &Inbox{store: s, record: rec, keys: keys}, nil
}

// ID is the inbox's id.
func (in *Inbox) ID() uuid.UUID { return in.record.ID }

// Org is the id of the organization that the inbox belongs to.
func (in *Inbox) Org() uuid.UUID { return in.record.Org }

// Domain is the id of the domain that the inbox's address is in.
func (in *Inbox) Domain() uuid.UUID { return in.record.Domain }

// Address is the inbox's address when the door was opened.
func (in *Inbox) Address() string { return in.record.Address }

// Env says whether the inbox is for tests; it never changes.
func (in *Inbox) Env() Environment { return in.record.Env }

const mailboxColumns = "id, no, version, event, role, uidvalidity, uidnext, modseq, messages, unseen, deleted, bytes, sealed"

// selectMailbox begins every query for mailboxes: of this inbox, or none.
const selectMailbox = "SELECT " + mailboxColumns + " FROM mailbox WHERE inbox = $1"

// scanMailbox reads a row and opens it. The clear columns that repeat a sealed
// field must agree with it.
func (in *Inbox) scanMailbox(row rowScanner) (Mailbox, error) {
	m := Mailbox{Inbox: in.record.ID, Org: in.record.Org}
	var sealed []byte
	err := found(row.Scan(&m.ID, &m.no, &m.version, &m.event, &m.Role, &m.UIDValidity, &m.UIDNext, &m.Modseq,
		&m.Messages, &m.Unseen, &m.Deleted, &m.Bytes, &sealed))
	if err != nil {
		return Mailbox{}, err
	}
	var rec mailboxRecord
	plain, err := in.keys.metadata.Open(sealed, in.mailboxIdentity(&m))
	if err == nil {
		err = json.Unmarshal(plain, &rec)
	}
	if err != nil || rec.Inbox != m.Inbox || rec.No != m.no || rec.Role != m.Role || rec.UIDValidity != m.UIDValidity {
		return Mailbox{}, fmt.Errorf("%w: mailbox %s", ErrCorrupt, m.ID)
	}
	m.Name, m.Subscribed, m.Keywords = rec.Name, rec.Subscribed, rec.Keywords
	return m, nil
}

func (in *Inbox) mailboxIdentity(m *Mailbox) seal.Identity {
	return seal.Identity{Org: in.record.Org, Table: "mailbox", ID: m.ID[:], Purpose: "record", Version: m.version, Event: m.event}
}

// nameHash is by what a mailbox is found. That of the quarantine cannot be
// reached by any name.
func (in *Inbox) nameHash(name string, role Role) []byte {
	if role == RoleQuarantine {
		return in.keys.lookup.Hash("mailbox role", []byte(role.String()))
	}
	return in.keys.lookup.Hash("mailbox name", []byte(name))
}

// Mailboxes lists all mailboxes in order of name, INBOX first; RoleQuarantine is
// among them.
func (in *Inbox) Mailboxes(ctx context.Context) (all []Mailbox, err error) {
	err = in.store.read(ctx, func(r *reads) error {
		all, err = in.mailboxes(r)
		return err
	})
	return all, err
}

func (in *Inbox) mailboxes(r asker) ([]Mailbox, error) {
	rows, err := r.rows(selectMailbox, in.record.ID[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Mailbox
	for rows.Next() {
		m, err := in.scanMailbox(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Mailbox) int {
		switch RoleInbox {
		case a.Role:
			return -1
		case b.Role:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, classify(rows.Err())
}

// Mailbox reads one mailbox.
func (in *Inbox) Mailbox(ctx context.Context, id uuid.UUID) (m Mailbox, err error) {
	err = in.store.look(ctx, func(r *reads) error {
		m, err = in.mailbox(r, id)
		return err
	})
	return m, err
}

func (in *Inbox) mailbox(r asker, id uuid.UUID) (Mailbox, error) {
	return in.scanMailbox(r.row(selectMailbox+" AND id = $2", in.record.ID[:], id[:]))
}

// MailboxByName reads the mailbox of this name. INBOX is found in any case (RFC
// 9051, section 5.1).
func (in *Inbox) MailboxByName(ctx context.Context, name string) (m Mailbox, err error) {
	name, err = mailboxName(name)
	if err != nil {
		return Mailbox{}, ErrNotFound
	}
	err = in.store.look(ctx, func(r *reads) error {
		m, err = in.scanMailbox(r.row(selectMailbox+" AND name_hash = $2", in.record.ID[:], in.nameHash(name, RoleNone)))
		return err
	})
	if err == nil && m.Name != name {
		return Mailbox{}, fmt.Errorf("%w: mailbox %s", ErrCorrupt, m.ID) // the row was given another name
	}
	return m, err
}

// MailboxByRole reads the mailbox that has the role; ErrNotFound for RoleNone.
func (in *Inbox) MailboxByRole(ctx context.Context, role Role) (m Mailbox, err error) {
	where, arg := " AND role = $2", any(role)
	switch role {
	case RoleNone:
		return Mailbox{}, ErrNotFound
	case RoleInbox, RoleQuarantine: // where all mail goes: found at once among a thousand
		where, arg = " AND name_hash = $2", in.nameHash(inboxName, role)
	}
	err = in.store.look(ctx, func(r *reads) error {
		m, err = in.scanMailbox(r.row(selectMailbox+where, in.record.ID[:], arg))
		return err
	})
	if err == nil && m.Role != role {
		return Mailbox{}, fmt.Errorf("%w: mailbox %s", ErrCorrupt, m.ID)
	}
	return m, err
}

// RoleMailbox is the id of the mailbox that has the role, which never changes;
// ErrNotFound for RoleNone.
func (in *Inbox) RoleMailbox(ctx context.Context, role Role) (uuid.UUID, error) {
	return in.store.known.roleMailboxes.ask(roleKey{in.record.ID, role}, func() (uuid.UUID, error) {
		m, err := in.MailboxByRole(ctx, role)
		return m.ID, err
	})
}

// box finds the number of a mailbox, by which its messages are found;
// ErrNotFound unless it is one of the inbox. There is no other way to a
// message.
func (in *Inbox) box(r asker, mailbox uuid.UUID) (no int64, err error) {
	err = r.row("SELECT no FROM mailbox WHERE inbox = $1 AND id = $2", in.record.ID[:], mailbox[:]).Scan(&no)
	return no, found(err)
}

// place is the key of a message: the number of its mailbox, and its UID.
func place(box int64, uid uint32) int64 { return box<<32 | int64(uid) }

// mailboxName checks a name and gives INBOX its one spelling.
func mailboxName(name string) (string, error) {
	first, rest, nested := strings.Cut(name, Delimiter)
	if strings.EqualFold(first, inboxName) {
		name = inboxName
		if nested {
			name += Delimiter + rest
		}
	}
	switch {
	case name == "" || len(name) > MaxMailboxName || !utf8.ValidString(name):
		return "", fmt.Errorf("%w: empty, too long or not UTF-8", ErrName)
	case strings.IndexFunc(name, unicode.IsControl) >= 0:
		return "", fmt.Errorf("%w: a control character", ErrName) // RFC 9051, section 5.1
	case slices.Contains(strings.Split(name, Delimiter), ""):
		return "", fmt.Errorf("%w: an empty level", ErrName)
	}
	return name, nil
}
