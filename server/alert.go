package server

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/message"
	"postern/server/monitor"
	"postern/server/policy"
	"postern/server/queue"
	"postern/storage"
)

// What the monitor is handed of the rooms beside it: policy, the directory's
// freeze, and the two ways of mail.

// alertRules are what policy says about an alert.
func (s *Server) alertRules(ctx context.Context, a *storage.Alert) (monitor.Rules, error) {
	sender, err := s.alertSender(ctx, a)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return monitor.Rules{}, err
	}
	rules, err := policy.Load(ctx, s.store, policy.Subjects{
		Organization: a.Org, Domain: sender.Domain, Agent: a.Agent, Credential: a.Credential, Inbox: sender.ID})
	r := monitor.Rules{Mail: rules.Alerts.Mail}
	for _, kind := range rules.Alerts.Freeze {
		r.Freeze = append(r.Freeze, storage.AlertKind(kind))
	}
	return r, err
}

// freezeFor stops the agent of an alert, as the system. // PI-7, EV-4
func (s *Server) freezeFor(ctx context.Context, a *storage.Alert) error {
	agent, err := s.store.Agent(ctx, a.Org, a.Agent)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	target := directory.Target{Kind: storage.FreezeAgent, ID: agent.ID, Name: agent.Name}
	_, err = s.directory.Freeze(ctx, storage.System, a.Org, target, "alert "+string(a.Kind)+" "+a.ID.String())
	if errors.Is(err, directory.ErrState) {
		return nil // it is frozen already
	}
	return err
}

// mailAlert prepares mail about an alert.
func (s *Server) mailAlert(ctx context.Context, a *storage.Alert, address string, frozen bool) (monitor.Notice, error) {
	sender, err := s.alertSender(ctx, a)
	if errors.Is(err, storage.ErrNotFound) {
		return monitor.Notice{}, nil
	}
	if err != nil {
		return monitor.Notice{}, err
	}
	agent, err := s.store.Agent(ctx, a.Org, a.Agent)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return monitor.Notice{}, err
	}
	report, _, err := s.mailNotice(ctx, a.Org, address, sender, func(from, to message.Path) queue.Notice {
		l := monitor.Letter{From: from, To: to, MessageID: message.NewMessageID(from.Domain), Host: s.cfg.Host, Agent: agent.Name, Frozen: frozen, Time: s.now()}
		return queue.Notice{Org: a.Org, Inbox: sender.ID, Agent: a.Agent, To: to, MessageID: l.MessageID, Data: l.Bytes(a)}
	})
	return monitor.Notice{Store: report.Store, Discard: report.Discard}, err
}

// mailNotice prepares a letter to a person, from the postmaster of the sending inbox's
// domain: stored at once where the address is an inbox of the organization, otherwise
// queued. False when nobody can get it there. // PI-8
func (s *Server) mailNotice(ctx context.Context, org uuid.UUID, address string, sender storage.InboxRecord, write func(from, to message.Path) queue.Notice) (queue.Report, bool, error) {
	to, err := message.ParseAddress(address)
	if err != nil {
		return queue.Report{}, false, nil
	}
	here, err := s.directory.Recipient(ctx, to)
	outside := errors.Is(err, directory.ErrNotLocal)
	switch {
	case errors.Is(err, directory.ErrNoSuchInbox) || err == nil && here.Org != org:
		return queue.Report{}, false, nil
	case err != nil && !outside:
		return queue.Report{}, false, err
	}
	from, err := message.ParseAddress(sender.Address)
	if err != nil {
		return queue.Report{}, false, err
	}
	from.Local = "postmaster"
	n := write(from, to)
	prepare := s.queue.Post
	if !outside {
		n.Inbox, prepare = here.ID, s.inbound.Report
	}
	report, err := prepare(ctx, n)
	var refused *delivery.RefusedError
	if errors.As(err, &refused) {
		return queue.Report{}, false, nil
	}
	return report, err == nil, err
}

// alertSender is the inbox in whose name mail about an alert goes: that of the
// alert, one of the agent's, or the oldest of the organization. It is a live one,
// since nothing of a test inbox leaves. // AC-14
func (s *Server) alertSender(ctx context.Context, a *storage.Alert) (storage.InboxRecord, error) {
	candidates := []uuid.UUID{a.Inbox}
	credentials, err := s.store.Credentials(ctx, a.Org, a.Agent)
	if err != nil {
		return storage.InboxRecord{}, err
	}
	for _, c := range credentials {
		for _, scope := range c.Scopes {
			candidates = append(candidates, scope.Inbox)
		}
	}
	for _, id := range candidates {
		in, err := s.store.InboxRecord(ctx, a.Org, id)
		if err == nil && in.Env == storage.Live {
			return in, nil
		}
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return in, err
		}
	}
	for after := uuid.Nil; ; {
		some, err := s.store.InboxRecords(ctx, a.Org, after, 100)
		if err != nil || len(some) == 0 {
			return storage.InboxRecord{}, errors.Join(err, storage.ErrNotFound)
		}
		for _, in := range some {
			after = in.ID
			if in.Env == storage.Live {
				return in, nil
			}
		}
	}
}
