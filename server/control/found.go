package control

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// SetupAgent asks for the first agent with all that it needs.
type SetupAgent struct {
	Name  string `json:"name"`
	Inbox string `json:"inbox"`           // is made unless it is there
	Owner string `json:"owner,omitempty"` // mail address; empty: the first person's
}

func (s *Server) foundCommands() {
	answer(s, "setup.agent", s.setupAgent)
	answer(s, "setup.greet", s.setupGreet)
	answer(s, "setup.feed", s.setupFeed)
}

// allOfIt is what the first agent may do in its inbox.
const allOfIt = "read,flag,append,delete,send"

// FoundAgent makes an inbox, an agent, and a credential with all verbs on that inbox.
// What a call before this one had made and was cut short is taken as it is; an agent
// that has a credential is left alone.
func (c *Client) FoundAgent(ctx context.Context, q SetupAgent) (Issued, error) {
	return ask[SetupAgent, Issued](ctx, c, "setup.agent", q)
}

func (s *Server) setupAgent(ctx context.Context, by caller, q SetupAgent) (Issued, error) {
	if _, err := s.Directory.Inbox(ctx, by.org, q.Inbox); errors.Is(err, storage.ErrNotFound) {
		if _, err := s.inboxCreate(ctx, by, InboxCreate{Address: q.Inbox}); err != nil {
			return Issued{}, err
		}
	} else if err != nil {
		return Issued{}, err
	}
	a, err := s.Directory.Agent(ctx, by.org, q.Name)
	if errors.Is(err, storage.ErrNotFound) {
		owner, err := s.firstOwner(ctx, by, q.Owner)
		if err != nil {
			return Issued{}, err
		}
		if _, err := s.agentCreate(ctx, by, AgentCreate{Name: q.Name, Owner: owner}); err != nil {
			return Issued{}, err
		}
	} else if err != nil {
		return Issued{}, err
	} else if has, err := s.Store.Credentials(ctx, by.org, a.ID); err != nil || len(has) > 0 {
		return Issued{}, errors.Join(err, &Error{Code: Taken, Message: "the agent " + q.Name + " has a credential already; another: postern credential create " + q.Name})
	}
	return s.credentialCreate(ctx, by, CredentialCreate{Agent: q.Name, Scopes: []Scope{{Inbox: q.Inbox, Verbs: allOfIt}}})
}

// firstOwner is who answers for an agent: who was named, who asks, or the first person.
func (s *Server) firstOwner(ctx context.Context, by caller, named string) (string, error) {
	switch {
	case named != "":
		return named, nil
	case by.person != nil:
		return by.person.Person.Address, nil
	}
	people, err := s.Directory.People(ctx, by.org, uuid.Nil, 1)
	if err == nil && len(people) == 0 {
		err = invalid("an agent needs an owner: the mail address of a person")
	}
	if err != nil {
		return "", err
	}
	return people[0].Address, nil
}

// Greet puts a message of the server's own into an inbox, to see that an agent reads.
func (c *Client) Greet(ctx context.Context, address string) error {
	_, err := ask[InboxRef, None](ctx, c, "setup.greet", InboxRef{address})
	return err
}

func (s *Server) setupGreet(ctx context.Context, by caller, q InboxRef) (None, error) {
	in, err := s.inbox(ctx, by, q.Address)
	if err != nil {
		return None{}, err
	}
	return None{}, s.FirstMail(ctx, by.Actor, in)
}

// Happened is what happened in an inbox, in a word: arrived, login, read, sent.
type Happened struct {
	Seq  uint64    `json:"seq"`
	At   time.Time `json:"at"`
	What string    `json:"what"`
}

// feedVerbs are what tells who connects an agent that it works.
var feedVerbs = map[audit.Verb]string{
	audit.NoticeDelivered: "arrived", audit.MessageReceived: "arrived", audit.SessionLogin: "login", audit.MessageRead: "read", audit.MessageSubmitted: "sent",
}

// feedLength is how much of it is told.
const feedLength = 8

// SetupFeed says what happened in an inbox last, newest first: no more than that it
// did, so that a page may ask again and again.
func (c *Client) SetupFeed(ctx context.Context, address string) ([]Happened, error) {
	return ask[InboxRef, []Happened](ctx, c, "setup.feed", InboxRef{address})
}

func (s *Server) setupFeed(ctx context.Context, by caller, q InboxRef) ([]Happened, error) {
	in, err := s.inbox(ctx, by, q.Address)
	if err != nil {
		return nil, err
	}
	var verbs []audit.Verb
	for v := range feedVerbs {
		verbs = append(verbs, v)
	}
	events, err := s.Store.Events(ctx, storage.EventQuery{Org: by.org, Inbox: in.ID, Verbs: verbs, Newest: true, Limit: feedLength})
	all := []Happened{}
	for _, e := range events {
		all = append(all, Happened{e.Seq, e.Time, feedVerbs[e.Verb]})
	}
	return all, err
}
