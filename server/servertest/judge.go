package servertest

import (
	"context"
	"errors"

	"postern/server/delivery"
	"postern/server/message"
	"postern/storage"
)

// Marked is a Judge for tests that choose the verdict: it is what the message's own
// field X-Test-Verdict says, and clean without one. What it gives besides is made up
// of that word: a score, a model and, for what is not clean, a reason.
func Marked(_ context.Context, m delivery.Judged) (delivery.Judgement, error) {
	header, err := message.ReadHeader(m.Body, m.Structure)
	if err != nil && !errors.Is(err, message.ErrHeaderLong) {
		return delivery.Judgement{}, err
	}
	word, _ := message.Lookup(header, "x-test-verdict")
	s := &storage.Scoring{Model: "marked", Verdict: storage.Clean, Scanned: 1}
	for v, marked := range map[storage.Verdict]storage.Scoring{
		storage.Unscored:   {},
		storage.Suspicious: {Score: 0.6, Reasons: []string{"addressed_to_agent"}},
		storage.Quarantine: {Score: 0.9, Reasons: []string{"addressed_to_agent", "hidden_text"}},
		storage.Partial:    {Score: 0.1, Reasons: []string{"unscanned_content"}, Skipped: []storage.ScoringSkip{{Part: "2", Why: "encrypted"}}},
	} {
		if v.String() == word {
			s.Verdict, s.Score, s.Reasons, s.Skipped = v, marked.Score, marked.Reasons, marked.Skipped
		}
	}
	if s.Verdict == storage.Unscored {
		s.Model = ""
	}
	return delivery.Judging(s), nil
}

// Shipped is the Judge that a server has of itself. What it says of a message depends
// on the model: tests rely on blatant cases alone.
func Shipped() delivery.Judge { return delivery.NewScorer(nil, nil).Judge }
