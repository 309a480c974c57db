package submission

import (
	"context"
	"strings"

	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// provenance is where a message comes from: what its agent declares and what the
// server knows, kept apart, and where the two differ. // AU-3
type provenance struct {
	declared       declaration
	observed       observed
	contradictions []contradiction
	inReplyTo      string // Message-ID that it answers
	leak           leak
}

// trace finds out where a message comes from, outside of any transaction.
func (o *Outbound) trace(ctx context.Context, m *submission) (err error) {
	p := &m.provenance
	p.declared, p.inReplyTo = declared(m.header), answered(m)
	if p.leak, err = o.leaks(ctx, m); err != nil {
		return err
	}
	if p.leak.found() {
		return o.recordLeak(ctx, m, p.leak) // policy refuses it
	}
	if p.observed, err = o.observe(ctx, m); err != nil {
		return err
	}
	p.contradictions, err = o.contradict(ctx, m, &p.declared, &p.observed)
	return err
}

// facts are what policy decides by.
func (p *provenance) facts(f *policy.SubmitFacts) {
	f.DeclaresTrigger, f.DeclaresContent = p.declared.trigger != "", p.declared.origin != ""
	f.Leaks, f.Forwards = p.leak.found(), p.observed.forwards()
}

// addTo puts it into the event of the submission.
func (p *provenance) addTo(e *audit.Event) {
	clear, personal := p.declared.fields(p.inReplyTo)
	e.Fields = append(append(e.Fields, clear...), p.observed.fields()...)
	for _, c := range p.contradictions {
		e.Fields = append(e.Fields, audit.Word(audit.KeyContradiction, c.word))
	}
	e.Personal = append(e.Personal, personal...)
}

// about adds what is known of a message to the event of its refusal, so that its
// Message-ID leads there (AU-2). Of one that has a token in it only the digest is
// kept: the log is no place for a secret either.
func (m *submission) about(e *audit.Event) {
	sum := m.s.Stage.SHA256()
	e.Object = m.id
	e.Fields = append(e.Fields, audit.Int(audit.KeySize, m.s.Stage.Size()), audit.Digest(audit.KeySHA256, sum[:]))
	if m.provenance.leak.found() {
		return
	}
	env := &m.whole.Envelope
	for _, v := range []struct {
		key  audit.Key
		text string
	}{{audit.KeyMessageID, env.MessageID}, {audit.KeySubject, env.Subject}, {audit.KeyInReplyTo, env.InReplyTo}} {
		if v.text != "" {
			e.Personal = append(e.Personal, audit.Text(v.key, v.text))
		}
	}
	m.provenance.addTo(e)
}

// alert calls somebody when a declaration is certainly false.
func (p *provenance) alert(tx *storage.Tx, m *submission) error {
	var words []string
	for _, c := range p.contradictions {
		if c.alert {
			words = append(words, c.word)
		}
	}
	if len(words) == 0 {
		return nil
	}
	by := m.s.Principal
	return tx.RaiseAlert(storage.Alert{
		Head: storage.Head{Org: by.Credential.Org}, Kind: storage.AlertFalseDeclaration,
		Agent: by.Agent.ID, Credential: by.Credential.ID, Inbox: by.Inbox.ID(),
		Detail: "what the agent declares of a message contradicts what was observed: " + strings.Join(words, ", "),
	})
}
