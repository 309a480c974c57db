package control

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// Captured is a recipient of a test credential's message, who never got it. // AC-14
type Captured struct {
	ID         uuid.UUID `json:"id"`
	Message    uuid.UUID `json:"message"` // one for all recipients of a submission
	At         time.Time `json:"captured_at"`
	Agent      string    `json:"agent"`
	Credential string    `json:"credential"` // public id
	From       string    `json:"from"`
	To         string    `json:"to"`
	MessageID  string    `json:"message_id"`
	Size       int64     `json:"size"`
	Until      time.Time `json:"kept_until"`
}

// CapturedRef names what was captured by its id, as a list shows it.
type CapturedRef struct {
	ID uuid.UUID `json:"id"`
}

func (s *Server) capturedCommands() {
	lines(s, "captured.list", s.capturedList)
	stream(s, "captured.show", s.capturedShow)
}

// Captures lists what test credentials sent to others than test inboxes: who to
// and when, and nothing of what it says.
func (c *Client) Captures(ctx context.Context, q Page) iter.Seq2[Captured, error] {
	return rows[Page, Captured](ctx, c, "captured.list", q)
}

func (s *Server) capturedList(ctx context.Context, by caller, q Page, emit func(Captured) error) error {
	names := s.newNames(by)
	read := func(after uuid.UUID, step int) ([]storage.Captured, error) {
		return s.Store.Captures(ctx, by.org, after, step)
	}
	return paged(q, read, func(c *storage.Captured) uuid.UUID { return c.ID }, func(c *storage.Captured) (bool, error) {
		agent, err := names.agent(ctx, c.Agent)
		if err != nil {
			return false, err
		}
		credential, err := names.credential(ctx, c.Credential)
		if err != nil {
			return false, err
		}
		return true, emit(Captured{ID: c.ID, Message: c.Message, At: c.Created, Agent: agent, Credential: credential,
			From: c.From, To: c.To, MessageID: c.MessageID, Size: c.Size, Until: c.Created.Add(storage.CaptureAge)})
	})
}

// ShowCaptured writes a captured message to w, as it was stored: content, so it
// needs a person who may see it, and is an event.
func (c *Client) ShowCaptured(ctx context.Context, id uuid.UUID, w io.Writer) error {
	resp, err := c.post(ctx, "captured.show", CapturedRef{id})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return ended(resp, err)
}

func (s *Server) capturedShow(ctx context.Context, by caller, q CapturedRef, w io.Writer) error {
	c, err := s.Store.Captured(ctx, by.org, q.ID)
	if err != nil {
		return missing(err, "captured message", q.ID.String())
	}
	body, err := s.Store.OpenCaptured(ctx, &c)
	if errors.Is(err, storage.ErrNotFound) {
		return missing(err, "captured message", q.ID.String())
	}
	if err != nil {
		return err
	}
	defer body.Close()
	// Invariant 3: the event is durable before the first byte.
	err = s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		tx.Record(audit.Event{Verb: audit.CaptureRead, Outcome: audit.OK, Org: c.Org, Inbox: c.Inbox, Agent: c.Agent, Credential: c.Credential, Object: c.Message,
			Fields:   audit.Fields{audit.Int(audit.KeySize, c.Size), audit.Digest(audit.KeySHA256, c.SHA256)},
			Personal: audit.Fields{audit.Text(audit.KeyTo, c.To), audit.Text(audit.KeyMessageID, c.MessageID)}})
		return nil
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.NewSectionReader(body, 0, body.Size()))
	return err
}
