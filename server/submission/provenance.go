package submission

import (
	"context"
	"fmt"

	"postern/server/message"
	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// provenance is where a message comes from: what its agent declares and what the
// server knows, kept apart. // AU-3
type provenance struct {
	declared  declaration
	inReplyTo string // Message-ID that it answers
	leak      leak
}

// trace finds out where a message comes from, outside of any transaction.
func (o *Outbound) trace(ctx context.Context, m *submission) (err error) {
	m.whole = message.Parse(m.s.Stage, m.s.Stage.Size())
	if m.whole.Defects.Has(message.DefectReadFailed) {
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, errUnreadable)
	}
	p := &m.provenance
	p.declared, p.inReplyTo = declared(m.header), m.head.Envelope.InReplyTo
	if p.leak, err = o.leaks(ctx, m); err != nil {
		return err
	}
	return o.recordLeak(ctx, m, p.leak)
}

// facts are what policy decides by.
func (p *provenance) facts(f *policy.SubmitFacts) {
	f.DeclaresTrigger, f.DeclaresContent = p.declared.trigger != "", p.declared.origin != ""
	f.Leaks = p.leak.found()
}

// addTo puts it into the event of the submission.
func (p *provenance) addTo(e *audit.Event) {
	clear, personal := p.declared.fields(p.inReplyTo)
	e.Fields, e.Personal = append(e.Fields, clear...), append(e.Personal, personal...)
}
