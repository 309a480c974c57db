package control

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// Approval is a message that a rule made wait for people.
type Approval struct {
	ID         uuid.UUID `json:"id"`
	Agent      string    `json:"agent"`
	AgentID    uuid.UUID `json:"agent_id"`
	Credential string    `json:"credential"`
	Inbox      string    `json:"inbox"`
	From       string    `json:"from"` // envelope
	To         []string  `json:"to"`
	MessageID  string    `json:"message_id"`
	SHA256     string    `json:"sha256"` // of what goes out if it goes
	Rules      []string  `json:"rules"`
	Persons    int       `json:"persons"` // how many must agree
	Agreed     int       `json:"agreed"`  // how many have, and not too long ago
	Created    time.Time `json:"created_at"`
	Expires    time.Time `json:"expires_at"` // when it is rejected
}

// ApprovalContent is a held message as people are shown it.
type ApprovalContent struct {
	Approval
	Subject     string      `json:"subject"`
	Size        int64       `json:"size"`
	Text        string      `json:"text"` // the beginning of the first text in it
	Truncated   bool        `json:"truncated,omitempty"`
	Lines       []TextLine  `json:"lines"` // of the text, with what is quoted held against what is answered
	Quoting     Quoting     `json:"quoting"`
	Attachments []string    `json:"attachments"`          // type, and name where it has one
	Provenance  *Provenance `json:"provenance,omitempty"` // declared and observed // AU-3
	Obstacle    string      `json:"obstacle,omitempty"`   // why it can be rejected only

	Names map[string]string `json:"names"` // what people call the ids in Provenance
}

// ApprovalDecision is what is decided about a held message.
type ApprovalDecision struct {
	ID     string `json:"id"`
	Reason string `json:"reason,omitempty"` // for people: the agent does not see it
}

// ApprovalOutcome is what followed.
type ApprovalOutcome struct {
	ID      uuid.UUID `json:"id"`
	State   string    `json:"state"`   // released, rejected, waiting for more people
	Agreed  int       `json:"agreed"`  // people, the caller included
	Persons int       `json:"persons"` // that must
}

func (s *Server) approvalCommands() {
	lines(s, "approval.list", s.approvalList)
	answer(s, "approval.decisions", s.approvalDecisions)
	answer(s, "approval.show", s.approvalShow)
	answer(s, "approval.release", s.approvalRelease)
	answer(s, "approval.reject", s.approvalReject)
}

// Approvals lists what waits for people, the longest waiting first.
func (c *Client) Approvals(ctx context.Context, q Page) iter.Seq2[Approval, error] {
	return rows[Page, Approval](ctx, c, "approval.list", q)
}

func (s *Server) approvalList(ctx context.Context, by caller, q Page, emit func(Approval) error) error {
	names := s.newNames(by)
	read := func(after uuid.UUID, step int) ([]storage.Approval, error) {
		return s.Queue.Approvals(ctx, by.org, after, step)
	}
	return paged(q, read, func(a *storage.Approval) uuid.UUID { return a.ID }, func(a *storage.Approval) (bool, error) {
		view, err := s.approvalView(ctx, names, a)
		if err != nil {
			return false, err
		}
		return true, emit(view)
	})
}

// Approval shows a held message and the beginning of what it says. That somebody
// looked is an event.
func (c *Client) Approval(ctx context.Context, id string) (ApprovalContent, error) {
	return ask[ApprovalDecision, ApprovalContent](ctx, c, "approval.show", ApprovalDecision{ID: id})
}

func (s *Server) approvalShow(ctx context.Context, by caller, q ApprovalDecision) (ApprovalContent, error) {
	a, err := s.approval(ctx, by, q.ID)
	if err != nil {
		return ApprovalContent{}, err
	}
	view, err := s.approvalView(ctx, s.newNames(by), &a)
	if err != nil {
		return ApprovalContent{}, err
	}
	c := ApprovalContent{Approval: view, Attachments: []string{}, Names: map[string]string{}}
	if err := c.trace(ctx, s, by, &a); err != nil {
		return ApprovalContent{}, err
	}
	// No byte before the event, which names the other message that is looked into, too.
	err = s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		e := audit.Event{Verb: audit.ApprovalViewed, Outcome: audit.OK, Org: a.Org, Agent: a.Agent, Credential: a.Credential,
			Inbox: a.Inbox, Object: a.ID, Personal: audit.Fields{audit.Text(audit.KeyMessageID, a.MessageID)}}
		if id, err := uuid.Parse(c.answers()); err == nil {
			e.Fields = append(e.Fields, audit.ID(audit.KeyAnswers, id))
		}
		tx.Record(e)
		return nil
	})
	if err != nil {
		return ApprovalContent{}, err
	}
	return c, s.approvalContent(ctx, &c, &a)
}

// answers is the id of the message that a held one answers, empty when none is known.
func (c *ApprovalContent) answers() string {
	if c.Provenance == nil || c.Provenance.Observed.Answers == nil {
		return ""
	}
	return c.Provenance.Observed.Answers.ID
}

// maxApprovalText is how much of a message's text people are shown, in bytes.
const maxApprovalText = 8 << 10

