package servertest_test

import (
	"context"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

var update = flag.Bool("update", false, "rewrite the golden tables of testdata/matrix")

// A matrix is a whole server with two organizations, each of which has inboxes of
// both environments, and a player for every set of rights on each of the four.
type matrix struct {
	p       *servertest.Postern
	players []*player

	mu      sync.Mutex
	results map[string]map[point]string // by row
	order   []string
}

// A player is an agent with one set of rights on an inbox of its own.
type player struct {
	point
	m              *matrix
	name           string // of the agent
	address, token string // the login and the secret
	owner          string // a secret with every right on the same inbox
	credential     uuid.UUID
	seen           uint64 // events up to here belong to rows that are over
}

// A point is where a player stands in the matrix.
type point struct {
	second bool // organization
	test   bool // environment
	verbs  storage.Verbs
}

// scopes are the rights in the order in which a point is written.
var scopes = []struct {
	letter byte
	verb   storage.Verbs
}{{'r', storage.Read}, {'f', storage.Flag}, {'a', storage.Append}, {'d', storage.Delete}, {'s', storage.Send}}

// domains are those of the two organizations.
var domains = [2]string{"alpha.test", "beta.test"}

// newMatrix makes the server and all players. In each domain are two inboxes more,
// which all know by name and none of them may open.
func newMatrix(t *testing.T) *matrix {
	if testing.Short() {
		t.Skip("every command, 128 times")
	}
	t.Parallel()
	m := &matrix{p: servertest.New(t, servertest.Options{Domain: domains[0]}), results: map[string]map[point]string{}}
	dir, ctx := m.p.Server().Directory(), t.Context()
	second, err := dir.CreateOrganization(ctx, storage.System, "second")
	fatal(t, err)
	_, _, err = dir.AddDomain(ctx, storage.System, second.ID, domains[1], directory.AssumeOwned{Reason: "it is the test's own"})
	fatal(t, err)
	for i, org := range []uuid.UUID{m.p.Org.ID, second.ID} {
		live, test := m.inbox(t, org, "known@"+domains[i], storage.Live), m.inbox(t, org, "trial@"+domains[i], storage.Test)
		for verbs := storage.Verbs(0); verbs < 32; verbs++ {
			m.cast(t, org, point{i == 1, false, verbs}, live.ID)
			m.cast(t, org, point{i == 1, true, verbs}, test.ID)
		}
	}
	return m
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *matrix) inbox(t *testing.T, org uuid.UUID, address string, env storage.Environment) storage.InboxRecord {
	t.Helper()
	in, err := m.p.Server().Directory().CreateInbox(t.Context(), storage.System, org, address, env)
	fatal(t, err)
	return in
}

// cast adds a player. One without rights has a credential for another inbox: there
// is none for nothing.
func (m *matrix) cast(t *testing.T, org uuid.UUID, at point, other uuid.UUID) {
	t.Helper()
	env := storage.Live
	if at.test {
		env = storage.Test
	}
	x := &player{point: at, m: m, name: fmt.Sprintf("%s%02d", env, at.verbs)}
	x.address = x.name + "@" + x.domain()
	in := m.inbox(t, org, x.address, env)
	agent, err := m.p.Server().Directory().CreateAgent(t.Context(), storage.System, org, x.name, "owner@"+x.domain(), "")
	fatal(t, err)
	scope := storage.Scope{Inbox: in.ID, Verbs: at.verbs}
	if at.verbs == 0 {
		scope = storage.Scope{Inbox: other, Verbs: 31}
	}
	x.credential, x.token = m.credential(t, agent, env, scope)
	_, x.owner = m.credential(t, agent, env, storage.Scope{Inbox: in.ID, Verbs: 31})
	m.players = append(m.players, x)
}

func (m *matrix) credential(t *testing.T, agent storage.Agent, env storage.Environment, scope storage.Scope) (uuid.UUID, string) {
	t.Helper()
	c, secret, err := m.p.Server().Directory().CreateCredential(t.Context(), storage.System, agent.Org, directory.CredentialSpec{
		Agent: agent.ID, Scopes: []storage.Scope{scope}, Env: env})
	fatal(t, err)
	return c.ID, secret
}

// play has all players play, many at a time: they wait for the disk, not for the
// processor.
func (m *matrix) play(t *testing.T, fn func(t *testing.T, x *player)) {
	next := make(chan *player)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for x := range next {
				t.Run(x.point.String(), func(t *testing.T) { fn(t, x) })
			}
		})
	}
	for _, x := range m.players {
		next <- x
	}
	close(next)
	all.Wait()
}

// row gives a row its place in the table.
func (m *matrix) row(name string) {
	for m.results[name] != nil {
		name += " (again)"
	}
	m.results[name] = map[point]string{}
	m.order = append(m.order, name)
}

