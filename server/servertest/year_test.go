package servertest_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	commands "postern/server/control"
	"postern/server/directory"
	"postern/server/policy"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

const day = 24 * time.Hour

// employee is an agent over a year: the secrets that were ever put where it reads
// them, and its sessions.
type employee struct {
	*servertest.Agent
	secrets  []*secret
	reading  string // the secret that it uses; it looks for a newer one when it feels like it
	patience int    // days between looks
	length   time.Duration
	imap     *session
	smtp     *session
}

type secret struct {
	text  string
	id    string
	ends  time.Time // as credential.show said last
	ended bool
}

// session is a connection and what it was opened with.
type session struct {
	*peer
	secret string
	since  time.Time
}

// TestAC7_AYearOfAutomaticRotation simulates a year, a day at a time. A scheduler runs the rotation of what is due once a
// week; agents notice a new secret days later, and keep sessions of IMAP and of submission open meanwhile. No credential
// authenticates past its limit; every agent can log in on every day; no session ends while its credential lives and its
// own day is not over; and the report has every rotation. // AC-7, AC-8
func TestAC7_AYearOfAutomaticRotation(t *testing.T) {
	if testing.Short() {
		t.Skip("some thousand logins")
	}
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk", "temp"}})
	// By policy sessions may outlast an overlap, and temp's credentials live for a month.
	whole := &storage.Policy{Head: storage.Head{Org: p.Org.ID}, Level: storage.LevelOrganization, Target: p.Org.ID,
		Values: map[string]string{string(policy.KeySessionLength): "20d"}}
	fatal(t, p.Server().Store().Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		row := *whole
		return tx.PutPolicy(tx.Record(audit.Event{Verb: audit.AgentResume, Outcome: audit.OK}), &row)
	}))
	setPolicy(t, p, p.Agents["clerk"], map[policy.Key]string{policy.KeySessionLength: "5d"})
	setPolicy(t, p, p.Agents["temp"], map[policy.Key]string{policy.KeyCredentialAge: "30d"})
	y := &year{t: t, p: p, client: commands.NewClient(p.ControlSocket())}
	t.Cleanup(y.client.Close)
	for i, name := range []string{"scout", "clerk", "temp"} {
		a := p.Agents[name]
		length := []time.Duration{20 * day, 5 * day, 20 * day}[i]
		y.staff = append(y.staff, &employee{Agent: a, secrets: []*secret{{text: a.Token, id: a.Credential.ID.String()}}, reading: a.Token, patience: 2*i + 1, length: length})
	}
	for d := range 365 {
		fatal(t, p.World.Advance(day))
		if d%7 == 6 {
			y.rotate()
		}
		p.Server().Directory().Expire()
		for _, e := range y.staff {
			y.live(d, e)
		}
		if t.Failed() {
			t.Fatalf("on day %d", d)
		}
	}
	y.report()
}

type year struct {
	t        testing.TB
	p        *servertest.Postern
	client   *commands.Client
	staff    []*employee
	rotated  map[string]string // successor by predecessor, public ids
	attempts int
	kept     int // sessions that were found alive
}

// rotate is the scheduler's weekly job.
func (y *year) rotate() {
	y.t.Helper()
	q := commands.CredentialRotateDue{Within: int64(14 * day / time.Second), Overlap: int64(7 * day / time.Second)}
	for row, err := range y.client.RotateDue(y.t.Context(), q) {
		fatal(y.t, err)
		if row.Error != nil {
			y.t.Fatal(row.Agent, row.Error)
		}
		if y.rotated == nil {
			y.rotated = map[string]string{}
		}
		y.rotated[row.Predecessor] = row.PublicID
		for _, e := range y.staff {
			if e.Name == row.Agent {
				e.secrets = append(e.secrets, &secret{text: row.Secret, id: row.ID.String()})
			}
		}
	}
}

// live is a day of an agent.
func (y *year) live(d int, e *employee) {
	y.t.Helper()
	for _, s := range e.secrets {
		if !s.ended {
			c := y.credential(s.id)
			s.ends = c.End()
			s.ended = !y.p.World.Clock.Now().Before(s.ends)
		}
	}
	y.alive(e, &e.imap, "n NOOP", "n OK")
	y.alive(e, &e.smtp, "NOOP", "250 ")
	if d%e.patience == 0 {
		e.reading = e.secrets[len(e.secrets)-1].text // it looks where the scheduler puts them
	}
	if !y.authenticates(e, e.reading) {
		e.reading = e.secrets[len(e.secrets)-1].text // as any program that is refused
		if !y.authenticates(e, e.reading) {
			y.t.Errorf("%s cannot log in with anything", e.Name)
		}
	}
	for _, s := range e.secrets {
		if s.ended && d%7 != 0 {
			continue // those are tried once a week
		}
		if y.authenticates(e, s.text) == s.ended {
			y.t.Errorf("%s: a credential that ends at %v, at %v: ended %v", e.Name, s.ends, y.p.World.Clock.Now(), s.ended)
		}
	}
	if e.imap == nil {
		e.imap = y.open(e, "imaps")
	}
	if e.smtp == nil {
		e.smtp = y.open(e, "submissions")
	}
}

