package control

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// Glass lets one person read one message for a while. // AC-17
type Glass struct {
	ID      uuid.UUID `json:"id"`
	Message uuid.UUID `json:"message"`
	Inbox   string    `json:"inbox"`
	Person  uuid.UUID `json:"person_id"`
	By      string    `json:"person"`
	Why     string    `json:"why"` // code of a closed list
	Reason  string    `json:"reason"`
	State   string    `json:"state"`   // asked, open, ended
	Persons int       `json:"persons"` // that must agree, the reader included
	Agreed  string    `json:"agreed_by,omitempty"`
	Told    int       `json:"owners_told"`
	Asked   time.Time `json:"asked_at"`
	Opened  time.Time `json:"opened_at,omitzero"`
	Until   time.Time `json:"until"` // the end of the reading, or of the asking
	Ended   time.Time `json:"ended_at,omitzero"`
	EndedBy string    `json:"ended_by,omitempty"`
}

// GlassRequest asks to read one message.
type GlassRequest struct {
	MessageID
	Why    string `json:"why"`    // code of policy.GlassReasons
	Reason string `json:"reason"` // for people and the log
}

// GlassRef names a grant.
type GlassRef struct {
	ID     string `json:"id"`
	Reason string `json:"reason,omitempty"`
}

// GlassQuery asks for grants.
type GlassQuery struct {
	Newest bool `json:"newest,omitempty"` // the newest first, and After goes on to older ones
	Page
}

func (s *Server) glassCommands() {
	answer(s, "glass.open", s.glassOpen)
	answer(s, "glass.agree", s.glassAgree)
	answer(s, "glass.end", s.glassEnd)
	lines(s, "glass.list", s.glassList)
}

// OpenGlass lets the caller read one message for 15 minutes, or asks for the
// agreement of another person where policy wants two. The owners of the agents that
// have the inbox are told.
func (c *Client) OpenGlass(ctx context.Context, q GlassRequest) (Glass, error) {
	return ask[GlassRequest, Glass](ctx, c, "glass.open", q)
}

func (s *Server) glassOpen(ctx context.Context, by caller, q GlassRequest) (Glass, error) {
	var no *policy.ValueError
	if errors.As(policy.GlassReason(q.Why), &no) {
		return Glass{}, invalid("%s", no.Error())
	}
	if q.Reason == "" || len(q.Reason) > maxReason {
		return Glass{}, invalid("to read a message needs a reason of at most %d bytes", maxReason)
	}
	if err := by.proved(directory.ActContent); err != nil {
		return Glass{}, err
	}
	_, w, err := s.findMessage(ctx, by, q.MessageID)
	if err != nil {
		return Glass{}, err
	}
	if g, ok, err := s.ownGlass(ctx, by, w.m.ID, w.inbox.ID()); err != nil || ok {
		return s.glassView(&g, w.inbox.Address()), err
	}
	rules, err := s.readingRules(ctx, w.inbox)
	if err != nil {
		return Glass{}, err
	}
	g := storage.Glass{Head: storage.Head{Org: by.org}, Inbox: w.inbox.ID(), Message: w.m.ID, Person: by.person.Person.ID, By: by.person.Person.Address,
		Why: q.Why, Reason: q.Reason, Persons: max(1, rules.Persons)}
	if g.Persons > 1 {
		err = s.askGlass(ctx, by, &g, w.m.Content.MessageID)
	} else {
		err = s.breakGlass(ctx, by, &g, w.m.Content.MessageID)
	}
	return s.glassView(&g, w.inbox.Address()), err
}

// maxReason bounds what a person says about an act, in bytes.
const maxReason = 2000

// ownGlass finds what lets the caller read a message now, or what they asked for.
func (s *Server) ownGlass(ctx context.Context, by caller, message, inbox uuid.UUID) (g storage.Glass, ok bool, err error) {
	all, err := s.Store.GlassesOf(ctx, by.org, message)
	for _, g := range all {
		if by.is(g.Person) && g.Inbox == inbox && g.State(s.Now()) != storage.GlassEnded {
			return g, true, err
		}
	}
	return g, false, err
}

// askGlass notes that a person asks, and that they agree themselves.
func (s *Server) askGlass(ctx context.Context, by caller, g *storage.Glass, messageID string) error {
	asked := *g
	err := s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		asked = *g // the function may run twice
		e := tx.Record(glassEvent(g, audit.GlassOpen, audit.Held, messageID))
		return tx.AskGlass(e, &asked, tx.Now().Add(policy.GlassAsking))
	})
	if err != nil {
		return err
	}
	*g = asked
	_, _, err = s.Directory.Consent(ctx, by.Actor, by.org, glassAct(g), g.Persons)
	return err
}

// breakGlass lets a person read: the grant, its event, and what the owners of the
// agents are told are one transaction.
func (s *Server) breakGlass(ctx context.Context, by caller, g *storage.Glass, messageID string) error {
	g.Until = s.Now().Add(policy.GlassTime)
	letters, err := s.TellOwners(ctx, g)
	if err != nil {
		return err
	}
	defer letters.Discard()
	g.Told = letters.Count
	opened := *g
	err = s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		opened = *g // the function may run twice
		e := tx.Record(glassEvent(g, audit.GlassOpen, audit.OK, messageID))
		e.Fields = append(e.Fields, audit.Time(audit.KeyExpires, g.Until), audit.Int(audit.KeyRecipients, g.Told))
		if err := tx.OpenGlass(e, &opened, g.Until); err != nil {
			return err
		}
		return letters.Store(tx)
	})
	if err != nil {
		return err
	}
	*g = opened
	s.Queue.Kick()
	return nil
}

