package delivery

import (
	"context"
	"io"
	"slices"

	"postern/server/injection"
	"postern/server/message"
	"postern/server/msgauth"
	"postern/storage"
)

// Judge says whether a message was written to steer who reads it: the one place
// where a verdict comes from, for every way into a mailbox (invariant 5). It
// bounds its own time, answers storage.Partial for what it could not look at in
// whole, and storage.Unscored where it failed. An error is temporary: the message
// could not be judged now, and is not taken. Nil: nobody judges, and every verdict
// is storage.Unscored.
type Judge func(ctx context.Context, m Judged) (Judgement, error)

// Judged is a message under judgement.
type Judged struct {
	Body      io.ReaderAt // the bytes as they came
	Size      int64
	SHA256    [32]byte // of those bytes
	Structure *message.Structure
	Auth      msgauth.Results
	Origin    storage.Origin
}

// Judgement is what was found.
type Judgement struct {
	Verdict storage.Verdict
	Score   float32          // 0 to 1
	Model   string           // by which, empty for none
	Scoring *storage.Scoring // with its reasons and places; nil where nobody judges
}

// Judging is the judgement that a scoring is.
func Judging(s *storage.Scoring) Judgement {
	return Judgement{Verdict: s.Verdict, Score: s.Score, Model: s.Model, Scoring: s}
}

// Of judges a message. Whatever a Judge answers, there is a record of it.
func (j Judge) Of(ctx context.Context, m Judged) (Judgement, error) {
	if j == nil {
		return Judgement{}, nil
	}
	found, err := j(ctx, m)
	if err == nil && found.Scoring == nil {
		found.Scoring = &storage.Scoring{Verdict: found.Verdict, Score: found.Score, Model: found.Model}
	}
	if found.Scoring != nil {
		found.Scoring.Cause = storage.ScoredAtDelivery
	}
	return found, err
}

// Flags are the keywords by which a client sees the judgement (AGENT-SIDE.md,
// section 4).
func (j Judgement) Flags() storage.Flags {
	if j.Verdict.Taints() {
		return storage.InjectionSuspected
	}
	return 0
}

// Put writes the judgement into what is stored.
func (j Judgement) Put(d *storage.Deposit) {
	d.Scoring = j.Scoring
	d.Verdict, d.Score, d.Model = j.Verdict, j.Score, j.Model
}

// Record is the scoring as events tell it.
func (j Judgement) Record() *storage.Scoring {
	if j.Scoring == nil {
		return &storage.Scoring{Verdict: j.Verdict}
	}
	return j.Scoring
}

// Hard reports whether the message breaks a rule of form that no score outweighs.
func (j Judgement) Hard() bool {
	return slices.ContainsFunc(j.Record().Evidence, func(e storage.ScoringEvidence) bool { return injection.Certain(e.Rule) })
}

// Word is the verdict as header fields and events write it.
func (j Judgement) Word() string { return j.Verdict.String() }

// Senders are the canonical addresses of who a message comes from and where an
// answer to it goes: From, Reply-To, and the return path unless that is null. They
// are what storage.Deposit.Senders wants.
func Senders(env *message.Envelope, from message.Path) []string {
	var all []string
	if !from.IsNull() {
		all = append(all, from.Canonical().String())
	}
	for _, list := range [][]message.Address{env.From, env.ReplyTo, env.Sender} {
		for _, a := range list {
			if path, err := message.NewPath(a.Mailbox, a.Host, true); err == nil {
				all = append(all, path.Canonical().String())
			}
		}
	}
	return all
}
