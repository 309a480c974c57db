package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"postern/server/injection"
	"postern/server/message"
	"postern/storage"
)

// Bounds of what judges at a time.
const (
	// heavySize is the size, in bytes, from which a message waits in the lane of
	// heavy ones. Below it, only what unpacks to more does.
	heavySize = 256 << 10
	// maxWait is how long a message waits for its turn. A client waits ten minutes
	// for the answer to DATA (RFC 5321, section 4.5.3.2.6).
	maxWait = 30 * time.Second
)

// ErrBusy: too much is being judged. It is a temporary failure of the store for all
// who ask, since a message that was not judged is not taken.
var ErrBusy = fmt.Errorf("%w: too many messages wait to be judged", storage.ErrUnavailable)

// Scorer judges messages with the injection scorer, and bounds what that takes.
//
// # Two lanes
//
// The scorer bounds the time and memory of one message; how many are under way at a
// time is bounded here. Ordinary mail has as many places as there are processors.
// What is large, or may unpack to much, has half of them, so that however many such
// messages come at once, they hold neither all processors nor the memory of more
// than those, and ordinary mail goes on beside them.
//
// A message that finds no place in time is not taken: a temporary failure, and it
// comes again. To let it in unjudged would give whoever floods the server what he
// wants, a message in an inbox that the scorer would have put away.
//
// # When the scorer fails
//
// A panic ends one judgement. The message is unscored: marked, and whoever reads it
// is tainted, so that nothing is gained by making the scorer fail; it is logged,
// counted, and an alert.
//
// # What a sender can learn
//
// Neither reply nor time depends on the score. The scorer goes through the whole
// message whatever it finds, with the same rules and the same weights: it has no
// early end, and no second look at what seems bad. A reply depends on how busy the
// server is, which says nothing of the message.
type Scorer struct {
	scorer *injection.Scorer
	model  *injection.Model
	light  chan struct{}
	heavy  chan struct{}
	wait   time.Duration
	log    *slog.Logger

	passing passing

	judged, failed, turned atomic.Int64
}

// NewScorer makes a Scorer; a nil model is the one that ships.
func NewScorer(m *injection.Model, log *slog.Logger) *Scorer {
	if m == nil {
		m = injection.Shipped()
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	n := runtime.GOMAXPROCS(0)
	return &Scorer{
		scorer: injection.NewScorer(m), model: m, wait: maxWait, log: log,
		light: make(chan struct{}, n), heavy: make(chan struct{}, max(1, n/2)),
	}
}

// Model is the version of model and rules.
func (s *Scorer) Model() string { return s.model.Version }

// ScorerCounts is what a Scorer did since it was made.
type ScorerCounts struct {
	Judged int64 // messages
	Failed int64 // of those: unscored
	Turned int64 // messages that found no place in time
}

// Counts tells what the scorer did.
func (s *Scorer) Counts() ScorerCounts {
	return ScorerCounts{s.judged.Load(), s.failed.Load(), s.turned.Load()}
}

// Judge judges a message: it is the Judge of a server. The error is ErrBusy, or that
// of the context.
func (s *Scorer) Judge(ctx context.Context, m Judged) (Judgement, error) {
	if m.passes() {
		if known := s.passing.take(m.SHA256); known != nil {
			return Judging(known), nil
		}
	}
	place := s.light
	if heavy(m) {
		place = s.heavy
	}
	if err := s.enter(ctx, place); err != nil {
		return Judgement{}, err
	}
	defer func() { <-place }()
	s.judged.Add(1)
	began := time.Now()
	result, err := s.score(m)
	took := time.Since(began).Microseconds()
	if err != nil {
		s.failed.Add(1)
		s.log.Error("the scorer failed: the message is unscored", "model", s.model.Version, "size", m.Size, "error", err)
		return Judging(&storage.Scoring{Verdict: storage.Unscored, Micros: took}), nil
	}
	scoring := scoringOf(&result)
	scoring.Micros = took
	if m.passes() {
		s.passing.put(m.SHA256, scoring)
	}
	return Judging(scoring), nil
}

// enter waits for a place.
func (s *Scorer) enter(ctx context.Context, place chan struct{}) error {
	select {
	case place <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	select {
	case place <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		s.turned.Add(1)
		return ErrBusy
	}
}

// score runs the scorer. A panic is an error; its text may be one of the message's,
// so that only the kind of it and the place are told.
func (s *Scorer) score(m Judged) (r injection.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %T\n%s", p, debug.Stack())
		}
	}()
	return s.scorer.Score(injection.Input{Body: m.Body, Structure: m.Structure}), nil
}

// heavy reports whether a message is large, or has a part that may hold much more
// than its size says: an archive, a document.
func heavy(m Judged) bool { return m.Size > heavySize || unpacks(&m.Structure.Root) }

func unpacks(p *message.Part) bool {
	switch p.Type {
	case "text", "image", "audio", "video", "font":
		return false
	}
	if p.Message != nil {
		return unpacks(&p.Message.Root)
	}
	for i := range p.Children {
		if unpacks(&p.Children[i]) {
			return true
		}
	}
	return !p.IsMultipart()
}

// scoringOf writes a result as the store keeps it.
func scoringOf(r *injection.Result) *storage.Scoring {
	s := &storage.Scoring{
		Model: r.Model, Verdict: verdicts[r.Verdict], Score: r.Score, Reasons: r.Reasons.Names(), Scanned: r.Scanned,
	}
	for _, e := range r.Evidence {
		s.Evidence = append(s.Evidence, storage.ScoringEvidence{
			View: e.View.String(), Part: e.Part, Start: e.Start, End: e.End, Chain: e.Chain.Names(), Score: e.Score,
			Reasons: e.Reasons.Names(), Rule: e.Rule, SHA256: e.SHA256,
		})
	}
	for _, skip := range r.Skipped {
		s.Skipped = append(s.Skipped, storage.ScoringSkip{Part: skip.Part, Why: skip.Why})
	}
	return s
}

// verdicts are those of the scorer in the store's words.
var verdicts = map[injection.Verdict]storage.Verdict{
	injection.Unscored: storage.Unscored, injection.Clean: storage.Clean, injection.Suspicious: storage.Suspicious,
	injection.Quarantine: storage.Quarantine, injection.Partial: storage.Partial,
}
