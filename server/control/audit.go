package control

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// EventQuery selects events; empty fields select all. Names are as people write
// them: an agent's name or id, a credential's id or public id, an address.
type EventQuery struct {
	Agent      string    `json:"agent,omitempty"`
	Credential string    `json:"credential,omitempty"`
	Inbox      string    `json:"inbox,omitempty"`
	Verbs      []string  `json:"verbs,omitempty"`
	MessageID  string    `json:"message_id,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`   // exclusive
	Limit      int       `json:"limit,omitempty"`  // only the newest so many; zero: all. Not for exports
	Before     uint64    `json:"before,omitempty"` // with Limit: of those with a lower sequence number. Not for exports
}

// maxNewest bounds Limit: these are held in memory to be turned around.
const maxNewest = 10_000

// PublicKey is the text of the key that verifies the log.
type PublicKey struct {
	Key string `json:"key"`
}

func (s *Server) auditCommands() {
	lines(s, "audit.list", s.auditList)
	stream(s, "audit.export", s.auditExport)
	answer(s, "audit.key", s.auditKey)
}

// AuditKey asks for the public key of the log.
func (c *Client) AuditKey(ctx context.Context) (PublicKey, error) {
	return ask[None, PublicKey](ctx, c, "audit.key", None{})
}

func (s *Server) auditKey(context.Context, caller, None) (PublicKey, error) {
	return PublicKey{s.Store.PublicKey()}, nil
}

// Events lists events in sequence. That they were read is an event itself, the
// first that the list does not show.
func (c *Client) Events(ctx context.Context, q EventQuery) iter.Seq2[LoggedEvent, error] {
	return rows[EventQuery, LoggedEvent](ctx, c, "audit.list", q)
}

func (s *Server) auditList(ctx context.Context, by caller, q EventQuery, emit func(LoggedEvent) error) error {
	if q.Limit < 0 || q.Limit > maxNewest {
		return invalid("a limit is 1 to %d events", maxNewest)
	}
	query, err := s.eventQuery(ctx, by, q)
	if err != nil {
		return err
	}
	if query.To, err = s.recordListing(ctx, by, query); err != nil {
		return err
	}
	if q.Before > 0 {
		query.To = min(query.To, q.Before)
	}
	names := s.newNames(by)
	show := func(events []audit.Event) error {
		for i := range events {
			row, err := names.row(ctx, &events[i])
			if err != nil {
				return err
			}
			if err := emit(row); err != nil {
				return err
			}
		}
		return nil
	}
	if q.Limit > 0 {
		query.Newest, query.Limit = true, q.Limit
		events, err := s.Store.Events(ctx, query)
		slices.Reverse(events)
		return errors.Join(err, show(events))
	}
	query.Limit = page
	for {
		events, err := s.Store.Events(ctx, query)
		if err != nil {
			return err
		}
		if err := show(events); err != nil || len(events) < page {
			return err
		}
		query.From = events[len(events)-1].Seq + 1
	}
}

// recordListing says in the log that it is about to be read, and where in the
// log it says so.
func (s *Server) recordListing(ctx context.Context, by caller, q storage.EventQuery) (seq uint64, err error) {
	var e *audit.Event
	err = s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		e = tx.Record(audit.Event{
			Verb: audit.AuditListed, Org: by.org, Agent: q.Agent, Credential: q.Credential, Inbox: q.Inbox,
			Fields: audit.Fields{audit.Bool(audit.KeyFiltered, filtered(q))},
		})
		if !q.Since.IsZero() {
			e.Fields = append(e.Fields, audit.Time(audit.KeyFirst, q.Since))
		}
		if !q.Until.IsZero() {
			e.Fields = append(e.Fields, audit.Time(audit.KeyLast, q.Until))
		}
		if q.MessageID != "" {
			e.Personal = append(e.Personal, audit.Text(audit.KeyMessageID, q.MessageID))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return e.Seq, nil
}

// filtered reports whether a query leaves out events inside its time.
func filtered(q storage.EventQuery) bool {
	return q.Agent != uuid.Nil || q.Credential != uuid.Nil || q.Inbox != uuid.Nil || q.MessageID != "" || len(q.Verbs) > 0
}

// Export writes a bundle to w: a contiguous range of the log, or with other
// fields than times only the events that they select, which proves that these
// are in the log and not that there are no others.
func (c *Client) Export(ctx context.Context, q EventQuery, w io.Writer) error {
	resp, err := c.post(ctx, "audit.export", q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return ended(resp, err)
	}
	return ended(resp, nil)
}

func (s *Server) auditExport(ctx context.Context, by caller, q EventQuery, w io.Writer) error {
	if q.Limit != 0 || q.Before != 0 {
		return invalid("an export has no limit")
	}
	query, err := s.eventQuery(ctx, by, q)
	if err != nil {
		return err
	}
	x := storage.Export{Since: query.Since, Until: query.Until}
	if filtered(query) {
		x.Keep = func(e *audit.Event) bool { return selects(query, e) }
	}
	return s.Store.Export(ctx, by.Actor, w, x)
}

// selects reports whether an event is one that a query asks for, times apart.
func selects(q storage.EventQuery, e *audit.Event) bool {
	is := func(want, have uuid.UUID) bool { return want == uuid.Nil || want == have }
	return is(q.Agent, e.Agent) && is(q.Credential, e.Credential) && is(q.Inbox, e.Inbox) &&
		(len(q.Verbs) == 0 || slices.Contains(q.Verbs, e.Verb)) &&
		(q.MessageID == "" || e.Personal.Text(audit.KeyMessageID) == q.MessageID)
}

// eventQuery finds the ids of what a query names.
func (s *Server) eventQuery(ctx context.Context, by caller, q EventQuery) (storage.EventQuery, error) {
	out := storage.EventQuery{Since: q.Since, Until: q.Until, MessageID: angled(q.MessageID)}
	if out.MessageID != "" {
		out.Org = by.org
	}
	if q.Agent != "" {
		a, err := s.agent(ctx, by, q.Agent)
		if err != nil {
			return out, err
		}
		out.Agent = a.ID
	}
	if q.Credential != "" {
		c, err := s.credential(ctx, by, q.Credential)
		if err != nil {
			return out, err
		}
		out.Credential = c.ID
	}
	if q.Inbox != "" {
		in, err := s.inbox(ctx, by, q.Inbox)
		if err != nil {
			return out, err
		}
		out.Inbox = in.ID
	}
	for _, name := range q.Verbs {
		v, ok := audit.ParseVerb(name)
		if !ok {
			return out, invalid("there is no event %q", name)
		}
		out.Verbs = append(out.Verbs, v)
	}
	return out, nil
}

// angled gives a Message-ID the angle brackets with which it is recorded
// (RFC 5322, section 3.6.4); people leave them out, as shells mind them.
func angled(id string) string {
	if id == "" || strings.ContainsAny(id, "<>") {
		return id
	}
	return "<" + id + ">"
}
