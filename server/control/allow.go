package control

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// Allowance is a sender whose mail to an inbox is not put away because of its score.
type Allowance struct {
	ID      uuid.UUID `json:"id"`
	Inbox   string    `json:"inbox"`
	Sender  string    `json:"sender"`      // address or domain
	Code    string    `json:"reason_code"` // of a closed list
	Created time.Time `json:"created_at"`
	Expires time.Time `json:"expires_at,omitzero"` // zero: never
	By      string    `json:"allowed_by"`
	State   string    `json:"state"`          // allowed, ended; waiting for more people, removed
	Have    int       `json:"have,omitempty"` // of waiting: people who agreed
	Need    int       `json:"need,omitempty"` // and whom it takes
}

// AllowanceAdd asks to except a sender.
type AllowanceAdd struct {
	Inbox   string    `json:"inbox"`
	Sender  string    `json:"sender"`
	Code    string    `json:"reason_code"`
	Reason  string    `json:"reason"`              // in the words of a person
	Expires time.Time `json:"expires_at,omitzero"` // zero: never
}

// AllowanceQuery asks which senders are excepted.
type AllowanceQuery struct {
	Inbox string `json:"inbox,omitempty"` // only for this one
}

// AllowanceRef names an exception.
type AllowanceRef struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

func (s *Server) allowCommands() {
	answer(s, "allow.add", s.allowAdd)
	lines(s, "allow.list", s.allowList)
	answer(s, "allow.remove", s.allowRemove)
}

// Allow lets in mail of a sender that its score would put away. That weakens a rule,
// so it takes as many people as the policy of the inbox asks for.
func (c *Client) Allow(ctx context.Context, q AllowanceAdd) (Allowance, error) {
	return ask[AllowanceAdd, Allowance](ctx, c, "allow.add", q)
}

func (s *Server) allowAdd(ctx context.Context, by caller, q AllowanceAdd) (Allowance, error) {
	in, err := s.inbox(ctx, by, q.Inbox)
	if err != nil {
		return Allowance{}, err
	}
	a := storage.Allowance{Head: storage.Head{Org: by.org}, Inbox: in.ID, Reason: q.Code, Expires: q.Expires, By: by.Name}
	if a.Sender, err = policy.AllowedSender(q.Sender); err != nil {
		return Allowance{}, invalid("%s", err)
	}
	if err := policy.AllowReason(q.Code); err != nil {
		return Allowance{}, invalid("%s", err)
	}
	switch {
	case q.Reason == "":
		return Allowance{}, invalid("to allow a sender needs a reason")
	case a.Ended(s.Now()):
		return Allowance{}, invalid("the exception would have ended already")
	}
	view := allowanceView(&a, in.Address, s.Now())
	if view.Have, view.Need, err = s.allowConsent(ctx, by, &a); err != nil || view.Have < view.Need {
		view.State = "waiting"
		return view, err
	}
	err = s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		e := tx.Record(audit.Event{Verb: audit.AllowAdd, Outcome: audit.OK, Personal: audit.Fields{audit.Text(audit.KeyNote, q.Reason)}})
		made := a // the function may run twice
		err := tx.CreateAllowance(e, &made)
		view = allowanceView(&made, in.Address, s.Now())
		return err
	})
	if errors.Is(err, storage.ErrLimit) {
		return Allowance{}, &Error{Code: State, Message: fmt.Sprintf("the inbox has %d allowed senders, which is the most: allow their domains instead", storage.MaxAllowances), cause: err}
	}
	return view, err
}

// allowConsent asks whether enough people agree.
func (s *Server) allowConsent(ctx context.Context, by caller, a *storage.Allowance) (have, need int, err error) {
	if need, err = s.policyPersons(ctx, by, policyScope{level: storage.LevelInbox, id: a.Inbox}); err != nil {
		return 0, 0, err
	}
	act := fmt.Sprintf("allow.add inbox:%s %s %s %s", a.Inbox, a.Sender, a.Reason, a.Expires.UTC().Format(time.RFC3339))
	have, done, err := s.Directory.Consent(ctx, by.Actor, by.org, act, need)
	if done {
		have = max(have, need)
	}
	return have, need, err
}

// Allowances lists the senders that are excepted.
func (c *Client) Allowances(ctx context.Context, q AllowanceQuery) iter.Seq2[Allowance, error] {
	return rows[AllowanceQuery, Allowance](ctx, c, "allow.list", q)
}

func (s *Server) allowList(ctx context.Context, by caller, q AllowanceQuery, emit func(Allowance) error) error {
	var only uuid.UUID
	if q.Inbox != "" {
		in, err := s.inbox(ctx, by, q.Inbox)
		if err != nil {
			return err
		}
		only = in.ID
	}
	names := s.newNames(by)
	read := func(after uuid.UUID) ([]storage.Allowance, error) {
		return s.Store.Allowances(ctx, by.org, after, page)
	}
	return pages(read, func(a *storage.Allowance) uuid.UUID { return a.ID }, func(a *storage.Allowance) error {
		if only != uuid.Nil && a.Inbox != only {
			return nil
		}
		inbox, err := names.inbox(ctx, a.Inbox)
		if err != nil {
			return err
		}
		return emit(allowanceView(a, inbox, s.Now()))
	})
}

// Disallow takes an exception away. One person is enough.
func (c *Client) Disallow(ctx context.Context, q AllowanceRef) (Allowance, error) {
	return ask[AllowanceRef, Allowance](ctx, c, "allow.remove", q)
}

func (s *Server) allowRemove(ctx context.Context, by caller, q AllowanceRef) (Allowance, error) {
	id, err := uuid.Parse(q.ID)
	if err != nil {
		return Allowance{}, invalid("%q is no id of an allowed sender: postern allow list shows them", q.ID)
	}
	a, err := s.Store.Allowance(ctx, by.org, id) // AC-19
	if err != nil {
		return Allowance{}, missing(err, "allowed sender", q.ID)
	}
	if q.Reason == "" {
		return Allowance{}, invalid("to take an exception away needs a reason")
	}
	inbox, err := s.newNames(by).inbox(ctx, a.Inbox)
	if err != nil {
		return Allowance{}, err
	}
	err = s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		e := tx.Record(audit.Event{Verb: audit.AllowRemove, Outcome: audit.OK, Personal: audit.Fields{audit.Text(audit.KeyNote, q.Reason)}})
		gone := a // the function may run twice
		return tx.RemoveAllowance(e, &gone)
	})
	if errors.Is(err, storage.ErrConflict) {
		return Allowance{}, missing(storage.ErrNotFound, "allowed sender", q.ID) // somebody was faster
	}
	view := allowanceView(&a, inbox, s.Now())
	view.State = "removed"
	return view, err
}

func allowanceView(a *storage.Allowance, inbox string, now time.Time) Allowance {
	view := Allowance{ID: a.ID, Inbox: inbox, Sender: a.Sender, Code: a.Reason, Created: a.Created, Expires: a.Expires, By: a.By, State: "allowed"}
	if a.Ended(now) {
		view.State = "ended"
	}
	return view
}
