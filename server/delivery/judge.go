package delivery

import (
	"context"
	"io"

	"postern/server/message"
	"postern/server/msgauth"
	"postern/storage"
)

// Judge says whether a message was written to steer who reads it: the one place
// where a verdict comes from, for every way into a mailbox (invariant 5). It
// bounds its own time, and answers storage.Partial for what it could not look at
// in whole. Nil: nobody judges, and every verdict is storage.Unscored.
type Judge func(ctx context.Context, m Judged) Judgement

// Judged is a message under judgement.
type Judged struct {
	Body      io.ReaderAt // the bytes as they came
	Size      int64
	Structure *message.Structure
	Auth      msgauth.Results
	Origin    storage.Origin
}

// Judgement is what was found.
type Judgement struct {
	Verdict storage.Verdict
	Score   float32 // 0 to 1
	Model   string  // by which, empty for none
}

// Of judges a message.
func (j Judge) Of(ctx context.Context, m Judged) Judgement {
	if j == nil {
		return Judgement{}
	}
	return j(ctx, m)
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
func (j Judgement) Put(c *storage.Content) { c.Verdict, c.Score, c.Model = j.Verdict, j.Score, j.Model }

// Word is the verdict as header fields and events write it.
func (j Judgement) Word() string {
	switch j.Verdict {
	case storage.Clean:
		return "clean"
	case storage.Suspicious:
		return "suspicious"
	case storage.Quarantine:
		return "quarantine"
	case storage.Partial:
		return "partial"
	}
	return "unscored"
}

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
