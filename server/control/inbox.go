package control

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// Inbox is an address that receives mail.
type Inbox struct {
	ID      uuid.UUID           `json:"id"`
	Address string              `json:"address"`
	Env     storage.Environment `json:"env"`
	Created time.Time           `json:"created_at"`

	Messages int64 `json:"messages"` // in all its mailboxes
	Bytes    int64 `json:"bytes"`
	// Of what came in, wherever it lies now: clean is what is neither.
	Arrived     int64 `json:"arrived"`
	Suspected   int64 `json:"suspected"`
	Quarantined int64 `json:"quarantined"`
}

// InboxQuery asks for inboxes, in the order in which they were made.
type InboxQuery struct {
	Match string `json:"match,omitempty"` // only addresses with this in them
	Page
}

// InboxCreate asks for a new inbox.
type InboxCreate struct {
	Address string              `json:"address"`
	Env     storage.Environment `json:"env,omitempty"` // empty: live
}

// InboxRef names an inbox.
type InboxRef struct {
	Address string `json:"address"`
}

// InboxRemove asks for an inbox to end, with all that is in it.
type InboxRemove struct {
	Address string `json:"address"`
	Reason  string `json:"reason,omitempty"`
	Force   bool   `json:"force,omitempty"` // give up what it has in the queue
}

func (s *Server) inboxCommands() {
	answer(s, "inbox.create", s.inboxCreate)
	lines(s, "inbox.list", s.inboxList)
	answer(s, "inbox.show", s.inboxShow)
	answer(s, "inbox.remove", s.inboxRemove)
}

// CreateInbox makes an inbox.
func (c *Client) CreateInbox(ctx context.Context, q InboxCreate) (Inbox, error) {
	return ask[InboxCreate, Inbox](ctx, c, "inbox.create", q)
}

func (s *Server) inboxCreate(ctx context.Context, by caller, q InboxCreate) (Inbox, error) {
	if q.Env == "" {
		q.Env = storage.Live
	}
	in, err := s.Directory.CreateInbox(ctx, by.Actor, by.org, q.Address, q.Env)
	return inboxView(&in), err
}

// Inboxes lists inboxes, with how much is in them.
func (c *Client) Inboxes(ctx context.Context, q InboxQuery) iter.Seq2[Inbox, error] {
	return rows[InboxQuery, Inbox](ctx, c, "inbox.list", q)
}

func (s *Server) inboxList(ctx context.Context, by caller, q InboxQuery, emit func(Inbox) error) error {
	match := strings.ToLower(strings.TrimSpace(q.Match))
	read := func(after uuid.UUID, step int) ([]storage.InboxRecord, error) {
		return s.Directory.Inboxes(ctx, by.org, after, step)
	}
	return paged(q.Page, read, func(in *storage.InboxRecord) uuid.UUID { return in.ID }, func(in *storage.InboxRecord) (bool, error) {
		if !strings.Contains(in.Address, match) {
			return false, nil
		}
		view, err := s.inboxFilled(ctx, in)
		if err != nil {
			return false, err
		}
		return true, emit(view)
	})
}

// Inbox shows one inbox.
func (c *Client) Inbox(ctx context.Context, address string) (Inbox, error) {
	return ask[InboxRef, Inbox](ctx, c, "inbox.show", InboxRef{address})
}

func (s *Server) inboxShow(ctx context.Context, by caller, q InboxRef) (Inbox, error) {
	in, err := s.inbox(ctx, by, q.Address)
	if err != nil {
		return Inbox{}, err
	}
	return s.inboxFilled(ctx, &in)
}

// inboxFilled is an inbox with how much is in it.
func (s *Server) inboxFilled(ctx context.Context, in *storage.InboxRecord) (Inbox, error) {
	view := inboxView(in)
	t, err := s.Store.Tally(ctx, in.Org, in.ID)
	view.Messages, view.Bytes, view.Arrived, view.Suspected, view.Quarantined = t.Messages, t.Bytes, t.Arrived, t.Suspected, t.Quarantined
	return view, err
}

// RemoveInbox ends an inbox and its live sessions, and erases what is in it. // CO-5
func (c *Client) RemoveInbox(ctx context.Context, q InboxRemove) (Stopped, error) {
	return ask[InboxRemove, Stopped](ctx, c, "inbox.remove", q)
}

func (s *Server) inboxRemove(ctx context.Context, by caller, q InboxRemove) (Stopped, error) {
	in, n, err := s.Directory.RemoveInbox(ctx, by.Actor, by.org, q.Address, q.Reason, q.Force)
	return Stopped{in.ID, "removed", n}, missing(err, "inbox", q.Address)
}

// inbox finds an inbox by its address.
func (s *Server) inbox(ctx context.Context, by caller, address string) (storage.InboxRecord, error) {
	in, err := s.Directory.Inbox(ctx, by.org, address)
	return in, missing(err, "inbox", address)
}

func inboxView(in *storage.InboxRecord) Inbox {
	return Inbox{ID: in.ID, Address: in.Address, Env: in.Env, Created: in.Created}
}
