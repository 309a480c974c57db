package control

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// maxListed bounds each list of an Activity. What is beyond is counted, and
// Truncated says so.
const maxListed = 10_000

// ActivityQuery asks what a credential did since a time; zero: since it was
// issued.
type ActivityQuery struct {
	Credential string    `json:"credential"`
	Since      time.Time `json:"since,omitzero"`
}

// Activity is all that a credential did: what an incident begins with. What was
// done about it is not in here. // AC-18
type Activity struct {
	ID       uuid.UUID `json:"id"`
	PublicID string    `json:"public_id"`
	Agent    string    `json:"agent"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`

	Events     []Deeds `json:"events"`               // by verb and outcome
	Networks   []Deeds `json:"networks,omitempty"`   // that it came from, by logins
	Recipients []Deeds `json:"recipients,omitempty"` // that it sent to, or was held for
	Read       []Reads `json:"read,omitempty"`       // what content it was shown
	Submitted  int     `json:"messages_submitted"`
	Shown      int     `json:"messages_read"`
	Truncated  bool    `json:"truncated,omitempty"` // a list is not whole; the counts are

	sums map[string]map[string]*Deeds
	seen map[place]*Reads
}

// Deeds is how often something was done, and when first and last.
type Deeds struct {
	What    string    `json:"what"`
	Outcome string    `json:"outcome,omitempty"`
	Count   int       `json:"count"`
	First   time.Time `json:"first_at"`
	Last    time.Time `json:"last_at"`
}

// Reads is what of a mailbox a credential was shown.
type Reads struct {
	Inbox    string    `json:"inbox"`
	Mailbox  string    `json:"mailbox"`
	UIDs     string    `json:"uids"` // as ranges: 1:4,9
	Messages int       `json:"messages"`
	Last     time.Time `json:"last_at"`

	uids audit.UIDs
}

type place struct{ inbox, mailbox uuid.UUID }

// Activity lists what a credential did. That the log was read for it is an event.
func (c *Client) Activity(ctx context.Context, q ActivityQuery) (Activity, error) {
	return ask[ActivityQuery, Activity](ctx, c, "credential.activity", q)
}

func (s *Server) credentialActivity(ctx context.Context, by caller, q ActivityQuery) (Activity, error) {
	c, err := s.credential(ctx, by, q.Credential)
	if err != nil {
		return Activity{}, err
	}
	return s.activity(ctx, by, &c, q.Since)
}

// activity goes through the log once, page by page.
func (s *Server) activity(ctx context.Context, by caller, c *storage.Credential, since time.Time) (Activity, error) {
	names := s.newNames(by)
	agent, err := names.agent(ctx, c.Agent)
	if err != nil {
		return Activity{}, err
	}
	if since.Before(c.Created) {
		since = c.Created
	}
	a := Activity{ID: c.ID, PublicID: c.PublicID, Agent: agent, Since: since, Until: s.Now(),
		sums: map[string]map[string]*Deeds{}, seen: map[place]*Reads{}}
	query := storage.EventQuery{Org: by.org, Credential: c.ID, Since: since, Limit: page}
	if query.To, err = s.recordReading(ctx, by, EventQuery{Credential: c.ID.String(), Since: since}); err != nil {
		return Activity{}, err
	}
	for {
		events, err := s.Store.Events(ctx, query)
		if err != nil {
			return Activity{}, err
		}
		for i := range events {
			if events[i].Actor.Credential == c.ID {
				a.add(&events[i])
			}
		}
		if len(events) < page {
			return a, s.finish(ctx, names, &a)
		}
		query.From = events[len(events)-1].Seq + 1
	}
}

// add takes one event of the credential's own into account.
func (a *Activity) add(e *audit.Event) {
	a.count("events", e.Verb.String(), e.Outcome.String(), e.Time)
	switch e.Verb {
	case audit.SessionLogin, audit.SessionRefused:
		if e.Actor.Network.IsValid() {
			a.count("networks", e.Actor.Network.String(), "", e.Time)
		}
	case audit.MessageSubmitted:
		a.Submitted++
		for _, f := range e.Personal {
			if to, ok := f.Value.(string); ok && f.Key == audit.KeyTo {
				a.count("recipients", to, "", e.Time)
			}
		}
	case audit.MessageRead:
		uids, _ := e.Fields.UIDs(audit.KeyUIDs)
		at := place{e.Inbox, e.Mailbox}
		r := a.seen[at]
		if r == nil {
			r = &Reads{}
			a.seen[at] = r
		}
		for _, u := range uids {
			r.uids.Add(u.First, u.Last)
		}
		r.Last = e.Time
	}
}

// count counts one of a list.
func (a *Activity) count(list, what, outcome string, at time.Time) {
	sums := a.sums[list]
	if sums == nil {
		sums = map[string]*Deeds{}
		a.sums[list] = sums
	}
	d := sums[what+" "+outcome]
	if d == nil {
		if len(sums) >= maxListed {
			a.Truncated = true
			return
		}
		d = &Deeds{What: what, Outcome: outcome, First: at}
		sums[what+" "+outcome] = d
	}
	d.Count, d.Last = d.Count+1, at
}

// finish puts the lists in order and gives what was read its names.
func (s *Server) finish(ctx context.Context, names *names, a *Activity) error {
	listed := func(list string) []Deeds {
		all := []Deeds{}
		for _, d := range a.sums[list] {
			all = append(all, *d)
		}
		slices.SortFunc(all, func(x, y Deeds) int {
			return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.What, y.What), cmp.Compare(x.Outcome, y.Outcome))
		})
		return all
	}
	a.Events, a.Networks, a.Recipients = listed("events"), listed("networks"), listed("recipients")
	for _, at := range slices.SortedFunc(maps.Keys(a.seen), func(x, y place) int {
		return cmp.Or(slices.Compare(x.inbox[:], y.inbox[:]), slices.Compare(x.mailbox[:], y.mailbox[:]))
	}) {
		r := a.seen[at]
		var err error
		if r.Inbox, r.Mailbox, err = names.mailbox(ctx, at); err != nil {
			return err
		}
		r.UIDs, r.Messages = r.uids.String(), int(r.uids.Count())
		a.Shown += r.Messages
		a.Read = append(a.Read, *r)
	}
	return nil
}

// mailbox is what people call a mailbox; ids where it is not there any more.
func (n *names) mailbox(ctx context.Context, at place) (inbox, mailbox string, err error) {
	mailbox = at.mailbox.String()
	if inbox, err = n.inbox(ctx, at.inbox); err != nil || inbox == "" {
		return at.inbox.String(), mailbox, err
	}
	in, err := n.s.Store.OpenInbox(ctx, n.by.org, at.inbox)
	if err == nil {
		var m storage.Mailbox
		if m, err = in.Mailbox(ctx, at.mailbox); err == nil {
			mailbox = m.Name
		}
	}
	if errors.Is(err, storage.ErrNotFound) {
		err = nil
	}
	return inbox, mailbox, err
}
