package servertest_test

import (
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
)

// A race measures whether a client can tell two questions by how long the answer
// takes. Both are asked in turns, in random order, and between them the second once
// more with a pause: a difference that must show, or the machine is too busy today
// for the test to mean anything.
type race struct {
	ask   func(question int) time.Duration // 0 or 1
	pairs int
}

// Bounds of a usable difference. Rank is how far the probability that one of the two
// answers takes longer is from a half; five standard errors, where there are few
// pairs.
const (
	usableRank  = 0.05
	usableShare = 0.03 // of the time in the middle
	control     = 0.20 // of the time in the middle
)

// run asks, and fails when there is a usable difference.
func (r race) run(t *testing.T) {
	t.Helper()
	var taken [3][]time.Duration
	for i := range 100 { // the first answers are slow
		taken[i%2] = append(taken[i%2], r.ask(i%2))
	}
	pause := time.Duration(control * float64(middle(taken[0])))
	taken = [3][]time.Duration{}
	for range r.pairs {
		for _, i := range rand.Perm(3) {
			took := r.ask(min(i, 1))
			if i == 2 {
				took += pause
			}
			taken[i] = append(taken[i], took)
		}
	}
	first, second := middle(taken[0]), middle(taken[1])
	share := math.Abs(float64(first-second)) / float64(first)
	rank, seen := longer(taken[1], taken[0]), longer(taken[2], taken[0])
	t.Logf("%v and %v in the middle, %.1f%% apart; the second is longer with probability %.3f, the control with %.3f", first, second, 100*share, rank, seen)
	usable := max(usableRank, 5/math.Sqrt(6*float64(r.pairs)))
	switch {
	case math.Abs(rank-0.5) > usable && share > usableShare:
		t.Errorf("the answers can be told apart by time")
	case seen < 0.5+1.3*usable:
		t.Skipf("the machine is too busy: a difference of %.0f%% does not show", 100*control)
	}
}

// middle is the median of all.
func middle(all []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

// longer is the probability that one of a is longer than one of b: the area under
// the curve of a test that asks once (Mann and Whitney's U by the product of counts).
func longer(a, b []time.Duration) float64 {
	b = slices.Sorted(slices.Values(b))
	below := 0.0
	for _, x := range a {
		low, _ := slices.BinarySearch(b, x)
		high, _ := slices.BinarySearch(b, x+1)
		below += float64(low+high) / 2
	}
	return below / float64(len(a)) / float64(len(b))
}

// TestAC5_TimeTellsNothing: what is another's and what does not exist take the same
// time, wherever an agent can ask.
func TestAC5_TimeTellsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of questions")
	}
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk"}})
	neighbour(t, p)
	unlimited(t, p, p.Agents["scout"])
	for name, two := range map[string][2]string{
		"the same organization": {"clerk@alpha.test", "nobod@alpha.test"},
		"another organization":  {"rival@beta.test", "nobod@beta.test"},
		"a domain or none":      {"nobod@beta.test", "nobod@zeta.test"},
	} {
		t.Run("LOGIN/"+name, func(t *testing.T) { loginRace(t, p, two).run(t) })
		if name != "a domain or none" {
			t.Run("RCPT/"+name, func(t *testing.T) { rcptRace(t, p, two).run(t) })
			t.Run("DATA/"+name, func(t *testing.T) { dataRace(t, p, two).run(t) })
		}
	}
	sender := restricted(t, p, "scout", storage.Send)
	for name, two := range map[string][2]string{"without the right": {"INBOX", "nowher"}, "hidden": {"Quarantine", "Quarrelsom"}, "a name": {"clerk@alpha.test", "nobod@alpha.test"}} {
		token := p.Agents["scout"].Token
		if name == "without the right" {
			token = sender
		}
		t.Run("STATUS/"+name, func(t *testing.T) { statusRace(t, p, token, two).run(t) })
	}
}