// networks is how many networks players have come from.
var networks atomic.Uint32

// dial connects from a network in which nobody has failed yet. // AC-12
func (x *player) dial(t *testing.T, door string) *peer {
	t.Helper()
	n := networks.Add(1)
	return dialFrom(t, x.m.p, door, net.IPv4(127, byte(100+n/250), byte(n%250), 1))
}

// note keeps what a row brought a player: what it heard, and the events that the
// server wrote of it.
func (x *player) note(t *testing.T, row string, heard []string) {
	t.Helper()
	var b strings.Builder
	for _, line := range heard {
		fmt.Fprintf(&b, "\t\t%s\n", x.plain(line))
	}
	for _, e := range x.events(t) {
		fmt.Fprintf(&b, "\t\t! %s\n", x.plain(e))
	}
	x.m.mu.Lock()
	defer x.m.mu.Unlock()
	for x.m.results[row][x.point] != "" {
		row += " (again)"
	}
	x.m.results[row][x.point] = b.String()
}

// events are those since the last look in which the player is the actor.
func (x *player) events(t *testing.T) (all []string) {
	t.Helper()
	found, err := x.m.p.Server().Store().Events(context.Background(), storage.EventQuery{From: x.seen, Credential: x.credential})
	fatal(t, err)
	for i := range found {
		e := &found[i]
		x.seen = e.Seq + 1
		if e.Actor.Kind == audit.Agent && e.Verb != audit.SessionEnd {
			all = append(all, describe(e))
		}
	}
	return all
}

// describe is an event on one line, without what differs from run to run.
func describe(e *audit.Event) string {
	words := []string{e.Verb.String(), e.Outcome.String()}
	for _, f := range slices.Concat(e.Fields, e.Personal) {
		switch f.Key {
		case audit.KeyTLS, audit.KeyEnvironment: // the same in all
		case audit.KeyTrace, audit.KeyMessageID, audit.KeySize, audit.KeySHA256:
			words = append(words, f.Key.String())
		default:
			words = append(words, f.Key.String()+"="+value(f.Value))
		}
	}
	return strings.Join(words, " ")
}

func value(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case []byte, uuid.UUID, time.Time:
		return "…"
	}
	return fmt.Sprint(v)
}

var differing = []struct {
	pattern *regexp.Regexp
	plain   string
}{
	{regexp.MustCompile(`\([0-9A-Za-z]{10,13}\)`), "(TRACE)"},
	{regexp.MustCompile(`uidvalidity=\d+`), "uidvalidity"},
	{regexp.MustCompile(`\brow\d+\b`), "FOLDER"},
	{regexp.MustCompile(`(UIDVALIDITY|APPENDUID|COPYUID) \d+`), "$1 N"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "ID"},
}

// plain takes out of a line what differs from player to player.
func (x *player) plain(line string) string {
	line = strings.ReplaceAll(strings.ReplaceAll(line, x.address, "SELF"), x.m.p.Host, "HOST")
	for _, name := range domains {
		other := "OTHER"
		if name == x.domain() {
			other = "OWN"
		}
		line = strings.ReplaceAll(line, name, other)
	}
	return withoutTraces(line)
}

// fill puts the player's names into what it says.
func (x *player) fill(text string) string {
	return strings.NewReplacer("SELF", x.address, "AGENT", x.name, "TOKEN", x.token, "OWN", x.domain(), "OTHER", x.foreign()).Replace(text)
}

func (x *player) domain() string  { return domains[btoi(x.second)] }
func (x *player) foreign() string { return domains[1-btoi(x.second)] }

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// String is a point as tables write it: organization, environment, rights.
func (at point) String() string {
	s := []byte{'1', 'l'}
	if at.second {
		s[0] = '2'
	}
	if at.test {
		s[1] = 't'
	}
	for _, r := range scopes {
		if at.verbs&r.verb == 0 {
			r.letter = '-'
		}
		s = append(s, r.letter)
	}
	return string(s)
}

// golden compares what all rows brought with the table in testdata.
func (m *matrix) golden(t *testing.T, name, head string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n%s", head, legend)
	for _, row := range m.order {
		fmt.Fprintf(&b, "\n%s\n", row)
		for _, g := range groups(m.results[row]) {
			fmt.Fprintf(&b, "\t%s\n%s", strings.Join(g.patterns, " "), g.text)
		}
	}
	compareGolden(t, filepath.Join("testdata", "matrix", name), b.String())
}

// strangeNames are what a player names that is not its own: inboxes that exist, of its
// organization and of the other, live and test, and what nobody has.
var strangeNames = regexp.MustCompile(`(known|trial|nobody)@(OWN|OTHER|elsewhere.test)|Quarantine|nowhere`)

