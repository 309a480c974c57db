package delivery

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/server/msgauth"
	"postern/server/policy"
	"postern/server/report"
	"postern/storage"
	"postern/storage/audit"
)

// obey does what the domain in From publishes about mail that fails DMARC. There
// is one reply to one DATA: the message is refused, or told to come again, when
// every recipient's policy says so. Where they differ, it goes to the quarantine of
// those whose policy refuses.
func (in *Inbound) obey(ctx context.Context, m *mail) error {
	if m.auth.DMARC.Published == nil && !m.auth.DMARC.Several { // nobody asks for anything
		return nil
	}
	same, first := true, policy.Take
	for i := range m.to {
		t := &m.to[i]
		rules, err := policy.LoadInbound(ctx, in.store, t.record.Org, t.record.Domain)
		if err != nil {
			return err
		}
		t.treatment, t.reports = rules.Judge(m.auth), rules.DMARCReports
		if i == 0 {
			first = t.treatment.Disposition
		}
		same = same && t.treatment.Disposition == first
	}
	switch {
	case same && first == policy.Reject:
		return in.refuseSender(ctx, m)
	case same && first == policy.Defer:
		return in.refuse(ctx, m, policy.DMARCUnknown)
	}
	return nil
}

// refuseSender refuses a message that fails DMARC. That is worth an event for each
// recipient, since the sender may ask what became of it; but a stranger writes no
// more than a few, and the door counts all. // AU-13
func (in *Inbound) refuseSender(ctx context.Context, m *mail) error {
	refused := policy.Refusal(policy.DMARCFailed)
	if m.auth.DMARC.Several {
		refused = policy.Refusal(policy.FromDomains)
	}
	if !in.refusals.allow(in.o.Now(), m.r.Remote.Addr()) {
		if err := in.store.Upkeep(ctx, m.count); err != nil {
			return err
		}
		return refused
	}
	err := in.store.Write(ctx, m.r.Actor, func(tx *storage.Tx) error {
		for _, t := range m.to {
			tx.Record(audit.Event{
				Verb: audit.MessageRefused, Outcome: audit.Refused, Org: t.record.Org, Inbox: t.record.ID, Object: m.id,
				Fields: append(append(m.fields(), audit.Word(audit.KeyRule, refused.Rule.String()),
					audit.Int(audit.KeyCode, refused.Code), audit.Word(audit.KeyEnhanced, refused.Enhanced),
					audit.Word(audit.KeyPolicy, m.auth.DMARC.Policy.String())), m.authenticity()...),
				Personal: append(m.personal(), audit.Text(audit.KeyTo, t.path.String())),
			})
		}
		return m.count(tx.Upkeep())
	})
	if err != nil {
		return err
	}
	return refused
}

// count counts the message for the reports to the domain in From: once for each
// organization that reports, however many of its inboxes it was for.
func (m *mail) count(u *storage.Upkeep) error {
	if !report.WantsMail(m.auth) {
		return nil
	}
	counted := map[uuid.UUID]bool{}
	for _, t := range m.to {
		if !t.reports || counted[t.record.Org] {
			continue
		}
		counted[t.record.Org] = true
		e := report.Evaluation{Results: m.auth, Remote: m.r.Remote.Addr(), Envelope: message.CanonicalDomain(m.r.From.Domain),
			Disposition: became[t.treatment.Disposition], Override: t.treatment.Override}
		if t.treatment.Disposition == policy.Reject && m.stored > 0 {
			e.Disposition, e.Override = "quarantine", policy.OverrideLocal
		}
		if err := report.CountMail(u, t.record.Org, e); err != nil {
			return err
		}
	}
	return nil
}

// became are the dispositions in the words of reports. What is marked was treated
// as suspicious, which is what quarantine asks for (RFC 7489, section 6.3).
var became = map[policy.Disposition]string{policy.Take: "none", policy.Defer: "none", policy.Mark: "quarantine", policy.Reject: "reject"}

// treated are the words about what the domain in From asked for, of a message that
// was let in although it fails DMARC.
func (m *mail) treated(t target) (f audit.Fields) {
	if m.auth.DMARC.Value != msgauth.Fail || m.auth.DMARC.Policy == msgauth.PolicyNone {
		return nil
	}
	if t.treatment.Disposition == policy.Reject {
		f = append(f, audit.Word(audit.KeyRule, policy.DMARCFailed.String()))
	}
	return append(f, audit.Word(audit.KeyPolicy, m.auth.DMARC.Policy.String()))
}

// Bounds of the events that refusals of strangers may write.
const (
	refusalsPerNetwork = 60 // within refusalsWindow
	refusalsNetworks   = 1000
	refusalsWindow     = time.Hour
)

// refusals counts the events of strangers' refusals by network, so that nobody
// fills the log from outside (invariant 4).
type refusals struct {
	mu     sync.Mutex
	since  time.Time
	counts map[netip.Prefix]int
}

// allow takes room for an event, if there is any.
func (r *refusals) allow(now time.Time, peer netip.Addr) bool {
	network := audit.Network(peer)
	if !network.IsValid() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.since).Abs() >= refusalsWindow {
		r.since, r.counts = now, map[netip.Prefix]int{}
	}
	n, known := r.counts[network]
	if n >= refusalsPerNetwork || !known && len(r.counts) >= refusalsNetworks {
		return false
	}
	r.counts[network] = n + 1
	return true
}
