package control

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/injection"
	"postern/storage"
	"postern/storage/audit"
)

// ReplayQuery asks what a model says of stored mail.
type ReplayQuery struct {
	Inbox  string    `json:"inbox,omitempty"`  // address; empty: all
	Domain string    `json:"domain,omitempty"` // empty: all
	Since  time.Time `json:"since,omitzero"`   // that came then or later
	Model  []byte    `json:"model,omitempty"`  // as cmd/injection-train writes it; empty: the one in use
	Apply  bool      `json:"apply,omitempty"`  // make its verdicts those of the messages
	Reason string    `json:"reason,omitempty"` // of Apply, for the audit log
}

// ReplayRow is a message whose verdict is, or would be, another; the last row has
// the summary instead.
type ReplayRow struct {
	Message uuid.UUID      `json:"message,omitzero"`
	Inbox   string         `json:"inbox,omitempty"`
	Mailbox string         `json:"mailbox,omitempty"` // its role; empty: one of the agent's own
	UID     uint32         `json:"uid,omitempty"`
	Was     string         `json:"was,omitempty"`
	Verdict string         `json:"verdict,omitempty"`
	Score   float32        `json:"score"`
	Reasons []string       `json:"reasons,omitempty"`
	Would   string         `json:"would,omitempty"` // quarantine, inbox: where it would have gone, if that is elsewhere
	Summary *ReplaySummary `json:"summary,omitempty"`
}

// ReplaySummary is what a replay came to.
type ReplaySummary struct {
	Model       string         `json:"model"`
	Applied     bool           `json:"applied"`
	Scored      int            `json:"scored"`
	Changed     int            `json:"changed"`
	Same        int            `json:"same"`        // judged by this model already
	Failed      int            `json:"failed"`      // could not be read
	Transitions map[string]int `json:"transitions"` // "clean > suspicious": how many
}

// ModelInfo says what judges mail.
type ModelInfo struct {
	Model      string  `json:"model"` // version of model and rules
	Suspicious float64 `json:"suspicious"`
	Quarantine float64 `json:"quarantine"`
	Judged     int64   `json:"judged"` // since the start, as what follows
	Failed     int64   `json:"failed"` // messages that are unscored
	Turned     int64   `json:"turned"` // messages that were told to come again, since too many waited
}

func (s *Server) injectionCommands() {
	lines(s, "injection.replay", s.injectionReplay)
	answer(s, "injection.model", s.injectionModel)
}

// Replay scores stored mail again.
func (c *Client) Replay(ctx context.Context, q ReplayQuery) iter.Seq2[ReplayRow, error] {
	return rows[ReplayQuery, ReplayRow](ctx, c, "injection.replay", q)
}

// InjectionModel says what judges mail.
func (c *Client) InjectionModel(ctx context.Context) (ModelInfo, error) {
	return ask[None, ModelInfo](ctx, c, "injection.model", None{})
}

func (s *Server) injectionModel(context.Context, caller, None) (ModelInfo, error) {
	m := injection.Shipped()
	counts := s.Scorer.Counts()
	return ModelInfo{Model: m.Version, Suspicious: m.Suspicious, Quarantine: m.Quarantine,
		Judged: counts.Judged, Failed: counts.Failed, Turned: counts.Turned}, nil
}