// indistinct insists that rows which differ in such a name alone are answered with the
// same bytes. // AC-5
func (m *matrix) indistinct(t *testing.T) {
	t.Helper()
	first := map[string]string{}
	for _, row := range m.order {
		family := strangeNames.ReplaceAllString(row, "NAME")
		if strings.Contains(row, "CREATE") || strings.Contains(row, "(again)") {
			continue
		}
		if first[family] == "" {
			first[family] = row
		}
		for at, text := range m.results[row] {
			if at.verbs == 0 {
				continue // some of the names are its own
			}
			if want := answers(m.results[first[family]][at]); answers(text) != want {
				t.Errorf("%s: %q:\n%s%q:\n%s", at, row, answers(text), first[family], want)
			}
		}
	}
}

// answers are the lines of a result that a client hears.
func answers(result string) string {
	var b strings.Builder
	for line := range strings.Lines(strangeNames.ReplaceAllString(result, "NAME")) {
		if !strings.HasPrefix(line, "\t\t!") {
			b.WriteString(line)
		}
	}
	return b.String()
}

const legend = `#
# Each row is what a client says. Under it stands who gets which answer, and behind "!" the events that this leaves. Who:
# the organization (1 or 2), the environment of inbox and credential (live or test), and the rights on the inbox (read,
# flag, append, delete, send), where "-" is a right that is missing and "*" whatever it may be. Without any right the
# login is refused. SELF is the player's own address, AGENT its name; OWN and OTHER are the domains of its organization and of the other; FOLDER is
# a mailbox with two messages, of which the second is marked as deleted.
`

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	row := ""
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d, in %q:\n- %s\n+ %s", i+1, row, a[i], b[i])
		}
		if a[i] != "" && a[i][0] != '\t' {
			row = a[i]
		}
	}
	return fmt.Sprintf("%d lines instead of %d", len(b), len(a))
}

// A group is the players to whom the same happened.
type group struct {
	patterns []string
	text     string
}

// groups puts the players of one row together by what happened.
func groups(results map[point]string) (all []group) {
	byText := map[string][]point{}
	for at, text := range results {
		byText[text] = append(byText[text], at)
	}
	for text, points := range byText {
		all = append(all, group{cover(points), text})
	}
	slices.SortFunc(all, func(a, b group) int { return strings.Compare(b.patterns[0], a.patterns[0]) })
	return all
}

// cover writes a set of points as few patterns: always the one next that has most
// of those that are left.
func cover(points []point) (patterns []string) {
	have, left := map[string]bool{}, map[string]bool{}
	for _, at := range points {
		have[at.String()], left[at.String()] = true, true
	}
	for len(left) > 0 {
		best, most := "", 0
		for _, pattern := range cubes {
			if n := covered(pattern.members, have, left); n > most {
				best, most = pattern.text, n
			}
		}
		for _, c := range cubes {
			if c.text == best {
				for _, s := range c.members {
					delete(left, s)
				}
			}
		}
		patterns = append(patterns, best)
	}
	return patterns
}

// covered is how many of left a pattern has, none when it has one that is not in have.
func covered(members []string, have, left map[string]bool) (n int) {
	for _, s := range members {
		if !have[s] {
			return 0
		}
		if left[s] {
			n++
		}
	}
	return n
}

type cube struct {
	text    string
	members []string
}

// cubes are all patterns, those with most stars first.
var cubes = func() []cube {
	all := []cube{{"", []string{""}}}
	for _, letters := range []string{"12", "lt", "r-", "f-", "a-", "d-", "s-"} {
		var next []cube
		for _, c := range all {
			for _, l := range letters + "*" {
				n := cube{text: c.text + string(l)}
				for _, m := range c.members {
					for _, x := range letters {
						if l == '*' || l == x {
							n.members = append(n.members, m+string(x))
						}
					}
				}
				next = append(next, n)
			}
		}
		all = next
	}
	slices.SortStableFunc(all, func(a, b cube) int { return len(b.members) - len(a.members) })
	return all
}()

// keys are those of a map literal in a source file of the server: its own list of
// commands.
func keys(t *testing.T, file, variable string) (all []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	fatal(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != variable {
			return true
		}
		for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
			key, err := strconv.Unquote(e.(*ast.KeyValueExpr).Key.(*ast.BasicLit).Value)
			fatal(t, err)
			all = append(all, key)
		}
		return false
	})
	if len(all) == 0 {
		t.Fatalf("%s: no commands in %s", file, variable)
	}
	return all
}

// allSaid insists that the rows have every command that the server knows.
func allSaid(t *testing.T, known []string, said map[string]bool) {
	t.Helper()
	for _, verb := range known {
		if !said[verb] {
			t.Errorf("no row of the table says %s", verb)
		}
	}
}