// glassEvent is the event of a grant: who, which, why.
func glassEvent(g *storage.Glass, verb audit.Verb, outcome audit.Outcome, messageID string) audit.Event {
	e := audit.Event{Verb: verb, Outcome: outcome, Fields: audit.Fields{audit.Word(audit.KeyLabel, g.Why), audit.Int(audit.KeyPersons, g.Persons)},
		Personal: audit.Fields{audit.Text(audit.KeyNote, g.Reason), audit.Text(audit.KeyPerson, g.By)}}
	if messageID != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyMessageID, messageID))
	}
	return e
}

// glassAct is what people agree to: that this person reads this message.
func glassAct(g *storage.Glass) string { return fmt.Sprintf("glass.open %s", g.ID) }

// AgreeGlass agrees that another person reads a message; from then on they may, for 15
// minutes.
func (c *Client) AgreeGlass(ctx context.Context, q GlassRef) (Glass, error) {
	return ask[GlassRef, Glass](ctx, c, "glass.agree", q)
}

func (s *Server) glassAgree(ctx context.Context, by caller, q GlassRef) (Glass, error) {
	if err := by.proved(directory.ActContent); err != nil {
		return Glass{}, err
	}
	g, address, err := s.glass(ctx, by, q.ID)
	if err != nil {
		return Glass{}, err
	}
	switch state := g.State(s.Now()); {
	case state != storage.GlassAsked:
		return Glass{}, &Error{Code: State, Message: fmt.Sprintf("nobody asks any more: it is %s", state)}
	case by.is(g.Person):
		return Glass{}, &Error{Code: Refused, Message: "another person must agree"}
	}
	_, w, err := s.findMessage(ctx, by, MessageID{ID: g.Message.String(), Inbox: address})
	if err != nil {
		return Glass{}, err
	}
	_, done, err := s.Directory.Consent(ctx, by.Actor, by.org, glassAct(&g), g.Persons)
	if err == nil && done {
		g.Agreed = by.person.Person.Address
		err = s.breakGlass(ctx, by, &g, w.m.Content.MessageID)
	}
	return s.glassView(&g, address), err
}

// EndGlass ends a grant, or refuses what somebody asks for.
func (c *Client) EndGlass(ctx context.Context, q GlassRef) (Glass, error) {
	return ask[GlassRef, Glass](ctx, c, "glass.end", q)
}

func (s *Server) glassEnd(ctx context.Context, by caller, q GlassRef) (Glass, error) {
	g, address, err := s.glass(ctx, by, q.ID)
	if err != nil || g.State(s.Now()) == storage.GlassEnded {
		return s.glassView(&g, address), err
	}
	ended := g
	err = s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		ended = g // the function may run twice
		ev := audit.Event{Verb: audit.GlassEnd, Outcome: audit.OK, Fields: audit.Fields{audit.Word(audit.KeyWas, string(g.State(tx.Now())))},
			Personal: audit.Fields{audit.Text(audit.KeyPerson, g.By)}}
		if q.Reason != "" {
			ev.Personal = append(ev.Personal, audit.Text(audit.KeyNote, q.Reason))
		}
		return tx.EndGlass(tx.Record(ev), &ended, by.Name)
	})
	return s.glassView(&ended, address), err
}

// Glasses lists who was let read what, and why, in the order of asking or from the
// newest on.
func (c *Client) Glasses(ctx context.Context, q GlassQuery) iter.Seq2[Glass, error] {
	return rows[GlassQuery, Glass](ctx, c, "glass.list", q)
}

func (s *Server) glassList(ctx context.Context, by caller, q GlassQuery, emit func(Glass) error) error {
	names, list := s.newNames(by), s.Store.Glasses
	if q.Newest {
		list = s.Store.NewestGlasses
	}
	read := func(after uuid.UUID, step int) ([]storage.Glass, error) { return list(ctx, by.org, after, step) }
	return paged(q.Page, read, func(g *storage.Glass) uuid.UUID { return g.ID }, func(g *storage.Glass) (bool, error) {
		address, err := names.inbox(ctx, g.Inbox)
		if err != nil {
			return false, err
		}
		return true, emit(s.glassView(g, address))
	})
}

// glass finds a grant of the caller's organization, and the address of its inbox. // AC-19
func (s *Server) glass(ctx context.Context, by caller, ref string) (g storage.Glass, address string, err error) {
	id, err := uuid.Parse(ref)
	if err != nil {
		return g, "", invalid("%q is no id of a grant: postern glass list shows them", ref)
	}
	if g, err = s.Store.Glass(ctx, by.org, id); err != nil {
		return g, "", missing(err, "grant", ref)
	}
	address, err = s.newNames(by).inbox(ctx, g.Inbox)
	return g, address, err
}

func (s *Server) glassView(g *storage.Glass, address string) Glass {
	return Glass{ID: g.ID, Message: g.Message, Inbox: address, Person: g.Person, By: g.By, Why: g.Why, Reason: g.Reason, State: string(g.State(s.Now())),
		Persons: g.Persons, Agreed: g.Agreed, Told: g.Told, Asked: g.Asked, Opened: g.Opened, Until: g.Until, Ended: g.Ended, EndedBy: g.EndedBy}
}
