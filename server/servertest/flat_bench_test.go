package servertest_test

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// BenchmarkAV1_Flat measures what a submission costs, from MAIL to the 250 behind the
// data: with ten agents, with ten thousand, and with a past of a million messages of
// the agent that sends. Counters are rows, so the price must not grow. The three
// servers take turns, for the machine has moods; the middle of each is reported, in
// microseconds. Preparation takes minutes and is reported in seconds: run it with
// -benchtime 1000x.
func BenchmarkAV1_Flat(b *testing.B) {
	if b.N < 100 {
		return // too few to say anything
	}
	cases := []struct {
		name         string
		agents, past int
	}{{"agents-10", 10, 0}, {"agents-10k", 10_000, 0}, {"past-1M", 10, 1_000_000}}
	var servers []*servertest.Postern
	for _, c := range cases {
		p := servertest.New(b, servertest.Options{Agents: []string{"scout", "clerk"}})
		unlimited(b, p, p.Agents["scout"])
		began := time.Now()
		manyAgents(b, p, c.agents-2)
		past(b, p, c.past)
		b.ReportMetric(time.Since(began).Seconds(), c.name+"-preparation-s")
		servers = append(servers, p)
	}
	clients, taken := make([]*peer, len(cases)), make([][]time.Duration, len(cases))
	for i, p := range servers {
		clients[i] = submitter(b, p, "scout")
	}
	for n := range 50 + b.N {
		for i, c := range clients {
			began := time.Now()
			c.mail("scout@alpha.test", "clerk@alpha.test")
			if n >= 50 {
				taken[i] = append(taken[i], time.Since(began))
			}
		}
	}
	for i, c := range cases {
		b.ReportMetric(float64(middle(taken[i]).Microseconds()), c.name+"-us")
	}
	b.ReportMetric(0, "ns/op")
}

// manyAgents makes agents, each with an inbox and a credential.
func manyAgents(b *testing.B, p *servertest.Postern, n int) {
	names := make(chan string)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for name := range names {
				if err := oneAgent(b, p, name); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		names <- fmt.Sprintf("agent%d", i)
	}
	close(names)
	all.Wait()
}

// oneAgent is what AddAgent of the server under test does, by many at once.
func oneAgent(b *testing.B, p *servertest.Postern, name string) error {
	dir := p.Server().Directory()
	in, err := dir.CreateInbox(b.Context(), storage.System, p.Org.ID, name+"@alpha.test", storage.Live)
	if err != nil {
		return err
	}
	agent, err := dir.CreateAgent(b.Context(), storage.System, p.Org.ID, name, "owner@alpha.test", "")
	if err != nil {
		return err
	}
	_, _, err = dir.CreateCredential(b.Context(), storage.System, p.Org.ID, directory.CredentialSpec{
		Agent: agent.ID, Scopes: []storage.Scope{{Inbox: in.ID, Verbs: 31}}})
	return err
}

// past gives scout messages that came and went long ago: half of them in INBOX and
// half in Sent, each with its event.
func past(b *testing.B, p *servertest.Postern, n int) {
	a, store := p.Agents["scout"], p.Server().Store()
	in, err := store.OpenInbox(b.Context(), p.Org.ID, a.Inbox.ID)
	fatal(b, err)
	var boxes [2]storage.Mailbox
	for i, role := range []storage.Role{storage.RoleInbox, storage.RoleSent} {
		boxes[i], err = in.MailboxByRole(b.Context(), role)
		fatal(b, err)
	}
	for first := 0; first < n; first += 2000 {
		stage := store.Stage()
		fmt.Fprintf(stage, "From: scout@alpha.test\r\nSubject: %d\r\n\r\nx\r\n", first)
		fatal(b, stage.Finish())
		fatal(b, store.Write(b.Context(), storage.System, func(tx *storage.Tx) error {
			body, err := tx.AddBody(stage)
			for i := 0; i < 2000 && err == nil; i++ {
				err = pastMessage(tx, a, in, boxes[i%2].ID, body, first+i)
			}
			return err
		}))
		stage.Discard()
	}
}

func pastMessage(tx *storage.Tx, a *servertest.Agent, in *storage.Inbox, box uuid.UUID, body storage.BodyRef, n int) error {
	verb := audit.MessageReceived
	if n%2 == 1 {
		verb = audit.MessageSubmitted
	}
	e := tx.Record(audit.Event{Verb: verb, Outcome: audit.OK, Org: a.Agent.Org, Agent: a.Agent.ID, Credential: a.Credential.ID, Inbox: a.Inbox.ID, Object: storage.NewID(),
		Personal: audit.Fields{audit.Text(audit.KeyMessageID, fmt.Sprintf("<%d@past.test>", n))}})
	_, err := tx.Deposit(e, in, box, storage.Deposit{ID: e.Object, Received: time.Now().AddDate(0, -1, 0), Size: body.Size,
		Content: storage.Content{Body: body, Verdict: storage.Unscored, SHA256: sha256.Sum256([]byte{byte(n)}), MessageID: fmt.Sprintf("<%d@past.test>", n)}})
	return err
}
