package acme

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"postern/storage"
	"postern/storage/audit"
)

// waits are the times between attempts that fail, the last for all further ones.
// Authorities count failures: five for a name and an hour is a usual limit, and an
// attempt may be three of them.
var waits = []time.Duration{5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// limited is the least wait after an authority said that it was asked too often.
const limited = 6 * time.Hour

// failed notes a failure and when the name is due again.
func (k *Keeper) failed(ctx context.Context, a *attempt, cause error) error {
	rule := ruleOf(cause)
	k.mu.RLock()
	failures := k.attempts[a.name].Failures + 1
	k.mu.RUnlock()
	wait := waits[min(failures, len(waits))-1]
	if rule == "rateLimited" {
		wait = max(wait, limited)
	}
	note := storage.CertificateAttempt{Name: a.name, Org: a.org, Failures: failures, Due: k.o.Now().Add(wait), Problem: problemText(cause)}
	err := k.store.Write(ctx, a.actor, func(tx *storage.Tx) error {
		tx.Record(audit.Event{Verb: audit.CertificateFail, Outcome: audit.Failed, Org: a.org,
			Fields: audit.Fields{audit.Word(audit.KeyAuthority, word(a.authority)), audit.Word(audit.KeyRule, word(rule)),
				audit.Int(audit.KeyAttempts, int64(failures)), audit.Time(audit.KeyNext, note.Due)},
			Personal: audit.Fields{audit.Text(audit.KeyDomain, a.name), audit.Text(audit.KeyText, note.Problem)}})
		return tx.Upkeep().PutCertificateAttempt(note)
	})
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.attempts[a.name] = note
	k.mu.Unlock()
	if a.name == k.o.Host { // the names of domains are their owners' affair
		k.o.Log.Warn("no certificate could be had for this server's name", "rule", rule, "next", note.Due)
	}
	return &attemptError{cause}
}

// Problem is what was wrong with an attempt that [Keeper.Renew] made, in words
// for people; false for errors of another kind.
func Problem(err error) (string, bool) {
	var failed *attemptError
	if !errors.As(err, &failed) {
		return "", false
	}
	return problemText(failed.err), true
}

// ruleOf is the class of a failure: the authority's own word for it (RFC 8555,
// section 6.7), or ours.
func ruleOf(err error) string {
	var problem acme.Problem
	switch {
	case errors.As(err, &problem):
		return strings.TrimPrefix(problem.Type, acme.ProblemTypeNamespace)
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "unreachable"
}

// maxProblem bounds what is kept of an authority's words, in bytes.
const maxProblem = 1000

// problemText is what was wrong, for people.
func problemText(err error) string {
	return strings.ToValidUTF8(err.Error()[:min(len(err.Error()), maxProblem)], "")
}

// warning is how long before its end a certificate is an alert, when it could not
// be renewed; one that lives shorter than three months, in its last sixth.
const warning = 14 * 24 * time.Hour

// nag is how often an alert is raised again while nothing changes.
const nag = 24 * time.Hour

// stuck is how many failures make an alert where the server's own name has no
// certificate at all.
const stuck = 3

// warn raises an alert for each certificate that ends soon and could not be
// renewed.
func (k *Keeper) warn(ctx context.Context) error {
	for _, w := range k.warnings() {
		org, err := k.operator(ctx)
		if err != nil {
			return err
		}
		w.Org = org
		if err := k.store.RaiseAlert(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// warnings are the alerts that are due.
func (k *Keeper) warnings() (all []storage.Alert) {
	now := k.o.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.concerns(now, func(of string, a storage.Alert) {
		if last, ok := k.warned[of]; ok && now.Sub(last) < nag {
			return
		}
		k.warned[of] = now
		a.Kind = storage.AlertCertificateExpiring
		all = append(all, a)
	})
	return all
}

// Concerns say in a sentence each which certificates end soon and could not be
// renewed, or are missing.
func (k *Keeper) Concerns() (all []string) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	k.concerns(k.o.Now(), func(_ string, a storage.Alert) { all = append(all, a.Detail) })
	return all
}

// concerns tells of each certificate that somebody should see to, with the lock held.
func (k *Keeper) concerns(now time.Time, say func(of string, a storage.Alert)) {
	if own := k.o.Own(); own != nil && own.Leaf != nil && now.After(own.Leaf.NotAfter.Add(-warning)) {
		say("", storage.Alert{Detail: fmt.Sprintf("The certificate in the server's own files ends on %s.", own.Leaf.NotAfter.UTC().Format(time.DateOnly))})
	}
	for _, n := range k.wanted {
		failures := k.attempts[n.text].Failures
		h := k.held[n.text]
		switch {
		case failures == 0:
		case h != nil && now.After(h.warnAt()):
			say(n.text, storage.Alert{Object: h.file, Detail: fmt.Sprintf("The certificate for %s ends on %s, and could not be renewed %d times.",
				n.text, h.cert.Leaf.NotAfter.UTC().Format(time.DateOnly), failures)})
		case h == nil && n.text == k.o.Host && failures >= stuck && k.o.Own() == nil:
			say(n.text, storage.Alert{Detail: fmt.Sprintf("There is no certificate for %s, and none could be had %d times.", n.text, failures)})
		}
	}
}

// warnAt is the time from which on the end of a certificate is near.
func (h *held) warnAt() time.Time {
	life := h.cert.Leaf.NotAfter.Sub(h.cert.Leaf.NotBefore)
	return h.cert.Leaf.NotAfter.Add(-min(warning, life/6))
}