// approvalContent reads what would go out.
func (s *Server) approvalContent(ctx context.Context, c *ApprovalContent, a *storage.Approval) error {
	rows, err := s.Store.OutgoingsOf(ctx, a.Org, a.ID)
	if err == nil && len(rows) == 0 {
		err = missing(storage.ErrNotFound, "held message", a.ID.String()) // somebody has just decided
	}
	if err != nil {
		return err
	}
	body, err := s.Store.OpenOutgoing(ctx, &rows[0])
	if err != nil {
		return err
	}
	defer body.Close()
	parsed := message.Parse(body, body.Size())
	c.Subject, c.Size = message.DecodeWords(parsed.Envelope.Subject), body.Size()
	c.read(body, &parsed.Root)
	if err := s.Queue.Releasable(ctx, a); err != nil {
		c.Obstacle = refusal(err).Message
	}
	original, found, err := s.original(ctx, a.Org, a.Inbox, c.answers())
	if err != nil {
		return err
	}
	c.Lines, c.Quoting = quoting(c.Text, original, found)
	return nil
}

// read takes the first text of a message, and names what else is in it.
func (c *ApprovalContent) read(body io.ReaderAt, p *message.Part) {
	for i := range p.Children {
		c.read(body, &p.Children[i])
	}
	switch {
	case len(p.Children) > 0:
	case p.Type == "text" && c.Text == "" && p.Disposition != "attachment":
		text, err := io.ReadAll(io.LimitReader(message.TextReader(body, p), maxApprovalText+1))
		c.Truncated = err != nil || len(text) > maxApprovalText
		c.Text = strings.ToValidUTF8(string(text[:min(len(text), maxApprovalText)]), "\uFFFD")
	default:
		c.Attachments = append(c.Attachments, strings.TrimSpace(p.MediaType()+" "+p.Filename()))
	}
}

// trace tells where a message comes from, by the event of its submission.
func (c *ApprovalContent) trace(ctx context.Context, s *Server, by caller, a *storage.Approval) error {
	events, err := s.Store.Events(ctx, storage.EventQuery{Org: a.Org, Object: a.ID, Verbs: []audit.Verb{audit.MessageSubmitted}, Limit: 1})
	if err != nil || len(events) == 0 {
		return err
	}
	found, err := s.Store.Origins(ctx, &events[0])
	if err != nil {
		return err
	}
	names := s.newNames(by)
	for _, e := range append(found.Before, events[0]) {
		fresh, err := names.fresh(ctx, &e)
		if err != nil {
			return err
		}
		maps.Copy(c.Names, fresh)
	}
	var t Trace
	t.trace(&events[0], found)
	c.Provenance = t.Provenance
	return nil
}

// ReleaseApproval agrees that a held message goes out. When enough people have, it
// does.
func (c *Client) ReleaseApproval(ctx context.Context, q ApprovalDecision) (ApprovalOutcome, error) {
	return ask[ApprovalDecision, ApprovalOutcome](ctx, c, "approval.release", q)
}

func (s *Server) approvalRelease(ctx context.Context, by caller, q ApprovalDecision) (ApprovalOutcome, error) {
	a, err := s.approval(ctx, by, q.ID)
	if err != nil {
		return ApprovalOutcome{}, err
	}
	if err := s.Queue.Releasable(ctx, &a); err != nil {
		return ApprovalOutcome{}, err
	}
	have, done, err := s.Directory.Consent(ctx, by.Actor, by.org, releaseAct(&a), a.Persons)
	if err != nil {
		return ApprovalOutcome{}, err
	}
	o := ApprovalOutcome{ID: a.ID, State: "waiting", Agreed: have, Persons: a.Persons}
	if done {
		o.State = message.NoticeReleased
		err = s.Queue.ReleaseApproval(ctx, by.Actor, by.org, a.ID, have, q.Reason)
	}
	return o, missing(err, "held message", q.ID)
}

// releaseAct is what people agree to: this message, these bytes.
func releaseAct(a *storage.Approval) string {
	return fmt.Sprintf("approval.release %s sha256:%x", a.ID, a.SHA256)
}

// RejectApproval ends a held message; its agent gets a report. One person is enough.
func (c *Client) RejectApproval(ctx context.Context, q ApprovalDecision) (ApprovalOutcome, error) {
	return ask[ApprovalDecision, ApprovalOutcome](ctx, c, "approval.reject", q)
}

func (s *Server) approvalReject(ctx context.Context, by caller, q ApprovalDecision) (ApprovalOutcome, error) {
	a, err := s.approval(ctx, by, q.ID)
	if err != nil {
		return ApprovalOutcome{}, err
	}
	err = s.Queue.RejectApproval(ctx, by.Actor, by.org, a.ID, q.Reason)
	return ApprovalOutcome{ID: a.ID, State: message.NoticeRejected, Persons: a.Persons}, missing(err, "held message", q.ID)
}

// approval finds a held message of the caller's organization. // AC-19
func (s *Server) approval(ctx context.Context, by caller, ref string) (storage.Approval, error) {
	id, err := uuid.Parse(ref)
	if err != nil {
		return storage.Approval{}, invalid("%q is no id of a held message: postern approval list shows them", ref)
	}
	a, err := s.Queue.Approval(ctx, by.org, id)
	return a, missing(err, "held message", ref)
}

func (s *Server) approvalView(ctx context.Context, n *names, a *storage.Approval) (view Approval, err error) {
	view = Approval{ID: a.ID, AgentID: a.Agent, From: a.From, To: a.Recipients, MessageID: a.MessageID, SHA256: hex.EncodeToString(a.SHA256),
		Rules: a.Rules, Persons: a.Persons, Created: a.Created, Expires: a.Expires}
	if view.Agreed, err = s.Directory.Agreed(ctx, a.Org, releaseAct(a)); err != nil {
		return view, err
	}
	if view.Agent, err = n.agent(ctx, a.Agent); err != nil {
		return view, err
	}
	if view.Credential, err = n.credential(ctx, a.Credential); err != nil {
		return view, err
	}
	view.Inbox, err = n.inbox(ctx, a.Inbox)
	return view, err
}