// neighbour makes a second organization with a domain and an inbox.
func neighbour(t *testing.T, p *servertest.Postern) storage.Organization {
	t.Helper()
	dir := p.Server().Directory()
	org, err := dir.CreateOrganization(t.Context(), storage.System, "second")
	fatal(t, err)
	_, _, err = dir.AddDomain(t.Context(), storage.System, org.ID, "beta.test", directory.AssumeOwned{Reason: "it is the test's own"})
	fatal(t, err)
	_, err = dir.CreateInbox(t.Context(), storage.System, org.ID, "rival@beta.test", storage.Live)
	fatal(t, err)
	return org
}

// restricted gives an agent one credential more, for its own inbox.
func restricted(t *testing.T, p *servertest.Postern, agent string, verbs storage.Verbs) string {
	t.Helper()
	a := p.Agents[agent]
	_, secret, err := p.Server().Directory().CreateCredential(t.Context(), storage.System, p.Org.ID, directory.CredentialSpec{
		Agent: a.Agent.ID, Scopes: []storage.Scope{{Inbox: a.Inbox.ID, Verbs: verbs}}})
	fatal(t, err)
	return secret
}

// fresh is an address in a network that has not connected yet.
func fresh() net.IP {
	n := networks.Add(1)
	return net.IPv4(127, byte(100+n/250), byte(n%250), 1)
}

// loginRace logs in with a token of scout's, under names that it does not open. Five
// failures end a connection, and twenty slow a network down.
func loginRace(t *testing.T, p *servertest.Postern, two [2]string) race {
	var c *peer
	var from net.IP
	tries := 0
	return race{func(question int) time.Duration {
		if tries%16 == 0 {
			from = fresh()
		}
		if tries%4 == 0 {
			if c != nil {
				c.conn.Close()
			}
			c = dialFrom(t, p, "imaps", from)
			c.line()
		}
		tries++
		return timed(t, c, "t LOGIN "+two[question]+" "+p.Agents["scout"].Token, "t NO [AUTHENTICATIONFAILED]")
	}, 2000}
}

// timed says a command and measures the time to an answer of one line.
func timed(t *testing.T, c *peer, command, answer string) time.Duration {
	began := time.Now()
	c.say(command)
	got := c.line()
	took := time.Since(began)
	if !strings.HasPrefix(got, answer) {
		t.Fatalf("%s: %s", command, got)
	}
	return took
}

// rcptRace names recipients, a few in each message. Very many commands without a
// message end a session.
func rcptRace(t *testing.T, p *servertest.Postern, two [2]string) race {
	var c *peer
	tries := 0
	return race{func(question int) time.Duration {
		if tries%2000 == 0 {
			c = dial(t, p, "submissions")
			c.reply()
			c.command("EHLO client.test")
			c.command("AUTH PLAIN " + plain(p.Agents["scout"]))
		}
		if tries%50 == 0 {
			c.command("RSET")
			c.command("MAIL FROM:<scout@alpha.test>")
		}
		tries++
		return timed(t, c, "RCPT TO:<"+two[question]+">", "250 2.1.5 Recipient OK")
	}, 2000}
}

// dataRace sends whole messages, and measures how long the end of the data waits for
// its answer.
func dataRace(t *testing.T, p *servertest.Postern, two [2]string) race {
	c := submitter(t, p, "scout")
	return race{func(question int) time.Duration {
		for _, command := range []string{"MAIL FROM:<scout@alpha.test>", "RCPT TO:<" + two[question] + ">", "DATA"} {
			c.command(command)
		}
		return timed(t, c, "From: scout@alpha.test\r\nSubject: x\r\n\r\nx\r\n.", "250 2.0.0 OK id=")
	}, 500}
}

// statusRace asks for the counters of mailboxes.
func statusRace(t *testing.T, p *servertest.Postern, token string, two [2]string) race {
	c := dial(t, p, "imaps")
	c.line()
	c.want("OK", "LOGIN scout@alpha.test "+token)
	return race{func(question int) time.Duration {
		return timed(t, c, "t STATUS "+two[question]+" (MESSAGES)", "t NO [NO")
	}, 2000}
}
