package submission

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// A contradiction is a declaration that differs from what the server knows. An
// agent that is told it lied when it did not is worse off than one whose lie goes
// unnoticed, so the list is short, and each has its reason:
//
//	schedule-answers-message  A schedule is declared, and the message answers one
//	                          that somebody else wrote within the last day and whose
//	                          text the agent saw within the last ten minutes. That
//	                          message is the cause, whatever woke the agent. An older
//	                          one may be a thread that a report is posted to.
//	trigger-never-read        A message is declared that is here, and of which the
//	                          agent never saw anything, in no mailbox and by no
//	                          credential. An alert only when no agent saw it at all:
//	                          one agent may read what another one answers.
//	trigger-unknown           A message is declared that no inbox of this agent ever
//	                          had. No alert: it may have come to the agent elsewhere.
//	source-never-read         The same as trigger-never-read, of Agent-Sources.
//	human-with-model          The content is declared to be a person's and to be made
//	                          by a model.
//
// Not taken for one: a declared message that is not the one answered (an agent may
// be asked in one thread to write in another), which is a remark; a schedule whose
// text quotes what was read (a digest does); a person's or a template's text that
// quotes, or comes soon after a reading (people paste, templates are filled in).
type contradiction struct {
	word  string
	alert bool // certain enough to call somebody
}

// Bounds of schedule-answers-message.
const (
	freshMail    = 24 * time.Hour
	freshReading = 10 * time.Minute
)

// contradict holds what is declared against what is observed.
func (o *Outbound) contradict(ctx context.Context, m *submission, d *declaration, v *observed) (all []contradiction, err error) {
	if d.trigger == "schedule" && v.answers != nil && v.foreign && v.readAgo >= 0 && v.readAgo <= freshReading &&
		o.o.Now().Sub(v.answers.Time) <= freshMail {
		all = append(all, contradiction{"schedule-answers-message", true})
	}
	if d.origin == "human" && d.model {
		all = append(all, contradiction{"human-with-model", false})
	}
	if d.trigger == "message" && d.ref != "" {
		all, err = o.holdTrigger(ctx, m, d, v, all)
	}
	for _, id := range d.sources {
		if err != nil || len(all) > 0 && all[len(all)-1].word == "source-never-read" {
			break // one is enough
		}
		var k knowledge
		if k, err = o.knows(ctx, m, id, v); k == knownToOthers || k == knownToNobody {
			all = append(all, contradiction{"source-never-read", k == knownToNobody})
		}
	}
	return all, err
}

// holdTrigger looks at a message that is declared to be the cause.
func (o *Outbound) holdTrigger(ctx context.Context, m *submission, d *declaration, v *observed, all []contradiction) ([]contradiction, error) {
	k, err := o.knows(ctx, m, d.ref, v)
	switch k {
	case knownToOthers, knownToNobody:
		all = append(all, contradiction{"trigger-never-read", k == knownToNobody})
	case knownNowhere:
		all = append(all, contradiction{"trigger-unknown", false})
	}
	if id := answered(m); id != "" && id != d.ref {
		v.remark("trigger-is-not-answered")
	}
	return all, err
}

// knowledge is what an agent can know of a message.
type knowledge int

const (
	knownUnsure   knowledge = iota // nobody can say, or it is no Message-ID
	knownToAgent                   // the agent saw it, or made it
	knownToOthers                  // it is here, and others saw it
	knownToNobody                  // it is here, and no agent saw it
	knownNowhere                   // it never was in an inbox of this agent
)

// maxAsked is how many inboxes of an agent are asked for a message.
const maxAsked = 8

// knows finds out whether the agent ever saw the message with a Message-ID, in any
// inbox that one of its credentials opens or opened.
func (o *Outbound) knows(ctx context.Context, m *submission, id string, v *observed) (knowledge, error) {
	k, err := o.knowsIn(ctx, m, m.s.Principal.Inbox, id, v)
	if k == knownToAgent || k == knownUnsure || err != nil {
		return k, err
	}
	others, whole, err := o.otherInboxes(ctx, m)
	if err != nil {
		return knownUnsure, err
	}
	for _, in := range others {
		there, err := o.knowsIn(ctx, m, in, id, v)
		switch {
		case there == knownToAgent || there == knownUnsure || err != nil:
			return there, err
		case k == knownNowhere || there == knownToOthers:
			k = there
		}
	}
	if !whole {
		return knownUnsure, nil
	}
	return k, nil
}

// otherInboxes are the inboxes beside the session's that the agent's credentials
// open or opened; whole is false when not all could be asked.
func (o *Outbound) otherInboxes(ctx context.Context, m *submission) (all []*storage.Inbox, whole bool, err error) {
	p := m.s.Principal
	creds, err := o.store.Credentials(ctx, p.Credential.Org, p.Agent.ID)
	if err != nil {
		return nil, false, err
	}
	asked, whole := map[uuid.UUID]bool{p.Inbox.ID(): true}, true
	for _, c := range creds {
		for _, s := range c.Scopes {
			if asked[s.Inbox] {
				continue
			}
			if asked[s.Inbox] = true; len(asked) > maxAsked {
				return all, false, nil
			}
			in, err := o.store.OpenInbox(ctx, p.Credential.Org, s.Inbox)
			if errors.Is(err, storage.ErrNotFound) {
				whole = false // it was removed: what was in it nobody knows any more
				continue
			}
			if err != nil {
				return nil, false, err
			}
			all = append(all, in)
		}
	}
	return all, whole, nil
}

// knowsIn is knows for one inbox.
func (o *Outbound) knowsIn(ctx context.Context, m *submission, in *storage.Inbox, id string, v *observed) (knowledge, error) {
	if !strings.HasPrefix(id, "<") || !strings.Contains(id, "@") {
		return knownUnsure, nil
	}
	agent := m.s.Principal.Agent.ID
	all, looked := v.arrived[id]
	if !looked || in != m.s.Principal.Inbox {
		var err error
		if all, err = in.Arrivals(ctx, id); err != nil {
			return knownUnsure, err
		}
	}
	k := knownNowhere
	for i := range all {
		a := &all[i]
		if a.Agent == agent && a.Verb != audit.NoticeDelivered || v.lastRead(a) != nil {
			return knownToAgent, nil
		}
		readers, whole, err := in.Readers(ctx, a)
		if err != nil {
			return knownUnsure, err
		}
		if _, saw := readers[agent]; saw {
			return knownToAgent, nil
		}
		switch {
		case !whole:
			return knownUnsure, nil
		case len(readers) > 0:
			k = knownToOthers
		case k == knownNowhere:
			k = knownToNobody
		}
	}
	return k, nil
}
