package setup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/dns"
)

// FindingState says how one look ended.
type FindingState string

// The closed list.
const (
	Good    FindingState = "ok"
	Warn    FindingState = "warn"    // it works, and others will think less of it
	Bad     FindingState = "bad"     // mail does not come, or does not leave
	Unknown FindingState = "unknown" // nobody was asked, or nobody answered
)

// Finding is one thing that was looked at from the network's side.
type Finding struct {
	Name     string       `json:"check"` // address, reverse, outgoing, block-lists
	State    FindingState `json:"state"`
	Text     string       `json:"text"` // one sentence
	Found    string       `json:"found,omitempty"`
	Expected string       `json:"expected,omitempty"`
	Fix      string       `json:"fix,omitempty"` // what to do
}

// Looked is what was found, and when.
type Looked struct {
	At       time.Time
	Findings []Finding

	host      string // that it was asked about
	addresses []string
}

// lookTime bounds a look, and dialTime one attempt to reach somebody's port 25.
const (
	lookTime = 15 * time.Second
	dialTime = 5 * time.Second
)

// blockLists are asked where somebody agreed: lists that many receivers ask, too.
var blockLists = []string{"zen.spamhaus.org", "bl.spamcop.net", "psbl.surriel.com"}

// Look asks the network whether the server's name leads here and back, whether its mail
// leaves, and whether block lists name it. The last two are asked only where somebody
// agreed. What was found is kept until the next look.
func (g *Guide) Look(ctx context.Context, org uuid.UUID) (Looked, error) {
	state, err := g.State(ctx, org)
	if err != nil {
		return Looked{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	ours := g.addresses(&state)
	l := Looked{At: g.now().UTC(), Findings: []Finding{g.lookAddress(ctx, state.Host, ours)}}
	l.Findings = append(l.Findings, g.lookReverse(ctx, state.Host, ours), g.lookOutgoing(ctx, state.Setup.Probe), g.lookLists(ctx, state.Setup.Lists, ours))
	l.host, l.addresses = state.Host, state.Setup.Addresses
	g.mu.Lock()
	g.looked = l
	g.mu.Unlock()
	return l, nil
}

// Looked is what the last look found; zero before the first.
func (g *Guide) Looked() Looked {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.looked
}

// addresses are those of this server: as somebody said, else as the machine knows.
func (g *Guide) addresses(state *State) (all []netip.Addr) {
	known := state.Setup.Addresses
	if len(known) == 0 && g.o.Addresses != nil {
		known = g.o.Addresses()
	}
	for _, text := range known {
		if a, err := netip.ParseAddr(text); err == nil {
			all = append(all, a)
		}
	}
	return all
}

func (g *Guide) lookAddress(ctx context.Context, host string, ours []netip.Addr) Finding {
	f := Finding{Name: "address", State: Unknown, Expected: joined(ours)}
	switch {
	case host == "":
		f.Text = "The server has no name yet."
		return f
	case len(ours) == 0:
		f.Text = "This machine knows no address under which others reach it."
		f.Fix = "Say under which addresses others reach this server."
		return f
	}
	got, err := g.o.Resolver.LookupIP(ctx, host)
	f.Found = joined(got.Records)
	switch {
	case errors.Is(err, dns.ErrNotFound):
		f.State, f.Text, f.Fix = Bad, host+" leads nowhere.", recordFix(host, ours)
	case err != nil:
		f.Text, f.Fix = "Nobody could say where "+host+" leads.", "Look whether this machine can ask its resolvers (dns.servers, /etc/resolv.conf)."
	case slices.ContainsFunc(got.Records, func(a netip.Addr) bool { return !slices.Contains(ours, a.Unmap()) }):
		f.State, f.Text, f.Fix = Bad, host+" leads elsewhere.", recordFix(host, ours)
	default:
		f.State, f.Text = Good, host+" leads here."
	}
	return f
}

// recordFix is the record that a person adds.
func recordFix(host string, ours []netip.Addr) string {
	var all []string
	for _, a := range ours {
		kind := "AAAA"
		if a.Is4() {
			kind = "A"
		}
		all = append(all, fmt.Sprintf("%s. %s %s", host, kind, a))
	}
	return "Publish: " + strings.Join(all, ", ")
}

func (g *Guide) lookReverse(ctx context.Context, host string, ours []netip.Addr) Finding {
	f := Finding{Name: "reverse", State: Unknown, Expected: host}
	if host == "" || len(ours) == 0 {
		f.Text = "Without a name and an address there is nothing to look up."
		return f
	}
	for _, a := range ours {
		names, err := g.o.Resolver.LookupPTR(ctx, a)
		if err != nil && !errors.Is(err, dns.ErrNotFound) {
			f.Text = "Nobody could say what the name of " + a.String() + " is."
			return f
		}
		if !slices.ContainsFunc(names.Records, func(n string) bool { return strings.EqualFold(strings.TrimSuffix(n, "."), host) }) {
			f.State, f.Found = Warn, strings.Join(names.Records, ", ")
			f.Text = "The reverse name of " + a.String() + " is not " + host + "; many receivers refuse such mail."
			f.Fix = "Ask who gave you the address (the hosting company) to set its reverse name to " + host + "."
			return f
		}
	}
	f.State, f.Found, f.Text = Good, host, "Addresses lead back to the name."
	return f
}

// lookOutgoing connects to the mail server of a domain, reads its greeting and leaves.
func (g *Guide) lookOutgoing(ctx context.Context, probe string) Finding {
	f := Finding{Name: "outgoing", State: Unknown}
	if probe == "" {
		f.Text = "Whether port 25 leads out was not tried: nobody named a domain to try it with."
		return f
	}
	f.Expected = "220 from a mail server of " + probe
	mx, err := g.o.Resolver.LookupMX(ctx, probe)
	if err != nil {
		f.Text = "Nobody could say which server receives mail for " + probe + "."
		return f
	}
	at, err := g.o.Resolver.LookupIP(ctx, mx.Records[0].Host)
	if err != nil {
		f.Text = "Nobody could say where " + mx.Records[0].Host + " is."
		return f
	}
	greeting, err := greets(ctx, net.JoinHostPort(at.Records[0].String(), strconv.Itoa(g.o.Port)))
	f.Found = greeting
	switch {
	case err != nil:
		f.State, f.Text = Bad, "Port 25 does not lead out: mail cannot leave this machine."
		f.Found = err.Error()
		f.Fix = "Many hosting companies close port 25 until somebody asks. Or send through another server: relay.smarthost."
	case !strings.HasPrefix(greeting, "220"):
		f.State, f.Text = Warn, mx.Records[0].Host+" answers, and does not want mail from here."
	default:
		f.State, f.Text = Good, "Port 25 leads out."
	}
	return f
}

// maxGreeting bounds what is read of a stranger's first line.
const maxGreeting = 512

// greets connects to a mail server and reads its first line.
func greets(ctx context.Context, addr string) (string, error) {
	c, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(dialTime))
	line, err := bufio.NewReader(io.LimitReader(c, maxGreeting)).ReadString('\n')
	if line == "" {
		return "", err
	}
	io.WriteString(c, "QUIT\r\n") // RFC 5321, section 4.1.1.10
	return strings.ToValidUTF8(strings.TrimSpace(line), "?"), nil
}

// lookLists asks block lists (RFC 5782) about the addresses of IPv4.
func (g *Guide) lookLists(ctx context.Context, agreed bool, ours []netip.Addr) Finding {
	f := Finding{Name: "block-lists", State: Unknown, Expected: "on none of " + strconv.Itoa(len(blockLists))}
	if !agreed {
		f.Text = "Block lists were not asked: nobody agreed to it."
		return f
	}
	var on []string
	asked := 0
	for _, a := range ours {
		if !a.Is4() {
			continue
		}
		b := a.As4()
		name := fmt.Sprintf("%d.%d.%d.%d.", b[3], b[2], b[1], b[0])
		for _, list := range blockLists {
			got, err := g.o.Resolver.LookupIP(ctx, name+list)
			switch {
			case errors.Is(err, dns.ErrNotFound):
				asked++
			case err == nil && !refusesToSay(got.Records[0]):
				asked++
				on = append(on, list)
			}
		}
	}
	switch {
	case len(on) > 0:
		f.State, f.Found = Warn, strings.Join(on, ", ")
		f.Text = "A block list names this server: some receivers refuse its mail."
		f.Fix = "Ask the list why, on its web site, and to take the address off."
	case asked == 0:
		f.Text = "No block list answered: most refuse who asks by a public resolver."
	default:
		f.State, f.Text = Good, "On no block list that answered."
	}
	return f
}

// refusesToSay reports whether a list's answer is about who asks (127.255.255.0/24) and
// not about whom.
func refusesToSay(a netip.Addr) bool {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 255, 255, 0}), 24).Contains(a.Unmap())
}

func joined(all []netip.Addr) string {
	var text []string
	for _, a := range all {
		text = append(text, a.Unmap().String())
	}
	return strings.Join(text, ", ")
}
