package servertest_test

import (
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	commands "postern/server/control"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// crowd makes agents and events of the last week: mail that comes, is read, answered
// and refused.
func crowd(b *testing.B, p *servertest.Postern, agents, events int) {
	b.Helper()
	store := p.Server().Store()
	var ids []uuid.UUID
	for len(ids) < agents {
		fatal(b, store.Write(b.Context(), storage.System, func(tx *storage.Tx) error {
			for range 500 {
				a := storage.Agent{Head: storage.Head{Org: p.Org.ID}, Name: fmt.Sprintf("agent-%05d", len(ids)), Owner: "ada@example.com", State: storage.AgentActive}
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
		p.World.Clock.Advance(7 * 24 * time.Hour * batch / time.Duration(events))
		fatal(b, store.Write(b.Context(), storage.System, func(tx *storage.Tx) error {
			for i := range batch {
				e := audit.Event{Org: p.Org.ID, Agent: ids[rng.IntN(len(ids))], Inbox: inbox, Mailbox: mailbox, Object: storage.NewID()}
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
		var err error
		more, err = store.CountHours(b.Context())
		fatal(b, err)
	}
}

// firstPage loads the first page of the panel over TLS, and what is sent for it.
func firstPage(b *testing.B, client *http.Client, p *servertest.Postern) (sent int64) {
	q, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "https://"+p.Addr("panel").String()+"/", nil)
	fatal(b, err)
	q.Header.Set("Cookie", "__Host-postern="+p.Admin.Session)
	q.Header.Set("Accept-Encoding", "gzip")
	a, err := client.Do(q)
	fatal(b, err)
	defer a.Body.Close()
	body := &measured{from: a.Body}
	in, err := gzip.NewReader(body)
	fatal(b, err)
	text, err := io.ReadAll(in)
	fatal(b, err)
	if a.StatusCode != http.StatusOK || !strings.Contains(string(text), "Agents by the hour") {
		b.Fatalf("%d %s", a.StatusCode, words(string(text)))
	}
	return body.n
}

// measured counts what is read from it.
type measured struct {
	from io.Reader
	n    int64
}

func (c *measured) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

// BenchmarkOverview asks for the first page's facts, for the first page of the list of
// agents, and for the first page itself as a browser does, with 10,000 agents and a
// million events. sent-B is the page as it is sent, without the files that a browser
// keeps; TestPanel_FirstPageIsSmall holds these to 60 KB together.
func BenchmarkOverview(b *testing.B) {
	p := servertest.New(b, servertest.Options{})
	events := 1_000_000
	if testing.Short() {
		events = 20_000
	}
	crowd(b, p, 10_000, events)
	c := commands.NewClient(p.ControlSocket())
	b.Cleanup(c.Close)
	b.Run("facts", func(b *testing.B) {
		for b.Loop() {
			o, err := c.Overview(b.Context())
			fatal(b, err)
			if len(o.Agents) == 0 || o.Figures[0].Now == 0 || len(o.Flow) == 0 {
				b.Fatalf("%+v", o)
			}
		}
	})
	b.Run("counters", func(b *testing.B) {
		for b.Loop() {
			_, err := c.Counters(b.Context())
			fatal(b, err)
		}
	})
	b.Run("agents", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for _, err := range c.Agents(b.Context(), commands.AgentQuery{Page: commands.Page{Limit: 101}}) {
				fatal(b, err)
				n++
			}
			if n != 101 {
				b.Fatal(n)
			}
		}
	})
	b.Run("page", func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.Pool(), ServerName: p.Host}, DisableCompression: true}}
		defer client.CloseIdleConnections()
		sent := firstPage(b, client, p) // with the handshake
		for b.Loop() {
			firstPage(b, client, p)
		}
		b.ReportMetric(float64(sent), "sent-B")
	})
}
