package control

import (
	"context"
	"encoding/hex"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/injection"
	"postern/server/message"
	"postern/server/msgauth"
	"postern/server/rendition"
	"postern/storage"
	"postern/storage/audit"
)

// Quarantined is a message that was put away: what is known about it, and nothing of
// what it says.
type Quarantined struct {
	ID       uuid.UUID `json:"id"`      // of this inbox's copy
	Message  uuid.UUID `json:"message"` // one for all copies, as in the log
	Inbox    string    `json:"inbox"`
	Received time.Time `json:"received_at"`
	From     string    `json:"from"`            // address in the From field
	Sender   string    `json:"sender"`          // whether it comes from there: DMARC result, or local, or none
	Verdict  string    `json:"verdict"`         // empty, as what follows: the message is not there any more
	Score    float32   `json:"score"`           // 0 to 1
	Model    string    `json:"model,omitempty"` // that said so
	Reasons  []string  `json:"reasons"`         // codes of a closed list
	Rule     string    `json:"rule"`            // that put it away
	State    string    `json:"state"`           // waiting, released, rejected
	Decided  time.Time `json:"decided_at,omitzero"`
	By       string    `json:"decided_by,omitempty"`
}

// QuarantineContent is a message in quarantine with all that explains why it is there.
type QuarantineContent struct {
	Quarantined
	MessageID string      `json:"message_id,omitempty"`
	Size      int64       `json:"size"`
	SHA256    string      `json:"sha256,omitempty"`
	SPF       string      `json:"spf,omitempty"`
	DKIM      string      `json:"dkim,omitempty"`
	DMARC     string      `json:"dmarc,omitempty"`
	Marked    string      `json:"marked,omitempty"`  // what a person said of it: injection, harmless
	Scorings  []Judgement `json:"scorings"`          // the newest first
	Subject   string      `json:"subject,omitempty"` // if content was asked for
	Views     *BothViews  `json:"views,omitempty"`   // likewise
	History   History     `json:"history"`
}

// BothViews are a message as a person would see it, and as a machine is given it.
type BothViews struct {
	Seen     string  `json:"seen"`
	Given    []Given `json:"given"`
	Complete bool    `json:"complete"` // neither was cut
}

// Given is a text of a message as a machine is given it.
type Given struct {
	View   string `json:"view"`
	Part   string `json:"part,omitempty"`
	Text   string `json:"text"`
	Unseen bool   `json:"unseen"` // by a person
}

// History is what is known of a sender at an inbox, and what is like the message.
type History struct {
	First   time.Time `json:"first_at,omitzero"`   // authenticated mail from this address to the inbox
	Written time.Time `json:"written_at,omitzero"` // the inbox wrote to it
	Similar []Alike   `json:"similar"`             // messages in quarantine with a place that says the same
}

// Alike is another message in quarantine.
type Alike struct {
	ID    uuid.UUID `json:"id"`
	Inbox string    `json:"inbox"`
	From  string    `json:"from"`
}

// Judgement is one scoring of a message.
type Judgement struct {
	At       time.Time       `json:"at"`
	Cause    string          `json:"cause"` // delivery, replay, upgrade
	Model    string          `json:"model"`
	Verdict  string          `json:"verdict"`
	Score    float32         `json:"score"`
	Reasons  []string        `json:"reasons"`
	Evidence []EvidencePlace `json:"evidence"`
	Skipped  []SkippedPart   `json:"skipped"`
}

// EvidencePlace is a place in a message that speaks for a verdict.
type EvidencePlace struct {
	View    string   `json:"view"`           // what kind of text it is, such as hidden
	Part    string   `json:"part,omitempty"` // IMAP section; empty: the header
	Start   int      `json:"start"`          // in the decoded text of the part
	End     int      `json:"end"`
	Chain   []string `json:"chain,omitempty"` // how it was decoded
	Score   float32  `json:"score"`
	Reasons []string `json:"reasons"`
	Rule    string   `json:"rule,omitempty"` // of form; empty: the model
	Text    string   `json:"text,omitempty"` // if content was asked for
	Before  string   `json:"before,omitempty"`
	After   string   `json:"after,omitempty"` // 80 characters on each side
}

// SkippedPart is a part that was not looked at in whole.
type SkippedPart struct {
	Part string `json:"part,omitempty"`
	Why  string `json:"why"`
}

// QuarantineQuery asks what lies in quarantine.
type QuarantineQuery struct {
	Inbox string `json:"inbox,omitempty"` // only of this one
	All   bool   `json:"all,omitempty"`   // also what was decided about
	Rule  string `json:"rule,omitempty"`  // only what this rule put away
	Page
}

