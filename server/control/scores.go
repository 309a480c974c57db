package control

import (
	"context"

	"postern/server/injection"
	"postern/storage"
	"postern/storage/audit"
)

// ScoreBins is how many stretches of equal width the scores are counted in.
const ScoreBins = 20

// maxScores is how many of the newest deliveries are counted.
const maxScores = 1000

// ScoresQuery asks how the newest mail scored.
type ScoresQuery struct {
	At float32 `json:"at,omitempty"` // 0 to 1: how much would have been put away from this score on; 0: from the model's own
}

// Scores are how the newest mail scored when it came. They say nothing of any message.
type Scores struct {
	Looked     int              `json:"looked"` // deliveries, at most the newest 1,000; one for each inbox
	Bins       [ScoreBins]int64 `json:"bins"`   // from 0 to 1
	Suspicious float32          `json:"suspicious"`
	Quarantine float32          `json:"quarantine"` // the model's two lines
	Marked     int              `json:"marked"`     // between them
	Over       int              `json:"over"`       // at or over the second
	At         float32          `json:"at"`
	Would      int              `json:"would"` // at or over At
}

// Scores tells how the newest mail scored, and what another line would have done.
func (c *Client) Scores(ctx context.Context, q ScoresQuery) (Scores, error) {
	return ask[ScoresQuery, Scores](ctx, c, "quarantine.scores", q)
}

func (s *Server) quarantineScores(ctx context.Context, by caller, q ScoresQuery) (Scores, error) {
	if !(q.At >= 0 && q.At <= 1) {
		return Scores{}, invalid("a score is between 0 and 1")
	}
	m := injection.Shipped()
	a := Scores{Suspicious: float32(m.Suspicious), Quarantine: float32(m.Quarantine), At: q.At}
	if a.At == 0 {
		a.At = a.Quarantine
	}
	events, err := s.Store.Events(ctx, storage.EventQuery{Org: by.org, Verbs: []audit.Verb{audit.MessageReceived}, Newest: true, Limit: maxScores})
	for i := range events {
		if n, ok := events[i].Fields.Int(audit.KeyScore); ok {
			a.count(float32(n) / 1000)
		}
	}
	return a, err
}

func (a *Scores) count(score float32) {
	a.Looked++
	a.Bins[max(0, min(int(score*ScoreBins), ScoreBins-1))]++
	switch {
	case score >= a.Quarantine:
		a.Over++
	case score >= a.Suspicious:
		a.Marked++
	}
	if score >= a.At {
		a.Would++
	}
}
