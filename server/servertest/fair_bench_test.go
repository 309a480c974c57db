package servertest_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/dns/nameserver"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// BenchmarkAV2_Fairness measures what 20 agents that send now and then feel of one
// that has ten thousand messages in the queue, and inside twenty thousand: the time
// of theirs in it, from the 250 to the delivery, first alone and then beside the
// flood. It reports the 95th of a hundred of both, in milliseconds, and their ratio,
// which AV-2 wants under 1.5; and how much of the flood is left at the end, without
// which the ratio says little. The flood goes to the same place as the others' mail,
// or elsewhere; or, beside a backlog, four sessions of its agent submit without end,
// against which there are limits (AV-1) and not the queue.
func BenchmarkAV2_Fairness(b *testing.B) {
	for _, lane := range []struct {
		name, to        string
		flood, sessions int
	}{{"local", "clerk@alpha.test", 20_000, 0}, {"remote", "ada@slow.test", 10_000, 0}, {"elsewhere", "ada@other.test", 10_000, 0}, {"submitting", "ada@slow.test", 10_000, 4}} {
		b.Run(lane.name, func(b *testing.B) {
			for range b.N {
				alone := fairness(b, lane.to, 0, 0)
				beside := fairness(b, lane.to, lane.flood, lane.sessions)
				b.ReportMetric(float64(alone.Microseconds())/1000, "alone-ms")
				b.ReportMetric(float64(beside.Microseconds())/1000, "beside-ms")
				b.ReportMetric(float64(beside)/float64(alone), "ratio")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// normals is how many agents send now and then, rounds how often each of them, and
// pause how long each waits in between.
const (
	normals = 20
	rounds  = 10
	pause   = 500 * time.Millisecond
)

// fairness returns the 95th of a hundred of the times in the queue.
func fairness(b *testing.B, to string, flood, sessions int) time.Duration {
	p := servertest.New(b, servertest.Options{Agents: []string{"flood", "clerk"}})
	slowHost(b, p, "slow.test", "127.0.78.1")
	slowHost(b, p, "other.test", "127.0.78.2")
	for i := range normals {
		_, err := p.AddAgent(b.Context(), fmt.Sprintf("normal%d", i))
		fatal(b, err)
	}
	for _, a := range p.Agents {
		unlimited(b, p, a)
	}
	ctx, stop := context.WithCancel(b.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	backlog(b, p, floodTo(to), flood)
	for range sessions {
		all.Go(func() { keepSending(ctx, b, p, floodTo(to)) })
	}
	var sending sync.WaitGroup
	for i := range normals {
		sending.Go(func() {
			time.Sleep(time.Duration(i) * pause / normals)
			sendNowAndThen(b, p, fmt.Sprintf("normal%d", i), to)
		})
	}
	sending.Wait()
	counts, err := p.Server().Store().OutgoingCounts(b.Context(), p.Org.ID)
	fatal(b, err)
	for _, c := range counts {
		b.ReportMetric(float64(c.Count), "left")
	}
	return ninetyFifth(b, p)
}

// floodTo is where the flood goes: to the same host as the others, unless that is
// elsewhere.
func floodTo(to string) string { return strings.Replace(to, "other.test", "slow.test", 1) }

// keepSending submits without end.
func keepSending(ctx context.Context, b *testing.B, p *servertest.Postern, to string) {
	c := submitter(b, p, "flood")
	for ctx.Err() == nil {
		c.mail("flood@alpha.test", to)
	}
}

// backlog puts messages of the agent that floods into the queue, all at once, as if
// they had been submitted.
func backlog(b *testing.B, p *servertest.Postern, to string, n int) {
	a, store := p.Agents["flood"], p.Server().Store()
	for first := 0; first < n; first += 500 {
		var stages []*storage.Stage
		for i := range 500 {
			s := store.Stage()
			fmt.Fprintf(s, "From: flood@alpha.test\r\nMessage-ID: <%d@alpha.test>\r\n\r\nx\r\n", first+i)
			fatal(b, s.Finish())
			defer s.Discard()
			stages = append(stages, s)
		}
		fatal(b, store.Write(b.Context(), storage.System, func(tx *storage.Tx) error {
			for _, s := range stages {
				e := tx.Record(audit.Event{Verb: audit.MessageSubmitted, Outcome: audit.OK, Org: p.Org.ID, Agent: a.Agent.ID, Inbox: a.Inbox.ID})
				body, err := tx.AddBody(s)
				if err != nil {
					return err
				}
				sum := s.SHA256()
				row := storage.Outgoing{Head: storage.Head{Org: p.Org.ID}, Inbox: a.Inbox.ID, Message: storage.NewID(), Agent: a.Agent.ID, Credential: a.Credential.ID,
					State: storage.OutgoingQueued, Local: strings.HasSuffix(to, "@alpha.test"), From: a.Address, To: to, SHA256: sum[:], Expires: tx.Now().Add(time.Hour)}
				if err := tx.CreateOutgoing(e, &row, body, to[strings.IndexByte(to, '@')+1:]); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	p.Server().Queue().Kick()
}

func sendNowAndThen(b *testing.B, p *servertest.Postern, name, to string) {
	c := submitter(b, p, name)
	for range rounds {
		c.mail(name+"@alpha.test", to)
		time.Sleep(pause)
	}
}

// mail sends one message in an open session.
func (p *peer) mail(from, to string) {
	p.t.Helper()
	for _, command := range []string{"MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA"} {
		if r := p.command(command); r[0] != '2' && r[0] != '3' {
			p.t.Errorf("%s: %s", command, r)
			return
		}
	}
	if r := p.finish("From: " + from + "\r\nSubject: x\r\n\r\nx\r\n"); r[:3] != "250" {
		p.t.Error(r)
	}
}

// ninetyFifth waits until all messages of the normal agents are delivered, and holds
// the times of the events against each other.
func ninetyFifth(b *testing.B, p *servertest.Postern) time.Duration {
	var took []time.Duration
	for name, a := range p.Agents {
		if !strings.HasPrefix(name, "normal") {
			continue
		}
		began := map[uuid.UUID]time.Time{}
		eventually(b, func() bool {
			began, took = times(b, p, a, began, took)
			return len(began) == rounds && allOver(began)
		})
	}
	if len(took) != normals*rounds {
		b.Fatalf("%d messages were delivered", len(took))
	}
	slices.Sort(took)
	return took[len(took)*95/100]
}

// times reads the log of one agent: a message that is over has the zero time.
func times(b *testing.B, p *servertest.Postern, a *servertest.Agent, began map[uuid.UUID]time.Time, took []time.Duration) (map[uuid.UUID]time.Time, []time.Duration) {
	all, err := p.Server().Store().Events(b.Context(), storage.EventQuery{Agent: a.Agent.ID, Verbs: []audit.Verb{audit.MessageSubmitted, audit.QueueDelivered}})
	fatal(b, err)
	for i := range all {
		e := &all[i]
		since, known := began[e.Object]
		switch {
		case e.Verb == audit.MessageSubmitted && !known:
			began[e.Object] = e.Time
		case e.Verb == audit.QueueDelivered && !since.IsZero():
			took, began[e.Object] = append(took, e.Time.Sub(since)), time.Time{}
		}
	}
	return began, took
}

func allOver(began map[uuid.UUID]time.Time) bool {
	for _, t := range began {
		if !t.IsZero() {
			return false
		}
	}
	return true
}

// slowHost is the mail exchanger of a domain that takes a tenth of a second for each
// message.
func slowHost(b *testing.B, p *servertest.Postern, domain, ip string) {
	b.Helper()
	_, port, err := net.SplitHostPort(p.Addr("smtp").String())
	fatal(b, err)
	l, err := net.Listen("tcp", net.JoinHostPort(ip, port))
	fatal(b, err)
	b.Cleanup(func() { l.Close() })
	fatal(b, p.World.Names.SetZone(nameserver.Zone{Origin: domain, Nameservers: []string{"ns.test"}, Records: []nameserver.Record{
		{Name: domain, Type: nameserver.MX, Data: "10 mx." + domain}, {Name: "mx." + domain, Type: nameserver.A, Data: ip}}}))
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go slowly(conn)
		}
	}()
}

// slowly speaks SMTP.
func slowly(conn net.Conn) {
	defer conn.Close()
	say := func(text string) { fmt.Fprintf(conn, "%s\r\n", text) }
	say("220 slow")
	data := false
	for in := bufio.NewScanner(conn); in.Scan(); {
		switch line := strings.ToUpper(in.Text()); {
		case data && line == ".":
			time.Sleep(100 * time.Millisecond)
			data = false
			say("250 taken")
		case data:
		case line == "DATA":
			data = true
			say("354 go on")
		case line == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}