// alive holds that a session still works unless its credential or its own time is
// over, and forgets it then.
func (y *year) alive(e *employee, s **session, command, answer string) {
	y.t.Helper()
	if *s == nil {
		return
	}
	age := y.p.World.Clock.Now().Sub((*s).since)
	ended := age >= e.length
	for _, has := range e.secrets {
		ended = ended || has.text == (*s).secret && has.ended
	}
	if ended {
		if _, err := io.Copy(io.Discard, (*s).in); errors.Is(err, os.ErrDeadlineExceeded) {
			y.t.Errorf("%s has a session beyond its end", e.Name)
		}
		(*s).conn.Close()
		*s = nil
		return
	}
	if text := (*s).ask(command); !strings.HasPrefix(text, answer) {
		y.t.Errorf("%s lost a session of %v while its credential lives: %q", e.Name, age, text)
	}
	y.kept++
}

// ask says a command and hears a line, or why there is none.
func (s *session) ask(command string) string {
	s.conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := s.conn.Write([]byte(command + "\r\n")); err != nil {
		return err.Error()
	}
	text, err := s.in.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return text
}

func (y *year) credential(id string) commands.Credential {
	y.t.Helper()
	c, err := y.client.Credential(y.t.Context(), id)
	fatal(y.t, err)
	return c
}

// authenticates says whether a secret lets its agent in now.
func (y *year) authenticates(e *employee, secret string) bool {
	y.t.Helper()
	y.attempts++
	dir := y.p.Server().Directory()
	p, err := dir.Authenticate(y.t.Context(), directory.Attempt{Login: e.Address, Secret: secret, Remote: netip.AddrFrom4([4]byte{10, byte(y.attempts >> 8), byte(y.attempts), 1}), Door: "imap", TLS: "TLS1.3", Mechanism: "PLAIN"})
	switch {
	case err == nil:
		dir.End(p, "logout")
		return true
	case !errors.Is(err, directory.ErrExpired):
		y.t.Errorf("%s is refused: %v", e.Name, err)
	}
	return false
}

// open logs in over the wire.
func (y *year) open(e *employee, door string) *session {
	y.t.Helper()
	c := dial(y.t, y.p, door)
	a := *e.Agent
	a.Token = e.reading
	if door == "imaps" {
		c.line()
		c.want("OK", "LOGIN "+a.Address+" "+a.Token)
	} else {
		c.reply()
		c.command("EHLO client.test")
		if r := c.command("AUTH PLAIN " + plain(&a)); !strings.HasPrefix(r, "235") {
			y.t.Errorf("%s: %s", e.Name, r)
		}
	}
	return &session{c, e.reading, y.p.World.Clock.Now()}
}

// report holds that the report has every rotation, and the log every event.
func (y *year) report() {
	y.t.Helper()
	lives, rotations := map[string]commands.Life{}, 0
	for l, err := range y.client.Lives(context.Background(), commands.LifeQuery{}) {
		fatal(y.t, err)
		lives[l.PublicID] = l
	}
	for before, after := range y.rotated {
		b, a := lives[before], lives[after]
		if b.ReplacedBy != after || a.Replaces != before || b.Rotated.IsZero() || b.Overlap.IsZero() || b.LastUse.After(b.Overlap) || a.IssuedBy == "" {
			y.t.Errorf("rotation of %s to %s: %+v, %+v", before, after, b, a)
		}
	}
	counts, err := y.p.Server().Store().CountEvents(context.Background(), storage.EventQuery{Verbs: []audit.Verb{audit.CredentialRotate}})
	fatal(y.t, err)
	for _, n := range counts {
		rotations = int(n.Count)
	}
	if rotations != len(y.rotated) || rotations < 20 {
		y.t.Errorf("%d rotations on record, %d made", rotations, len(y.rotated))
	}
	y.t.Logf("%d rotations, %d logins tried, %d times a session was found alive, %d credentials reported", rotations, y.attempts, y.kept, len(lives))
}
