package control

import (
	"context"
	"encoding/hex"
	"errors"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// Mark is what a person said of a message, beside what the scorer had said.
type Mark struct {
	Message uuid.UUID `json:"message"`
	Inbox   string    `json:"inbox"` // where it was found; empty: that is gone
	SHA256  string    `json:"sha256"`
	Label   string    `json:"label"`   // injection, harmless
	Verdict string    `json:"verdict"` // at that time
	Score   float32   `json:"score"`
	Model   string    `json:"model,omitempty"`
	At      time.Time `json:"marked_at"`
	By      string    `json:"marked_by"`
	Changed bool      `json:"changed"` // false: it was said already; of a list: always true
}

// MarkRequest says of a message what it is.
type MarkRequest struct {
	ID     string `json:"id"`     // of the message, as in the log, or of its copy in quarantine
	Label  string `json:"label"`  // injection, harmless
	Reason string `json:"reason"` // for people
}

func (s *Server) markCommands() {
	answer(s, "message.mark", s.messageMark)
	lines(s, "message.marks", s.messageMarks)
}

// Mark says of a message whether it is an injection. It changes no threshold and no
// verdict: it is one case of what models are compared on.
func (c *Client) Mark(ctx context.Context, q MarkRequest) (Mark, error) {
	return ask[MarkRequest, Mark](ctx, c, "message.mark", q)
}

func (s *Server) messageMark(ctx context.Context, by caller, q MarkRequest) (Mark, error) {
	label := storage.MarkLabel(q.Label)
	id, err := uuid.Parse(q.ID)
	switch {
	case err != nil:
		return Mark{}, invalid("%q is no id of a message: postern quarantine list and postern audit list show them", q.ID)
	case label != storage.MarkInjection && label != storage.MarkHarmless:
		return Mark{}, invalid("say whether the message is an injection or harmless")
	case q.Reason == "":
		return Mark{}, invalid("to mark a message needs a reason")
	}
	m, err := s.markable(ctx, by, id)
	if err != nil {
		return Mark{}, missing(err, "message", q.ID)
	}
	m.Label, m.By = label, by.Name
	names := s.newNames(by)
	was, err := s.Store.MarkOf(ctx, by.org, m.Message)
	if err == nil && was.Label == label {
		return s.markView(ctx, names, &was, false)
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return Mark{}, err
	}
	changed, made := false, m
	err = s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) (err error) {
		made = m // the function may run twice
		e := tx.Record(audit.Event{Verb: audit.MessageMarked, Outcome: audit.OK, Org: by.org, Inbox: m.Inbox, Object: m.Message,
			Fields: audit.Fields{audit.Word(audit.KeyLabel, q.Label), audit.Word(audit.KeyVerdict, m.Verdict.String()),
				audit.Digest(audit.KeySHA256, m.SHA256[:])},
			Personal: audit.Fields{audit.Text(audit.KeyNote, q.Reason)}})
		changed, err = tx.PutMark(e, &made)
		return err
	})
	if err != nil {
		return Mark{}, err
	}
	return s.markView(ctx, names, &made, changed)
}

// markable finds a message of the caller's organization, with its verdict: where it
// lies, or, of one that is gone, in the event of its arrival. // AC-19
func (s *Server) markable(ctx context.Context, by caller, id uuid.UUID) (m storage.Mark, err error) {
	k, err := s.Store.Quarantined(ctx, by.org, id)
	if err == nil {
		id = k.Message
	} else if !errors.Is(err, storage.ErrNotFound) {
		return m, err
	}
	m = storage.Mark{Head: storage.Head{Org: by.org}, Message: id}
	_, stored, err := s.copyOf(ctx, by.org, id)
	if err == nil {
		c := stored.m.Content
		m.Inbox, m.SHA256, m.Verdict, m.Score, m.Model = stored.inbox.ID(), c.SHA256, c.Verdict, c.Score, c.Model
		return m, nil
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return m, err
	}
	events, err := s.Store.Events(ctx, storage.EventQuery{Org: by.org, Object: id, Verbs: arriving, Limit: 1})
	if err == nil && len(events) == 0 {
		err = storage.ErrNotFound
	}
	if err != nil {
		return m, err
	}
	return m, arrived(&m, &events[0])
}

// arriving are the events with which a message comes into a mailbox.
var arriving = []audit.Verb{audit.MessageReceived, audit.MessageAppended, audit.NoticeDelivered}

// arrived takes from the event of an arrival what was said of the message.
func arrived(m *storage.Mark, e *audit.Event) error {
	sum, ok := e.Fields.Get(audit.KeySHA256).([]byte)
	if !ok || len(sum) != len(m.SHA256) {
		return storage.ErrNotFound
	}
	m.Inbox, m.SHA256, m.Model = e.Inbox, [32]byte(sum), e.Fields.Text(audit.KeyModel)
	score, _ := e.Fields.Int(audit.KeyScore)
	m.Score = float32(score) / 1000
	for v := storage.Unscored; v <= storage.Partial; v++ {
		if v.String() == e.Fields.Text(audit.KeyVerdict) {
			m.Verdict = v
		}
	}
	return nil
}

// copyOf finds one copy of a message of an organization.
func (s *Server) copyOf(ctx context.Context, org, message uuid.UUID) (where storage.Whereabout, w waiting, err error) {
	return s.copyIn(ctx, org, message, uuid.Nil)
}

// copyIn finds one copy of a message of an organization, in one inbox unless that is
// zero.
func (s *Server) copyIn(ctx context.Context, org, message, only uuid.UUID) (where storage.Whereabout, w waiting, err error) {
	places, err := s.Store.Whereabouts(ctx, org, message)
	if err != nil {
		return where, w, err
	}
	for _, where := range places {
		if only != uuid.Nil && where.Inbox != only {
			continue
		}
		in, err := s.Store.OpenInbox(ctx, org, where.Inbox)
		if errors.Is(err, storage.ErrNotFound) {
			continue // it is being erased
		}
		if err != nil {
			return where, w, err
		}
		m, err := in.Message(ctx, where.Mailbox, where.UID)
		if errors.Is(err, storage.ErrNotFound) || err == nil && m.ID != message {
			continue // it has just gone
		}
		return where, waiting{inbox: in, m: m}, err
	}
	return where, w, storage.ErrNotFound
}

// Marks lists what people said of messages.
func (c *Client) Marks(ctx context.Context) iter.Seq2[Mark, error] {
	return rows[None, Mark](ctx, c, "message.marks", None{})
}

func (s *Server) messageMarks(ctx context.Context, by caller, _ None, emit func(Mark) error) error {
	names := s.newNames(by)
	return s.eachMark(ctx, by, func(m *storage.Mark) error {
		view, err := s.markView(ctx, names, m, true)
		if err != nil {
			return err
		}
		return emit(view)
	})
}

func (s *Server) eachMark(ctx context.Context, by caller, fn func(*storage.Mark) error) error {
	read := func(after uuid.UUID) ([]storage.Mark, error) { return s.Store.Marks(ctx, by.org, after, page) }
	return pages(read, func(m *storage.Mark) uuid.UUID { return m.ID }, fn)
}

func (s *Server) markView(ctx context.Context, n *names, m *storage.Mark, changed bool) (Mark, error) {
	inbox, err := n.inbox(ctx, m.Inbox)
	return Mark{Message: m.Message, Inbox: inbox, SHA256: hex.EncodeToString(m.SHA256[:]), Label: string(m.Label), Verdict: m.Verdict.String(),
		Score: m.Score, Model: m.Model, At: m.At, By: m.By, Changed: changed}, err
}
