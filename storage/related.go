package storage

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Bounds of what a trace says of other messages.
const (
	sequelTime = RecentReadTime // how long after a reading a message counts as sent next
	maxSequels = 20             // of one agent, and as many more that answer or quote the message
	maxLooked  = 500            // messages of one agent that are looked at
	maxBefore  = MaxRecentReads // reads before the message was sent
	maxCauses  = 8              // messages that it answers or quotes
)

// Origins finds what the event of a submission refers to: how the messages came
// that it answers or quotes, and what its agent had read before. The rest of the
// trace is left empty.
func (s *Store) Origins(ctx context.Context, submitted *audit.Event) (*Trace, error) {
	t := &tracer{store: s, org: submitted.Org, found: map[uint64]audit.Event{}}
	t.Events = []audit.Event{*submitted}
	return &t.Trace, t.origins(ctx)
}

// relate finds what the history of a message has to do with other messages.
func (t *tracer) relate(ctx context.Context) error {
	if err := t.origins(ctx); err != nil {
		return err
	}
	return t.sequels(ctx)
}

// origins finds what was before the message.
func (t *tracer) origins(ctx context.Context) error {
	causes, before := map[uint64]audit.Event{}, map[uint64]audit.Event{}
	var reads audit.UIDs
	for i := range t.Events {
		e := &t.Events[i]
		if e.Verb != audit.MessageSubmitted {
			continue
		}
		for _, id := range related(e) {
			if err := t.cause(ctx, id, causes); err != nil {
				return err
			}
		}
		set, _ := e.Fields.UIDs(audit.KeyReads)
		for _, r := range set {
			reads.Add(r.First, r.Last)
		}
	}
	if err := t.readsBefore(ctx, reads, before); err != nil {
		return err
	}
	t.Causes, t.Before = bySeq(causes), bySeq(before)
	return nil
}

// related are the messages that a submission answers or quotes.
func related(e *audit.Event) (ids []uuid.UUID) {
	for _, f := range e.Fields {
		if b, ok := f.Value.([]byte); ok && len(b) == len(uuid.UUID{}) && (f.Key == audit.KeyAnswers || f.Key == audit.KeyQuotes) && !slices.Contains(ids, uuid.UUID(b)) {
			ids = append(ids, uuid.UUID(b))
		}
	}
	return ids
}

// cause finds how a message came that has an id.
func (t *tracer) cause(ctx context.Context, id uuid.UUID, found map[uint64]audit.Event) error {
	events, err := t.store.Events(ctx, EventQuery{Org: t.org, Object: id, Verbs: arrivals, Limit: 1})
	for _, e := range events {
		if len(found) < maxCauses {
			found[e.Seq] = e
		}
	}
	return err
}

// readsBefore finds the reads that a submission names.
func (t *tracer) readsBefore(ctx context.Context, reads audit.UIDs, found map[uint64]audit.Event) error {
	for i := len(reads) - 1; i >= 0; i-- {
		q := EventQuery{Org: t.org, From: uint64(reads[i].First), To: uint64(reads[i].Last) + 1, Verbs: []audit.Verb{audit.MessageRead}, Limit: maxBefore}
		events, err := t.store.Events(ctx, q)
		if err != nil {
			return err
		}
		for _, e := range events {
			if len(found) < maxBefore {
				found[e.Seq] = e
			}
		}
	}
	return nil
}

// sequels finds what each agent that read the message submitted within a day.
func (t *tracer) sequels(ctx context.Context) error {
	first := map[uuid.UUID]*audit.Event{}
	ids := t.ids(func(e *audit.Event) uuid.UUID { return e.Object })
	for i := range t.Events {
		if e := &t.Events[i]; e.Verb == audit.MessageRead && e.Agent != uuid.Nil && first[e.Agent] == nil {
			first[e.Agent] = e
		}
	}
	found := map[uint64]audit.Event{}
	for agent, read := range maps.All(first) {
		q := EventQuery{Org: t.org, Agent: agent, Verbs: []audit.Verb{audit.MessageSubmitted, audit.MessageRefused}, From: read.Seq + 1, Limit: maxLooked}
		events, err := t.store.Events(ctx, q)
		if err != nil {
			return err
		}
		n := 0
		for _, e := range events {
			of := slices.ContainsFunc(related(&e), func(id uuid.UUID) bool { return slices.Contains(ids, id) })
			next := t.next(&e) && n < maxSequels
			if next {
				n++
			}
			if _, own := t.found[e.Seq]; !own && (of || next) {
				found[e.Seq] = e
			}
		}
	}
	t.Sequels = bySeq(found)
	return nil
}

// next reports whether a message was submitted within a day after its agent had
// read the one that is traced.
func (t *tracer) next(e *audit.Event) bool {
	for i := len(t.Events) - 1; i >= 0; i-- {
		r := &t.Events[i]
		if r.Verb == audit.MessageRead && r.Agent == e.Agent && r.Seq < e.Seq {
			return e.Time.Sub(r.Time) <= sequelTime
		}
	}
	return false
}
