package submission

import (
	"context"

	"postern/storage/audit"
)

// provenance is where a message comes from: what its agent declares and what the
// server knows, kept apart. // AU-3
type provenance struct {
	declared  declaration
	inReplyTo string // Message-ID that it answers
}

// trace finds out where a message comes from, outside of any transaction.
func (o *Outbound) trace(_ context.Context, m *submission) error {
	m.provenance = provenance{declared: declared(m.header), inReplyTo: m.head.Envelope.InReplyTo}
	return nil
}

// addTo puts it into the event of the submission.
func (p *provenance) addTo(e *audit.Event) {
	clear, personal := p.declared.fields(p.inReplyTo)
	e.Fields, e.Personal = append(e.Fields, clear...), append(e.Personal, personal...)
}
