package control

import (
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/google/uuid"

	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// inParts reads a list in parts of every size and holds that they make up the whole.
func inParts[T any](t *testing.T, name string, list func(Page) iter.Seq2[T, error], id func(*T) uuid.UUID) (whole []T) {
	t.Helper()
	whole, err := collect(list(Page{}))
	if err != nil {
		t.Fatal(err)
	}
	for limit := 1; limit <= len(whole)+1; limit++ {
		var parts []uuid.UUID
		for after := uuid.Nil; len(parts) <= len(whole); after = parts[len(parts)-1] {
			some, err := collect(list(Page{After: after, Limit: limit}))
			if err != nil {
				t.Fatal(err)
			}
			for i := range some {
				parts = append(parts, id(&some[i]))
			}
			if len(some) < limit {
				break
			}
		}
		if !slices.EqualFunc(parts, whole, func(got uuid.UUID, want T) bool { return got == id(&want) }) {
			t.Errorf("%s in parts of %d: %d of %d rows, or in another order", name, limit, len(parts), len(whole))
		}
	}
	return whole
}

// TestListsByKey reads the lists of webhooks, freezes and grants in parts: each row comes once, in the order of the list.
func TestListsByKey(t *testing.T) {
	w := newWorld(t)
	w.staff()
	ctx := t.Context()
	org, err := w.dir.Organization(ctx)
	w.must(err)
	in, err := w.Inbox(ctx, "scout@example.com")
	w.must(err)
	for i := range 5 {
		_, err := w.CreateWebhook(ctx, NewWebhook{URL: fmt.Sprintf("https://hooks%d.example.com/", i)})
		w.must(err)
		_, err = w.CreateAgent(ctx, AgentCreate{Name: fmt.Sprintf("agent%d", i), Owner: "ann@example.org"})
		w.must(err)
		_, err = w.Freeze(ctx, FreezeChange{Kind: storage.FreezeAgent, Name: fmt.Sprintf("agent%d", i), Reason: "odd"})
		w.must(err)
		w.must(w.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
			g := storage.Glass{Head: storage.Head{Org: org.ID}, Inbox: in.ID, Message: storage.NewID(), Person: storage.NewID(), By: "ada@example.org", Why: "fault", Persons: 1}
			return tx.OpenGlass(tx.Record(audit.Event{Verb: audit.GlassOpen, Outcome: audit.OK}), &g, w.clock().Add(policy.GlassTime))
		}))
	}
	_, err = w.Freeze(ctx, FreezeChange{Kind: storage.FreezeAll, Reason: "odd"})
	w.must(err)
	hooks := inParts(t, "webhooks", func(p Page) iter.Seq2[Webhook, error] { return w.Webhooks(ctx, p) }, func(h *Webhook) uuid.UUID { return h.ID })
	all := inParts(t, "freezes", func(p Page) iter.Seq2[Freeze, error] { return w.Freezes(ctx, FreezeQuery{Page: p}) }, func(f *Freeze) uuid.UUID { return f.Freeze })
	oldest := inParts(t, "grants", func(p Page) iter.Seq2[Glass, error] { return w.Glasses(ctx, GlassQuery{Page: p}) }, func(g *Glass) uuid.UUID { return g.ID })
	newest := inParts(t, "the newest grants", func(p Page) iter.Seq2[Glass, error] { return w.Glasses(ctx, GlassQuery{Newest: true, Page: p}) }, func(g *Glass) uuid.UUID { return g.ID })
	slices.Reverse(newest)
	if len(hooks) != 5 || len(all) != 6 || len(oldest) != 5 || !slices.Equal(oldest, newest) {
		t.Errorf("%d webhooks, %d freezes, %d and %d grants", len(hooks), len(all), len(oldest), len(newest))
	}
}

// TestWhatStopsIt asks what stops some things: their own freezes and those of all, and nothing that stops others.
func TestWhatStopsIt(t *testing.T) {
	w := newWorld(t)
	c, ctx := w.staff(), t.Context()
	clerk, err := w.CreateAgent(ctx, AgentCreate{Name: "clerk", Owner: "ann@example.org"})
	w.must(err)
	freeze := func(kind storage.FreezeKind, name string) {
		_, err := w.Freeze(ctx, FreezeChange{Kind: kind, Name: name, Reason: "odd"})
		w.must(err)
	}
	kinds := func(ids ...uuid.UUID) (all []storage.FreezeKind) {
		rows, err := collect(w.Freezes(ctx, FreezeQuery{Of: ids}))
		w.must(err)
		for _, f := range rows {
			all = append(all, f.Kind)
		}
		return all
	}
	freeze(storage.FreezeAgent, "clerk")
	freeze(storage.FreezeCredential, c.PublicID)
	if got := kinds(clerk.ID, storage.NewID()); !slices.Equal(got, []storage.FreezeKind{storage.FreezeAgent}) {
		t.Errorf("the clerk is stopped by %q", got)
	}
	freeze(storage.FreezeOrganization, "")
	freeze(storage.FreezeAll, "")
	want := []storage.FreezeKind{storage.FreezeCredential, storage.FreezeAgent, storage.FreezeOrganization, storage.FreezeAll}
	if got := kinds(c.ID, clerk.ID); !slices.Equal(got, want) {
		t.Errorf("stopped by %q, want %q", got, want)
	}
	for _, q := range []FreezeQuery{{Of: make([]uuid.UUID, maxOf+1)}, {Of: []uuid.UUID{c.ID}, Page: Page{Limit: 1}}} {
		if _, err := collect(w.Freezes(ctx, q)); err == nil {
			t.Errorf("%d things, page %+v: no error", len(q.Of), q.Page)
		}
	}
}
