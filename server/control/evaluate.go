package control

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/server/injection"
	"postern/server/message"
	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// Evaluation is how a model does on the messages that people marked.
type Evaluation struct {
	Model     string       `json:"model"`
	Marked    int          `json:"marked"`
	Gone      int          `json:"gone"` // of those: not there any more
	Injection LabelCounts  `json:"injection"`
	Harmless  LabelCounts  `json:"harmless"`
	Changed   []Reassessed `json:"changed"` // whose verdict is another than when they were marked
}

// LabelCounts says what a model makes of the messages with one label.
type LabelCounts struct {
	Messages   int `json:"messages"`
	Clean      int `json:"clean"`
	Suspicious int `json:"suspicious"`
	Quarantine int `json:"quarantine"`
	Partial    int `json:"partial"`
}

// Reassessed is a marked message with another verdict than when it was marked.
type Reassessed struct {
	Message uuid.UUID `json:"message"`
	Label   string    `json:"label"`
	Was     string    `json:"was"`
	Now     string    `json:"now"`
	Score   float32   `json:"score"` // now
}

// EvaluationRequest names a model.
type EvaluationRequest struct {
	Model []byte `json:"model,omitempty"` // as the trainer writes it; empty: the one that is in use
}

// InjectionQuery asks what the scorer found in a time.
type InjectionQuery struct {
	Inbox string    `json:"inbox,omitempty"` // only there
	Since time.Time `json:"since,omitzero"`
}

// InjectionDay is what came in on one day, by verdict, and what each band does or
// would do about it.
type InjectionDay struct {
	Day        string `json:"day"` // UTC
	Messages   int    `json:"messages"`
	Clean      int    `json:"clean"`
	Suspicious int    `json:"suspicious"` // go away with injection-suspicious quarantine
	Quarantine int    `json:"quarantine"` // go away with injection-quarantine quarantine
	Partial    int    `json:"partial"`    // go away with injection-partial quarantine
	Unscored   int    `json:"unscored"`   // the same
	PutAway    int    `json:"put_away"`   // were put away
	Reported   int    `json:"reported"`   // would have been, but the inbox only reports
	Allowed    int    `json:"allowed"`    // would have been, but the sender is allowed
	Above      []int  `json:"above"`      // how many have a score above each of ScoreSteps
}

// ScoreSteps are the thresholds of InjectionDay.Above.
var ScoreSteps = []float32{.5, .6, .7, .8, .9, .95, .99}

func (s *Server) evaluateCommands() {
	answer(s, "injection.evaluate", s.injectionEvaluate)
	lines(s, "injection.report", s.injectionReport)
}

// EvaluateInjection scores the messages that people marked. That somebody did is an
// event.
func (c *Client) EvaluateInjection(ctx context.Context, q EvaluationRequest) (Evaluation, error) {
	return ask[EvaluationRequest, Evaluation](ctx, c, "injection.evaluate", q)
}

func (s *Server) injectionEvaluate(ctx context.Context, by caller, q EvaluationRequest) (Evaluation, error) {
	model := injection.Shipped()
	if len(q.Model) > 0 {
		var err error
		if model, err = injection.DecodeModel(q.Model); err != nil {
			return Evaluation{}, invalid("that is no model of this version: %v", err)
		}
	}
	scorer := injection.NewScorer(model)
	report := Evaluation{Model: model.Version, Changed: []Reassessed{}}
	// Invariant 3: what is read is on record first.
	err := s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		tx.Record(audit.Event{Verb: audit.InjectionEvaluate, Outcome: audit.OK, Org: by.org, Fields: audit.Fields{audit.Word(audit.KeyModel, model.Version)}})
		return nil
	})
	if err != nil {
		return Evaluation{}, err
	}
	return report, s.eachMark(ctx, by, func(m *storage.Mark) error {
		report.Marked++
		_, w, err := s.copyOf(ctx, by.org, m.Message)
		if errors.Is(err, storage.ErrNotFound) {
			report.Gone++
			return nil
		}
		if err != nil {
			return err
		}
		return report.assess(ctx, scorer, m, w)
	})
}

// assess scores one message and counts what came out.
func (r *Evaluation) assess(ctx context.Context, scorer *injection.Scorer, m *storage.Mark, w waiting) error {
	body, err := w.inbox.OpenBody(ctx, &w.m)
	if err != nil {
		return err
	}
	defer body.Close()
	now := scorer.Score(injection.Input{Body: body, Structure: message.Parse(body, body.Size())})
	counts := &r.Harmless
	if m.Label == storage.MarkInjection {
		counts = &r.Injection
	}
	counts.Messages++
	switch now.Verdict {
	case injection.Clean:
		counts.Clean++
	case injection.Suspicious:
		counts.Suspicious++
	case injection.Quarantine:
		counts.Quarantine++
	case injection.Partial:
		counts.Partial++
	}
	if was := m.Verdict.String(); was != now.Verdict.String() {
		r.Changed = append(r.Changed, Reassessed{Message: m.Message, Label: string(m.Label), Was: was, Now: now.Verdict.String(), Score: now.Score})
	}
	return nil
}

// InjectionReport says day by day what came in by verdict. That the log was read for
// it is an event.
func (c *Client) InjectionReport(ctx context.Context, q InjectionQuery) iter.Seq2[InjectionDay, error] {
	return rows[InjectionQuery, InjectionDay](ctx, c, "injection.report", q)
}

func (s *Server) injectionReport(ctx context.Context, by caller, q InjectionQuery, emit func(InjectionDay) error) error {
	query := storage.EventQuery{Org: by.org, Since: q.Since, Verbs: arriving}
	if q.Inbox != "" {
		in, err := s.inbox(ctx, by, q.Inbox)
		if err != nil {
			return err
		}
		query.Inbox = in.ID
	}
	until, err := s.recordReading(ctx, by, EventQuery{Inbox: q.Inbox, Since: q.Since, Verbs: verbNames(arriving)})
	if err != nil {
		return err
	}
	query.To = until
	day := InjectionDay{}
	for {
		events, err := s.Store.Events(ctx, query)
		if err != nil {
			return err
		}
		for i := range events {
			name := events[i].Time.UTC().Format(time.DateOnly)
			if day.Day != name && day.Messages > 0 {
				if err := emit(day); err != nil {
					return err
				}
				day = InjectionDay{}
			}
			day.Day = name
			day.count(&events[i])
		}
		if len(events) == 0 {
			break
		}
		query.From = events[len(events)-1].Seq + 1
	}
	if day.Messages == 0 {
		return nil
	}
	return emit(day)
}

// count counts one arrival.
func (d *InjectionDay) count(e *audit.Event) {
	d.Messages++
	for word, n := range map[string]*int{"clean": &d.Clean, "suspicious": &d.Suspicious, "quarantine": &d.Quarantine, "partial": &d.Partial, "unscored": &d.Unscored} {
		if e.Fields.Text(audit.KeyVerdict) == word {
			*n++
		}
	}
	switch e.Fields.Text(audit.KeyRule) {
	case policy.InjectionReportOnly.String():
		d.Reported++
	case policy.InjectionAllowed.String():
		d.Allowed++
	case policy.InjectionHard.String(), policy.InjectionQuarantine.String(), policy.InjectionSuspicious.String(), policy.InjectionPartial.String():
		d.PutAway++
	}
	if d.Above == nil {
		d.Above = make([]int, len(ScoreSteps))
	}
	score, _ := e.Fields.Int(audit.KeyScore)
	for i, step := range ScoreSteps {
		if float32(score)/1000 > step {
			d.Above[i]++
		}
	}
}
