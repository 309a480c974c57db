package control

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// EventQuery selects events; empty fields select all. Names are as people write
// them: an agent's name or id, a credential's id or public id, an address.
type EventQuery struct {
	Query      string    `json:"query,omitempty"` // a Filter; what the other fields say must hold too
	Agent      string    `json:"agent,omitempty"`
	Credential string    `json:"credential,omitempty"`
	Inbox      string    `json:"inbox,omitempty"`
	Verbs      []string  `json:"verbs,omitempty"`
	MessageID  string    `json:"message_id,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`   // exclusive
	Limit      int       `json:"limit,omitempty"`  // only the newest so many; zero: all. Not for exports
	Before     uint64    `json:"before,omitempty"` // with Limit: of those with a lower sequence number. Not for exports
	From       uint64    `json:"from,omitempty"`   // of a page: the oldest of those from this sequence number on
	Counts     bool      `json:"counts,omitempty"` // of a page: with counts
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
	answer(s, "audit.explore", s.auditExplore)
	urgentLines(s, "audit.verify", s.auditVerify)
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
	f, err := q.filter()
	if err != nil {
		return err
	}
	search, err := s.search(ctx, by, f)
	if err != nil {
		return err
	}
	if search.To, err = s.recordListing(ctx, by, f, search); err != nil {
		return err
	}
	if q.Before > 0 {
		search.To = min(search.To, q.Before)
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
		events, err := s.newest(ctx, search, q.Limit)
		return errors.Join(err, show(events))
	}
	search.Limit = page
	for {
		found, err := s.Store.Search(ctx, search)
		if err != nil {
			return err
		}
		if err := show(found.Events); err != nil || !found.More {
			return err
		}
		search.From = found.Next
	}
}

// newest finds so many of the newest events, the oldest of them first.
func (s *Server) newest(ctx context.Context, search storage.Search, limit int) (events []audit.Event, err error) {
	search.Newest = true
	for {
		search.Limit = limit - len(events)
		found, err := s.Store.Search(ctx, search)
		if err != nil {
			return nil, err
		}
		events = append(events, found.Events...)
		if !found.More || len(events) == limit {
			slices.Reverse(events)
			return events, nil
		}
		search.To = found.Next
	}
}

// recordListing says in the log that it is about to be read, and where in the
// log it says so.
func (s *Server) recordListing(ctx context.Context, by caller, f Filter, q storage.Search) (seq uint64, err error) {
	e := audit.Event{Verb: audit.AuditListed, Org: by.org, Fields: audit.Fields{audit.Bool(audit.KeyFiltered, len(q.Conditions) > 0)}}
	if !q.Since.IsZero() {
		e.Fields = append(e.Fields, audit.Time(audit.KeyFirst, q.Since))
	}
	if !q.Until.IsZero() {
		e.Fields = append(e.Fields, audit.Time(audit.KeyLast, q.Until))
	}
	for _, c := range q.Conditions {
		if err := s.about(ctx, by, &e, c); err != nil {
			return 0, err
		}
	}
	if len(q.Conditions) > 0 {
		e.Personal = append(e.Personal, audit.Text(audit.KeyTerms, f.String()))
	}
	var recorded *audit.Event
	err = s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		recorded = tx.Record(e)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return recorded.Seq, nil
}

// recordReading says in the log that events of it are about to be read for an answer
// that is made of them, and where in the log it says so.
func (s *Server) recordReading(ctx context.Context, by caller, q EventQuery) (seq uint64, err error) {
	f, err := q.filter()
	if err != nil {
		return 0, err
	}
	search, err := s.search(ctx, by, f)
	if err != nil {
		return 0, err
	}
	return s.recordListing(ctx, by, f, search)
}

func verbNames(verbs []audit.Verb) (names []string) {
	for _, v := range verbs {
		names = append(names, v.String())
	}
	return names
}

// about notes in an event what a condition is about, where that is one thing: who
// reads the log of an agent appears there.
func (s *Server) about(ctx context.Context, by caller, e *audit.Event, c storage.Condition) error {
	if c.Not || len(c.Values) != 1 {
		return nil
	}
	switch v := c.Values[0]; c.Field {
	case storage.FieldAgent:
		e.Agent = v.ID
	case storage.FieldCredential:
		e.Credential = v.ID
	case storage.FieldInbox: // under whose key the event is sealed
		_, err := s.Store.InboxRecord(ctx, by.org, v.ID)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		e.Inbox = v.ID
		return err
	case storage.FieldMessage:
		if v.Text != "" {
			e.Personal = append(e.Personal, audit.Text(audit.KeyMessageID, v.Text))
		}
	}
	return nil
}

// Export writes a bundle to w: a contiguous range of the log, or with other
// fields than times only the events that they select, which proves that these
// are in the log and not that there are no others.
func (c *Client) Export(ctx context.Context, q EventQuery, w io.Writer) error {
	return download(ctx, c, "audit.export", q, w)
}

func (s *Server) auditExport(ctx context.Context, by caller, q EventQuery, w io.Writer) error {
	if q.Limit != 0 || q.Before != 0 || q.From != 0 {
		return invalid("an export has no limit")
	}
	if by.person != nil { // it takes what stands there of people out of the house
		if err := by.proved(directory.ActEvidence); err != nil {
			return err
		}
	}
	f, err := q.filter()
	if err != nil {
		return err
	}
	search, err := s.search(ctx, by, f)
	if err != nil {
		return err
	}
	x := storage.Export{Since: search.Since, Until: search.Until}
	if len(search.Conditions) > 0 {
		x.Keep = search.Holds
	}
	return s.Store.Export(ctx, by.Actor, w, x)
}

// angled gives a Message-ID the angle brackets with which it is recorded
// (RFC 5322, section 3.6.4); people leave them out, as shells mind them.
func angled(id string) string {
	if id == "" || strings.ContainsAny(id, "<>") {
		return id
	}
	return "<" + id + ">"
}
