package servertest_test

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// BenchmarkAV1_Flat measures what a submission costs, with limits on at each level:
// with ten agents, a thousand and ten thousand, all of which have sent in the last
// minute, and with a past of a million messages of the agent that sends. Counters are
// rows, so the price must not grow.
//
// The servers take turns of ten messages each, for the machine has moods. Reported
// are, in microseconds, the middle of the times from MAIL to the 250 behind the data
// (wall), and the middle of what the whole process computed for one message until it
// was delivered and the log was quiet again (cpu), client and laboratory included;
// and how much the dearest cpu is above the first. Preparation takes minutes and is
// reported in seconds: run it with -benchtime 100x.
func BenchmarkAV1_Flat(b *testing.B) {
	if b.N < 20 {
		return // too few to say anything
	}
	cases := []struct {
		name         string
		agents, past int
	}{{"agents-10", 10, 0}, {"agents-1k", 1000, 0}, {"agents-10k", 10_000, 0}, {"past-1M", 10, 1_000_000}}
	clients, servers := make([]*peer, len(cases)), make([]*servertest.Postern, len(cases))
	for i, c := range cases {
		began := time.Now()
		servers[i] = busy(b, c.agents, c.past)
		b.ReportMetric(time.Since(began).Seconds(), c.name+"-preparation-s")
	}
	for i, p := range servers {
		clients[i] = submitter(b, p, "scout")
	}
	wall, cpu := make([][]time.Duration, len(cases)), make([][]time.Duration, len(cases))
	for n := range 5 + b.N {
		for i, c := range clients {
			w, u := turn(b, servers[i], c)
			if n >= 5 {
				wall[i], cpu[i] = append(wall[i], w...), append(cpu[i], u)
			}
		}
	}
	dearest := 0.0
	for i, c := range cases {
		b.ReportMetric(float64(middle(wall[i]).Microseconds()), c.name+"-wall-us")
		b.ReportMetric(float64(middle(cpu[i]).Microseconds()), c.name+"-cpu-us")
		dearest = max(dearest, float64(middle(cpu[i]))/float64(middle(cpu[0])))
	}
	b.ReportMetric(dearest, "cpu-ratio")
	b.ReportMetric(0, "ns/op")
}

// busy is a server on which everybody has sent lately, under limits at each level.
func busy(b *testing.B, agents, messages int) *servertest.Postern {
	p := servertest.New(b, servertest.Options{Agents: []string{"scout", "clerk"}})
	scout := p.Agents["scout"]
	limits := map[string]string{"messages-per-minute": "1000000", "messages-per-hour": "1000000", "messages-per-day": "1000000",
		"recipients-per-minute": "1000000", "recipients-per-hour": "1000000", "recipients-per-day": "1000000", "first-time-per-day": "1000000"}
	domains, err := p.Server().Store().Domains(b.Context(), p.Org.ID, uuid.Nil, 1)
	fatal(b, err)
	for _, at := range []struct {
		level  storage.PolicyLevel
		target uuid.UUID
	}{{storage.LevelOrganization, p.Org.ID}, {storage.LevelDomain, domains[0].ID}, {storage.LevelAgent, scout.Agent.ID},
		{storage.LevelCredential, scout.Credential.ID}, {storage.LevelInbox, scout.Inbox.ID}} {
		fatal(b, p.SetPolicy(b.Context(), p.Org.ID, at.level, at.target, limits))
	}
	manyAgents(b, p, agents-2)
	haveSent(b, p, 3*agents)
	past(b, p, messages)
	for { // what is counted of the past by the hour, is counted before, and not meanwhile
		n, err := p.Server().Store().Uncounted(b.Context(), p.Org.ID)
		fatal(b, err)
		if n == 0 {
			return p
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// haveSent counts messages for so many subjects of limits.
func haveSent(b *testing.B, p *servertest.Postern, subjects int) {
	for range (subjects + 99) / 100 {
		some := make([]uuid.UUID, 100)
		for i := range some {
			some[i] = uuid.New()
		}
		fatal(b, p.Server().Store().Write(b.Context(), storage.System, func(tx *storage.Tx) error {
			tx.Record(audit.Event{Verb: audit.MessageSubmitted, Org: p.Org.ID})
			usage, err := tx.Usage(some...)
			if err != nil {
				return err
			}
			return tx.CountUsage(storage.Tally{Messages: 7, Recipients: 9, FirstTime: 1}, usage...)
		}))
	}
}

// turn sends ten messages, and waits until all that follows is over.
func turn(b *testing.B, p *servertest.Postern, c *peer) (wall []time.Duration, cpu time.Duration) {
	const messages = 10
	before := computed(b)
	for range messages {
		began := time.Now()
		c.mail("scout@alpha.test", "clerk@alpha.test")
		wall = append(wall, time.Since(began))
	}
	eventually(b, func() bool {
		counts, err := p.Server().Store().OutgoingCounts(b.Context(), p.Org.ID)
		fatal(b, err)
		return len(counts) == 0
	})
	time.Sleep(5 * time.Millisecond) // for those who follow the log
	return wall, (computed(b) - before) / messages
}

// computed is what the processors did for this process.
func computed(b *testing.B) time.Duration {
	var u unix.Rusage
	fatal(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
