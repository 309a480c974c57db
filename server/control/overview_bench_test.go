package control

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// crowd makes agents and events of the last week: mail that comes, is read, answered
// and refused.
func crowd(b *testing.B, w *world, agents, events int) {
	b.Helper()
	w.now = time.Date(2026, 11, 16, 12, 0, 0, 0, time.UTC)
	org, err := w.dir.Organization(b.Context())
	w.must(err)
	var ids []uuid.UUID
	for len(ids) < agents {
		w.must(w.store.Write(b.Context(), storage.System, func(tx *storage.Tx) error {
			for range 500 {
				a := storage.Agent{Head: storage.Head{Org: org.ID}, Name: fmt.Sprintf("agent-%05d", len(ids)), Owner: "ada@example.com", State: storage.AgentActive}
				if err := tx.CreateAgent(tx.Record(audit.Event{Verb: audit.AgentCreate}), &a); err != nil {
					return err
				}
				ids = append(ids, a.ID)
			}
			return nil
		}))
	}
	rng, inbox, mailbox := rand.New(rand.NewPCG(1, 1)), storage.NewID(), storage.NewID()
	const batch = 2000
	for n := 0; n < events; n += batch {
		w.now = w.now.Add(7 * 24 * time.Hour * batch / time.Duration(events))
		w.must(w.store.Write(b.Context(), storage.System, func(tx *storage.Tx) error {
			for i := range batch {
				e := audit.Event{Org: org.ID, Agent: ids[rng.IntN(len(ids))], Inbox: inbox, Mailbox: mailbox, Object: storage.NewID()}
				uid := int64(n + i + 1)
				switch i % 4 {
				case 0:
					e.Verb, e.Agent = audit.MessageReceived, uuid.Nil
					e.Fields = audit.Fields{audit.Word(audit.KeyVerdict, "clean"), audit.Word(audit.KeySender, "known"), audit.Int(audit.KeyUID, uid)}
				case 1:
					e.Verb = audit.MessageRead
					set := audit.UIDsOf(uint32(uid - 1))
					e.Fields = audit.Fields{audit.Set(audit.KeyUIDs, set), audit.Int(audit.KeyCount, set.Count())}
				case 2:
					e.Verb = audit.MessageSubmitted
				default:
					e.Verb, e.Outcome = audit.QueueDelivered, audit.OK
				}
				tx.Record(e)
			}
			return nil
		}))
	}
	for more := true; more; {
		more, err = w.store.CountHours(b.Context())
		w.must(err)
	}
}

// BenchmarkOverview asks for the first page's facts, and for the first page of the list
// of agents, with 10,000 agents and a million events.
func BenchmarkOverview(b *testing.B) {
	w := newWorld(b)
	events := 1_000_000
	if testing.Short() {
		events = 20_000
	}
	crowd(b, w, 10_000, events)
	w.must(w.store.Write(b.Context(), storage.System, func(tx *storage.Tx) error {
		tx.Record(audit.Event{Verb: audit.ServerHeartbeat})
		return nil
	}))
	b.Run("overview", func(b *testing.B) {
		for b.Loop() {
			o, err := w.Overview(b.Context())
			w.must(err)
			if len(o.Agents) != overviewAgents || o.Figures[0].Now == 0 || len(o.Flow) == 0 {
				b.Fatalf("%+v", o)
			}
		}
	})
	b.Run("counters", func(b *testing.B) {
		for b.Loop() {
			_, err := w.Counters(b.Context())
			w.must(err)
		}
	})
	b.Run("agents", func(b *testing.B) {
		for b.Loop() {
			all, err := collect(w.Agents(b.Context(), AgentQuery{Page: Page{Limit: 101}}))
			w.must(err)
			if len(all) != 101 {
				b.Fatal(len(all))
			}
		}
	})
}
