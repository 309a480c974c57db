package control

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// Outgoing is one recipient of a message on its way.
type Outgoing struct {
	ID        uuid.UUID `json:"id"`
	Message   uuid.UUID `json:"message"` // one for all recipients of a submission
	MessageID string    `json:"message_id"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	State     string    `json:"state"` // queued, held
	Local     bool      `json:"local"`
	Size      int64     `json:"size"`
	Attempts  int       `json:"attempts"`
	Code      int       `json:"code,omitempty"` // last reply code
	Agent     string    `json:"agent"`
	AgentID   uuid.UUID `json:"agent_id"`
	Inbox     uuid.UUID `json:"inbox_id"`
	Created   time.Time `json:"created_at"`
	Due       time.Time `json:"due_at"`
	Expires   time.Time `json:"expires_at"`

	RequireTLS  bool `json:"require_tls,omitempty"`  // only over authenticated TLS, at every hop (RFC 8689)
	TLSOptional bool `json:"tls_optional,omitempty"` // the message sets aside what its destination demands (RFC 8689)
	TLS              // of the last attempt; one row alone shows it
}

// OutgoingRef names a row of the queue, and why something is done with it.
type OutgoingRef struct {
	ID     string `json:"id"`
	Reason string `json:"reason,omitempty"`
}

func (s *Server) queueCommands() {
	lines(s, "queue.list", s.queueList)
	answer(s, "queue.show", s.queueShow)
	answer(s, "queue.day", s.queueDay)
	retry := func(ctx context.Context, actor audit.Actor, org, id uuid.UUID, _ string) error {
		return s.Queue.Retry(ctx, actor, org, id)
	}
	for name, act := range map[string]func(ctx context.Context, actor audit.Actor, org, id uuid.UUID, reason string) error{
		"retry": retry, "hold": s.Queue.Hold, "release": s.Queue.Release, "bounce": s.Queue.Bounce,
	} {
		answer(s, "queue."+name, func(ctx context.Context, by caller, q OutgoingRef) (None, error) {
			o, err := s.outgoing(ctx, by, q.ID)
			if err != nil {
				return None{}, err
			}
			return None{}, missing(act(ctx, by.Actor, by.org, o.ID, q.Reason), "queue row", q.ID)
		})
	}
}

// Queue lists what is on its way.
func (c *Client) Queue(ctx context.Context, q Page) iter.Seq2[Outgoing, error] {
	return rows[Page, Outgoing](ctx, c, "queue.list", q)
}

func (s *Server) queueList(ctx context.Context, by caller, q Page, emit func(Outgoing) error) error {
	names := s.newNames(by)
	read := func(after uuid.UUID, step int) ([]storage.Outgoing, error) {
		return s.Queue.List(ctx, by.org, after, step)
	}
	return paged(q, read, func(o *storage.Outgoing) uuid.UUID { return o.ID }, func(o *storage.Outgoing) (bool, error) {
		agent, err := names.agent(ctx, o.Agent)
		if err != nil {
			return false, err
		}
		return true, emit(outgoingView(o, agent))
	})
}

// Outgoing shows one row of the queue.
func (c *Client) Outgoing(ctx context.Context, id string) (Outgoing, error) {
	return ask[OutgoingRef, Outgoing](ctx, c, "queue.show", OutgoingRef{ID: id})
}

func (s *Server) queueShow(ctx context.Context, by caller, q OutgoingRef) (Outgoing, error) {
	o, err := s.outgoing(ctx, by, q.ID)
	if err != nil {
		return Outgoing{}, err
	}
	agent, err := s.newNames(by).agent(ctx, o.Agent)
	if err != nil {
		return Outgoing{}, err
	}
	v := outgoingView(&o, agent)
	v.TLS, err = s.lastTLS(ctx, &o)
	return v, err
}

// RetryOutgoing makes a queued row due now.
func (c *Client) RetryOutgoing(ctx context.Context, id string) error {
	return c.change(ctx, "queue.retry", OutgoingRef{ID: id})
}

// HoldOutgoing keeps a queued row from being tried; when its time ends it is
// rejected.
func (c *Client) HoldOutgoing(ctx context.Context, q OutgoingRef) error {
	return c.change(ctx, "queue.hold", q)
}

// ReleaseOutgoing lets a held row go. It needs a person's session.
func (c *Client) ReleaseOutgoing(ctx context.Context, q OutgoingRef) error {
	return c.change(ctx, "queue.release", q)
}

// BounceOutgoing ends a row with a failure, of which the agent gets a report.
func (c *Client) BounceOutgoing(ctx context.Context, q OutgoingRef) error {
	return c.change(ctx, "queue.bounce", q)
}

func (c *Client) change(ctx context.Context, name string, q OutgoingRef) error {
	_, err := ask[OutgoingRef, None](ctx, c, name, q)
	return err
}

// outgoing finds a row of the queue.
func (s *Server) outgoing(ctx context.Context, by caller, ref string) (storage.Outgoing, error) {
	id, err := uuid.Parse(ref)
	if err != nil {
		return storage.Outgoing{}, invalid("%q is no id of a row of the queue", ref)
	}
	o, err := s.Queue.Get(ctx, by.org, id)
	return o, missing(err, "queue row", ref)
}

func outgoingView(o *storage.Outgoing, agent string) Outgoing {
	return Outgoing{
		ID: o.ID, Message: o.Message, MessageID: o.MessageID, From: o.From, To: o.To, State: o.State.String(), Local: o.Local,
		Size: o.Size, Attempts: o.Attempts, Code: o.Code, Agent: agent, AgentID: o.Agent, Inbox: o.Inbox,
		Created: o.Created, Due: o.Due, Expires: o.Expires, RequireTLS: o.RequireTLS, TLSOptional: o.TLSOptional,
	}
}