// QuarantineRef names a message in quarantine.
type QuarantineRef struct {
	ID string `json:"id"`
	// Content: with the subject and the text of each place. Whoever asks must be one
	// who may see content, say why, and is recorded.
	Content bool   `json:"content,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// QuarantineRuling is what is decided about a message in quarantine.
type QuarantineRuling struct {
	ID      string `json:"id"`
	Reason  string `json:"reason"`            // for people: the agent does not see it
	Trusted bool   `json:"trusted,omitempty"` // of a release: without mark, and reading it taints nobody
}

// QuarantineOutcome is what followed.
type QuarantineOutcome struct {
	ID      uuid.UUID `json:"id"`
	Inbox   string    `json:"inbox"`
	State   string    `json:"state"`
	Changed bool      `json:"changed"` // false: it was so already
	By      string    `json:"decided_by"`
}

func (s *Server) quarantineCommands() {
	lines(s, "quarantine.list", s.quarantineList)
	answer(s, "quarantine.scores", s.quarantineScores)
	answer(s, "quarantine.show", s.quarantineShow)
	answer(s, "quarantine.release", func(ctx context.Context, by caller, q QuarantineRuling) (QuarantineOutcome, error) {
		return s.rule(ctx, by, q, delivery.Ruling{Release: true, Trusted: q.Trusted, Reason: q.Reason})
	})
	answer(s, "quarantine.reject", func(ctx context.Context, by caller, q QuarantineRuling) (QuarantineOutcome, error) {
		return s.rule(ctx, by, q, delivery.Ruling{Reason: q.Reason})
	})
}

// Quarantine lists what lies in quarantine, the longest waiting first.
func (c *Client) Quarantine(ctx context.Context, q QuarantineQuery) iter.Seq2[Quarantined, error] {
	return rows[QuarantineQuery, Quarantined](ctx, c, "quarantine.list", q)
}

func (s *Server) quarantineList(ctx context.Context, by caller, q QuarantineQuery, emit func(Quarantined) error) error {
	var only uuid.UUID
	if q.Inbox != "" {
		in, err := s.inbox(ctx, by, q.Inbox)
		if err != nil {
			return err
		}
		only = in.ID
	}
	names := s.newNames(by)
	read := func(after uuid.UUID, step int) ([]storage.Quarantined, error) {
		return s.Store.Quarantine(ctx, by.org, after, step, q.All)
	}
	return paged(q.Page, read, func(k *storage.Quarantined) uuid.UUID { return k.ID }, func(k *storage.Quarantined) (bool, error) {
		if only != uuid.Nil && k.Inbox != only || q.Rule != "" && k.Rule != q.Rule {
			return false, nil
		}
		view, _, err := s.quarantined(ctx, names, k)
		if err != nil {
			return false, err
		}
		return true, emit(view)
	})
}

// Quarantined explains why a message was put away.
func (c *Client) Quarantined(ctx context.Context, q QuarantineRef) (QuarantineContent, error) {
	return ask[QuarantineRef, QuarantineContent](ctx, c, "quarantine.show", q)
}

func (s *Server) quarantineShow(ctx context.Context, by caller, q QuarantineRef) (QuarantineContent, error) {
	k, err := s.inQuarantine(ctx, by, q.ID)
	if err != nil {
		return QuarantineContent{}, err
	}
	if q.Content {
		if err := s.mayRead(by, q.Reason); err != nil {
			return QuarantineContent{}, err
		}
	}
	view, open, err := s.quarantined(ctx, s.newNames(by), &k)
	if err != nil {
		return QuarantineContent{}, err
	}
	c := QuarantineContent{Quarantined: view, Scorings: []Judgement{}, History: History{Similar: []Alike{}}}
	mark, err := s.Store.MarkOf(ctx, by.org, k.Message)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return QuarantineContent{}, err
	}
	c.Marked = string(mark.Label)
	if open.inbox == nil { // decided about: what it was is in the log
		return c, nil
	}
	if err := c.explain(open); err != nil {
		return c, err
	}
	if err := c.compare(ctx, s, by, &k, open); err != nil || !q.Content {
		return c, err
	}
	// Invariant 3: the event is durable before the first byte. // AC-17
	err = s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		tx.Record(audit.Event{Verb: audit.QuarantineViewed, Outcome: audit.OK, Org: k.Org, Inbox: k.Inbox, Object: k.Message,
			Fields:   audit.Fields{audit.Digest(audit.KeySHA256, open.m.Content.SHA256[:])},
			Personal: audit.Fields{audit.Text(audit.KeyNote, q.Reason), audit.Text(audit.KeyMessageID, c.MessageID)}})
		return nil
	})
	if err != nil {
		return QuarantineContent{}, err
	}
	return c, c.read(ctx, open)
}

// mayRead says whether the caller may see content, and has said why.
func (s *Server) mayRead(by caller, reason string) error {
	if err := by.may(directory.ActContent); err != nil {
		return err
	}
	if reason == "" {
		return invalid("to see what a message says needs a reason")
	}
	return nil
}

// waiting is a message that is still there.
type waiting struct {
	inbox *storage.Inbox // nil: it is not
	m     storage.Message
	env   message.Envelope
	auth  msgauth.Results
}

// quarantined is what is known of a message.
func (s *Server) quarantined(ctx context.Context, n *names, k *storage.Quarantined) (view Quarantined, open waiting, err error) {
	view = Quarantined{ID: k.ID, Message: k.Message, Received: k.Created, Rule: k.Rule, State: string(k.State), Decided: k.Decided, By: k.By, Reasons: []string{}}
	if view.Inbox, err = n.inbox(ctx, k.Inbox); err != nil || k.State != storage.QuarantineWaiting {
		return view, open, err
	}
	in, m, err := s.Quarantine.Open(ctx, k)
	if errors.Is(err, storage.ErrNotFound) {
		return view, open, nil // somebody has just decided, or the inbox is being erased
	}
	if err != nil {
		return view, open, err
	}
	parsed, err := message.DecodeStructure(m.Content.Structure)
	if err != nil {
		return view, open, err
	}
	open = waiting{inbox: in, m: m, env: parsed.Envelope}
	if open.auth, err = msgauth.DecodeResults(m.Content.Auth); err != nil {
		return view, open, err
	}
	if len(parsed.Envelope.From) > 0 {
		view.From = parsed.Envelope.From[0].Mailbox + "@" + parsed.Envelope.From[0].Host
	}
	view.Verdict, view.Score, view.Model = m.Content.Verdict.String(), m.Content.Score, m.Content.Model
	view.Sender = open.sender()
	scorings, err := m.Scorings()
	if err == nil && len(scorings) > 0 {
		view.Reasons = append(view.Reasons, scorings[0].Reasons...)
	}
	return view, open, err
}

// sender says whether a message comes from who it says.
func (w *waiting) sender() string {
	switch {
	case w.m.Content.Origin == storage.OriginMX:
		return w.auth.DMARC.Value.String()
	case w.m.Flags&storage.SenderVerified != 0:
		return "local"
	}
	return "none"
}

// explain adds what was found out about a message.
func (c *QuarantineContent) explain(w waiting) error {
	c.MessageID, c.Size, c.SHA256 = w.m.Content.MessageID, w.m.Size, hex.EncodeToString(w.m.Content.SHA256[:])
	if w.m.Content.Origin == storage.OriginMX {
		c.SPF, c.DMARC, c.DKIM = w.auth.SPF.Value.String(), w.auth.DMARC.Value.String(), msgauth.None.String()
		for _, d := range w.auth.DKIM {
			if c.DKIM != msgauth.Pass.String() {
				c.DKIM = d.Value.String()
			}
		}
	}
	scorings, err := w.m.Scorings()
	for _, run := range scorings {
		c.Scorings = append(c.Scorings, judgement(run))
	}
	return err
}

func judgement(run storage.Scoring) Judgement {
	j := Judgement{At: run.At, Cause: string(run.Cause), Model: run.Model, Verdict: run.Verdict.String(), Score: run.Score,
		Reasons: append([]string{}, run.Reasons...), Evidence: []EvidencePlace{}, Skipped: []SkippedPart{}}
	for _, e := range run.Evidence {
		j.Evidence = append(j.Evidence, EvidencePlace{View: e.View, Part: e.Part, Start: e.Start, End: e.End, Chain: e.Chain,
			Score: e.Score, Reasons: append([]string{}, e.Reasons...), Rule: e.Rule})
	}
	for _, skip := range run.Skipped {
		j.Skipped = append(j.Skipped, SkippedPart{skip.Part, skip.Why})
	}
	return j
}

// read adds the subject, and the text of each place. A place that the scorer of this
// version does not find again stays without.
func (c *QuarantineContent) read(ctx context.Context, w waiting) error {
	c.Subject = message.DecodeWords(w.env.Subject)
	body, err := w.inbox.OpenBody(ctx, &w.m)
	if err != nil {
		return err
	}
	defer body.Close()
	scorings, err := w.m.Scorings()
	if err != nil {
		return err
	}
	var wanted [][32]byte
	for _, run := range scorings {
		for _, e := range run.Evidence {
			wanted = append(wanted, e.SHA256)
		}
	}
	texts := injection.Excerpts(injection.Input{Body: body, Structure: message.Parse(body, body.Size())}, wanted)
	for i, run := range scorings {
		for j, e := range run.Evidence {
			x, place := texts[e.SHA256], &c.Scorings[i].Evidence[j]
			place.Text, place.Before, place.After = x.Text, x.Before, x.After
		}
	}
	return c.view(body, w.m.Content)
}

// maxView bounds each of the two views of a message, in bytes.
const maxView = 24 << 10

// view adds the message as a person would see it, and as a machine is given it.
func (c *QuarantineContent) view(body *storage.Body, content *storage.Content) error {
	src, err := sourceOf(body, content)
	if err != nil {
		return err
	}
	v := &BothViews{Given: []Given{}}
	seen, cut, err := rendition.Text(src, maxView)
	if err != nil {
		return err
	}
	texts, complete := injection.Extracts(injection.Input{Body: body, Structure: message.Parse(body, body.Size())}, maxView)
	v.Seen, v.Complete = seen, complete && !cut
	for _, x := range texts {
		v.Given = append(v.Given, Given{View: x.View.String(), Part: x.Part, Text: strings.ToValidUTF8(x.Text, "\uFFFD"), Unseen: x.Unseen})
	}
	c.Views = v
	return nil
}

// Bounds of a comparison.
const (
	maxCompared = 500 // messages that wait
	maxAlike    = 10
)

// compare adds what is known of the sender, and which other messages that wait have a
// place with the same text. Of those, digests alone are compared.
func (c *QuarantineContent) compare(ctx context.Context, s *Server, by caller, k *storage.Quarantined, w waiting) error {
	if c.From != "" {
		known, err := w.inbox.Correspondent(ctx, c.From)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		c.History.First, c.History.Written = known.FirstReceived, known.FirstSent
	}
	mine := digests(&w.m)
	if len(mine) == 0 {
		return nil
	}
	others, err := s.Store.Quarantine(ctx, by.org, uuid.Nil, maxCompared, false)
	if err != nil {
		return err
	}
	names := s.newNames(by)
	for i := range others {
		o := &others[i]
		if o.ID == k.ID || len(c.History.Similar) == maxAlike {
			continue
		}
		view, open, err := s.quarantined(ctx, names, o)
		if err != nil {
			return err
		}
		if open.inbox == nil || !slices.ContainsFunc(digests(&open.m), func(d [32]byte) bool { return slices.Contains(mine, d) }) {
			continue
		}
		c.History.Similar = append(c.History.Similar, Alike{ID: o.ID, Inbox: view.Inbox, From: view.From})
	}
	return nil
}

// digests are those of the places of the newest judgement.
func digests(m *storage.Message) (all [][32]byte) {
	scorings, err := m.Scorings()
	if err != nil || len(scorings) == 0 {
		return nil
	}
	for _, e := range scorings[0].Evidence {
		all = append(all, e.SHA256)
	}
	return all
}

// ReleaseQuarantined lets a message out of quarantine: it is new mail in INBOX.
func (c *Client) ReleaseQuarantined(ctx context.Context, q QuarantineRuling) (QuarantineOutcome, error) {
	return ask[QuarantineRuling, QuarantineOutcome](ctx, c, "quarantine.release", q)
}

// RejectQuarantined deletes a message that is in quarantine.
func (c *Client) RejectQuarantined(ctx context.Context, q QuarantineRuling) (QuarantineOutcome, error) {
	return ask[QuarantineRuling, QuarantineOutcome](ctx, c, "quarantine.reject", q)
}

// rule carries out what a person decided about one message.
func (s *Server) rule(ctx context.Context, by caller, q QuarantineRuling, r delivery.Ruling) (QuarantineOutcome, error) {
	k, err := s.inQuarantine(ctx, by, q.ID)
	if err != nil {
		return QuarantineOutcome{}, err
	}
	if q.Reason == "" {
		return QuarantineOutcome{}, invalid("to decide about a message in quarantine needs a reason")
	}
	k, changed, err := s.Quarantine.Decide(ctx, by.Actor, by.org, k.ID, r)
	if err != nil {
		return QuarantineOutcome{}, missing(err, "message in quarantine", q.ID)
	}
	o := QuarantineOutcome{ID: k.ID, State: string(k.State), Changed: changed, By: k.By}
	o.Inbox, err = s.newNames(by).inbox(ctx, k.Inbox)
	return o, err
}

// inQuarantine finds a message that was put away in the caller's organization. // AC-19
func (s *Server) inQuarantine(ctx context.Context, by caller, ref string) (storage.Quarantined, error) {
	id, err := uuid.Parse(ref)
	if err != nil {
		return storage.Quarantined{}, invalid("%q is no id of a message in quarantine: postern quarantine list shows them", ref)
	}
	k, err := s.Store.Quarantined(ctx, by.org, id)
	return k, missing(err, "message in quarantine", ref)
}
