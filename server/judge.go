package server

import (
	"context"
	"errors"
	"time"

	"postern/server/delivery"
	"postern/server/message"
	"postern/server/submission"
	"postern/storage"
)

// judgeOwn judges what agents write, before a copy of it lies where others read.
func judgeOwn(judge delivery.Judge) submission.Judge {
	return func(ctx context.Context, body *storage.Stage, s *message.Structure) (*storage.Scoring, error) {
		found, err := judge.Of(ctx, delivery.Judged{Body: body, Size: body.Size(), SHA256: body.SHA256(), Structure: s, Origin: storage.OriginSubmission})
		return found.Scoring, err
	}
}

// judgedOld is the mark that mail from before there was a scorer was judged.
const judgedOld = "injection-judged-old"

// judgeOld judges, once, the mail that came before there was a scorer. It goes on at
// the next start where a stop cut it off.
func (s *Server) judgeOld(ctx context.Context) {
	done, err := s.store.Cursor(ctx, judgedOld)
	if err != nil || done > 0 {
		return
	}
	var sum delivery.Replayed
	orgs, err := s.store.Organizations(ctx)
	for i := 0; i < len(orgs) && err == nil; i++ {
		var of delivery.Replayed
		q := delivery.ReplayQuery{Org: orgs[i].ID, Unjudged: true, Apply: true, Cause: storage.ScoredAtUpgrade}
		of, err = delivery.NewReplay(s.store, s.judge, "").Run(ctx, storage.System, q, func(delivery.Rescored) error { return nil })
		sum.Scored, sum.Failed = sum.Scored+of.Scored, sum.Failed+of.Failed
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			s.log.Error("mail from before there was a scorer was not judged: the next start tries again", "error", err)
		}
		return
	}
	if sum.Scored+sum.Failed > 0 {
		s.log.Info("mail from before there was a scorer was judged", "messages", sum.Scored, "unreadable", sum.Failed)
	}
	if err := s.store.Upkeep(ctx, func(u *storage.Upkeep) error { return u.MoveCursor(judgedOld, 1) }); err != nil {
		s.log.Warn("the mark that old mail was judged was not written", "error", err)
	}
}

// expireEvery is how often somebody looks what has waited in quarantine for too long.
const expireEvery = time.Hour

// expireQuarantine rejects what nobody decided about for as long as policy says.
func (s *Server) expireQuarantine(ctx context.Context) {
	quarantine := delivery.NewQuarantine(s.store)
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		switch n, err := quarantine.Expire(ctx, s.now()); {
		case err != nil && ctx.Err() == nil:
			s.log.Error("mail that has waited in quarantine for too long was not rejected: the next hour tries again", "error", err)
		case n > 0:
			s.log.Info("mail that nobody decided about was rejected", "messages", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