func (s *Server) injectionReplay(ctx context.Context, by caller, q ReplayQuery, emit func(ReplayRow) error) error {
	if q.Apply {
		if err := by.may(directory.ActPolicy); err != nil {
			return err
		}
		if q.Reason == "" {
			return invalid("to change verdicts needs a reason")
		}
	}
	run, err := s.replayQuery(ctx, by, &q)
	if err != nil {
		return err
	}
	scorer, err := s.replayScorer(q.Model)
	if err != nil {
		return err
	}
	sum := ReplaySummary{Model: scorer.Model(), Applied: q.Apply, Transitions: map[string]int{}}
	if err := s.recordReplay(ctx, by, &q, "begun", &sum); err != nil {
		return err
	}
	names := s.newNames(by)
	done, err := delivery.NewReplay(s.Store, scorer.Judge, scorer.Model()).Run(ctx, by.Actor, run, func(r delivery.Rescored) error {
		row, err := replayRow(ctx, names, &r)
		sum.Transitions[row.Was+" > "+row.Verdict]++
		return errors.Join(err, emit(row))
	})
	sum.Scored, sum.Changed, sum.Same, sum.Failed = done.Scored, done.Changed, done.Same, done.Failed
	state := "ended"
	if err != nil {
		state = "cut"
	}
	if err := errors.Join(err, s.recordReplay(context.WithoutCancel(ctx), by, &q, state, &sum)); err != nil {
		return err
	}
	return emit(ReplayRow{Summary: &sum})
}

// replayQuery finds what the query names, in the caller's organization.
func (s *Server) replayQuery(ctx context.Context, by caller, q *ReplayQuery) (delivery.ReplayQuery, error) {
	run := delivery.ReplayQuery{Org: by.org, Since: q.Since, Apply: q.Apply, Cause: storage.ScoredAtReplay}
	if q.Inbox != "" {
		in, err := s.inbox(ctx, by, q.Inbox)
		if err != nil {
			return run, err
		}
		run.Inbox = in.ID
	}
	if q.Domain != "" {
		d, _, err := s.domain(ctx, by, q.Domain)
		if err != nil {
			return run, err
		}
		run.Domain = d.ID
	}
	return run, nil
}

// replayScorer is the scorer in use, or one with the model of a request.
func (s *Server) replayScorer(model []byte) (*delivery.Scorer, error) {
	if len(model) == 0 {
		return s.Scorer, nil
	}
	m, err := injection.DecodeModel(model)
	if err != nil {
		return nil, invalid("this is no model: cmd/injection-train writes them")
	}
	if !audit.IsWord(m.Version) {
		return nil, invalid("the version of the model is no word: letters, digits and -._+:/,=~ alone")
	}
	return delivery.NewScorer(m, s.Log), nil
}

// recordReplay says in the log who has stored mail scored again, and what came of it.
func (s *Server) recordReplay(ctx context.Context, by caller, q *ReplayQuery, state string, sum *ReplaySummary) error {
	kind := "report"
	if q.Apply {
		kind = "apply"
	}
	return s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		e := audit.Event{Verb: audit.InjectionReplay, Outcome: audit.OK, Org: by.org, Fields: audit.Fields{
			audit.Word(audit.KeyState, state), audit.Word(audit.KeyModel, sum.Model), audit.Word(audit.KeyKind, kind)}}
		if state != "begun" {
			e.Fields = append(e.Fields, audit.Int(audit.KeyCount, sum.Changed))
		}
		for key, text := range map[audit.Key]string{audit.KeyAddress: q.Inbox, audit.KeyDomain: q.Domain, audit.KeyNote: q.Reason} {
			if text != "" {
				e.Personal = append(e.Personal, audit.Text(key, text))
			}
		}
		tx.Record(e)
		return nil
	})
}

func replayRow(ctx context.Context, names *names, r *delivery.Rescored) (row ReplayRow, err error) {
	row = ReplayRow{Message: r.Message, Mailbox: r.Mailbox.String(), UID: r.UID, Was: r.Was.String(), Verdict: r.Now.String(),
		Score: r.Scoring.Score, Reasons: r.Scoring.Reasons}
	switch away := r.Placed == storage.RoleQuarantine; {
	case away && r.Mailbox != storage.RoleQuarantine:
		row.Would = "quarantine"
	case !away && r.Mailbox == storage.RoleQuarantine:
		row.Would = "inbox"
	}
	row.Inbox, err = names.inbox(ctx, r.Inbox)
	return row, err
}
