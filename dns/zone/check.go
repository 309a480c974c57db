package zone

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/dkim"
	"postern/dns"
)

// Bounds of one check.
const (
	CheckTime = 10 * time.Second // all of it
	parallel  = 8                // questions at a time
)

// Checker asks the DNS what a domain publishes. It is safe for concurrent use.
type Checker struct {
	// Client asks the resolvers, and servers directly.
	Client *dns.Client
	// Port of authoritative servers; zero: 53.
	Port uint16
	// Private lets servers on loopback and private networks be asked, which a
	// stranger's zone may name.
	Private bool
}

// Finding is one record of the plan, as it stands in the DNS.
type Finding struct {
	Record          // as it should be: merged with what is there, where something else is
	State  State    //
	Found  []string // what stands there, in the form of Record.Value; an alias as "CNAME target"
	Hint   string   // what a person should do; empty when nothing
}

// Report is what a check found.
type Report struct {
	Domain   string
	Zone     string   // the zone that holds the domain's names; empty: not found
	Servers  []string // names of its servers
	Silent   []string // servers that did not answer, or not for the zone
	Provider Provider // who keeps the zone, as the servers' names tell
	Names    string   // who keeps the names, in the words of Facts.Names
	Proof    string   // "delegation" or "challenge" when ownership is proved by what was found
	Own      bool     // it is this server alone that says that the zone is here, as it has the one above too
	Signed   bool     // the zone is signed by DNSSEC
	Findings []Finding
}

// Good reports whether nothing is left to do.
func (r *Report) Good() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return !f.State.Good() })
}

// Check asks for every record of the plan that follows from the facts, of which
// Names is what it finds. It takes CheckTime at the most, and fails only when the
// facts make no plan, or the context is done: what cannot be asked is Unknown.
func (c *Checker) Check(ctx context.Context, f Facts) (Report, error) {
	bounded, cancel := context.WithTimeout(ctx, CheckTime)
	defer cancel()
	if err := f.normalize(); err != nil {
		return Report{}, err
	}
	k := c.begin(bounded, f)
	k.delegation(bounded)
	plan, err := Plan(k.facts)
	if err != nil {
		return Report{}, err
	}
	k.circumstances(bounded)
	k.findings(bounded, plan)
	return k.report, ctx.Err()
}

// check is one run of Check.
type check struct {
	walk
	facts    Facts
	at       authority // of the domain's names; no servers: not found
	report   Report
	scene    scene
	wildcard map[string]answers // by type: what stands at a name that nobody made

	seenMu sync.Mutex
	zones  map[string]authority // below the domain's own, by origin
	mute   map[string]bool      // servers that did not answer, for people
}

func (c *Checker) begin(ctx context.Context, f Facts) *check {
	k := &check{
		walk:  walk{client: c.Client, port: c.Port, private: c.Private, ours: f.Addresses, left: make(chan struct{}, maxQuestions)},
		facts: f, report: Report{Domain: f.Domain}, zones: map[string]authority{}, mute: map[string]bool{}, wildcard: map[string]answers{},
	}
	if k.port == 0 {
		k.port = 53
	}
	for range maxQuestions {
		k.left <- struct{}{}
	}
	if a, err := c.Client.LookupIP(ctx, f.Host); err == nil {
		for _, ip := range a.Records {
			k.scene.hosts = append(k.scene.hosts, ip.String())
		}
		if len(f.Addresses) == 0 {
			k.facts.Addresses, k.ours = a.Records, a.Records
		}
	}
	return k
}

// delegation finds who keeps the domain's names, and whether that proves something.
func (k *check) delegation(ctx context.Context) {
	f := &k.facts
	f.Names = ByHand
	at, err := k.find(ctx, f.Domain)
	if err != nil {
		return
	}
	k.at = at
	k.report.Zone, k.report.Servers, k.report.Provider = at.zone, at.names, ProviderOf(at.names)
	if ds, err := k.client.Lookup(ctx, at.zone, "DS"); err == nil && len(ds.Records) > 0 {
		k.report.Signed = true
	}
	switch {
	case at.zone == f.Domain && k.isOurs(ctx, at):
		f.Names, k.report.Proof, k.report.Own = Delegated, "delegation", at.own
	case k.delegatedKeys(ctx):
		f.Names = DKIMZone
	case k.aliasedKeys(ctx):
		f.Names = CNAME
	}
	k.report.Names = f.Names
}

// isOurs reports whether a zone is handed to this server and nobody else, and this
// server answers for it.
func (k *check) isOurs(ctx context.Context, at authority) bool {
	if len(at.names) != 1 || at.names[0] != k.facts.Host {
		return false
	}
	for _, s := range at.servers {
		if !slices.Contains(k.ours, s.addr.Addr()) {
			continue
		}
		if reply, err := k.ask(ctx, s, at.zone, "SOA"); err == nil && reply.Authoritative && len(reply.Answer) > 0 {
			return true
		}
	}
	return false
}

// delegatedKeys reports whether the names of DKIM keys are handed to this server.
func (k *check) delegatedKeys(ctx context.Context) bool {
	keys := "_domainkey." + k.facts.Domain
	at, err := k.descend(ctx, k.at, keys)
	if err != nil || at.zone != keys {
		return false
	}
	k.zones[keys] = at
	return k.isOurs(ctx, at)
}

// aliasedKeys reports whether all fixed selectors point into the zone of this
// server: any of them may be the next.
func (k *check) aliasedKeys(ctx context.Context) bool {
	fixed := fixedSelectors(k.facts)
	for _, selector := range fixed {
		if !k.aliased(ctx, dkim.RecordName(selector, k.facts.Domain), selector+"."+k.facts.Domain+"."+k.facts.Target) {
			return false
		}
	}
	return len(fixed) > 0
}

// aliased reports whether a server of the zone says that a name is an alias of another.
func (k *check) aliased(ctx context.Context, name, target string) bool {
	for _, s := range k.at.servers {
		if reply, err := k.ask(ctx, s, name, "CNAME"); err == nil && answered(reply, name, "CNAME").alias == target {
			return true
		}
	}
	return false
}

// circumstances asks for what several judgements take into account.
func (k *check) circumstances(ctx context.Context) {
	k.scene.facts = k.facts
	var all sync.WaitGroup
	all.Go(func() {
		for _, a := range k.witnesses(ctx, k.facts.Domain, "MX").all() {
			k.scene.mx = k.scene.mx || judgeMX(seen{values: a.values}, scene{facts: k.facts}).state == OK
		}
	})
	all.Go(func() { k.scene.parents = k.closestCAA(ctx) })
	for _, typ := range []string{"TXT", "CNAME", "SRV"} {
		all.Go(func() { k.probe(ctx, typ) })
	}
	all.Wait()
}

// probe asks for a name that nobody made: what answers for it answers for all.
func (k *check) probe(ctx context.Context, typ string) {
	name := "_postern-" + strings.ToLower(rand.Text()[:12]) + "." + k.facts.Domain
	for _, a := range k.witnesses(ctx, name, typ).all() {
		if !a.empty() {
			k.seenMu.Lock()
			k.wildcard[typ] = a
			k.seenMu.Unlock()
		}
	}
}

// closestCAA are the CAA records of the closest name above the domain that has any
// (RFC 8659, section 3).
func (k *check) closestCAA(ctx context.Context) []string {
	if len(k.facts.Authorities) == 0 {
		return nil
	}
	for name, n := parent(k.facts.Domain), 0; name != "" && n < maxSteps; name, n = parent(name), n+1 {
		if a, err := k.client.Lookup(ctx, name, "CAA"); err == nil {
			return a.Records
		} else if !errors.Is(err, dns.ErrNotFound) {
			break
		}
	}
	return nil
}

// findings asks for every record of the plan, several at a time.
func (k *check) findings(ctx context.Context, plan []Record) {
	out := make([]Finding, len(plan))
	turns := make(chan struct{}, parallel)
	var all sync.WaitGroup
	for i, r := range plan {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			out[i] = k.finding(ctx, r)
		})
	}
	all.Wait()
	k.report.Findings = out
	if k.report.Proof == "" && slices.ContainsFunc(out, func(f Finding) bool { return f.Purpose == PurposeChallenge && f.State == OK }) {
		k.report.Proof = "challenge"
	}
	for name := range k.mute {
		k.report.Silent = append(k.report.Silent, name)
	}
	slices.Sort(k.report.Silent)
}

// finding asks for one record and judges it.
func (k *check) finding(ctx context.Context, r Record) Finding {
	w := k.witnesses(ctx, r.Name, r.Type)
	if r.Purpose == PurposeDelegation && r.Type == "NS" {
		w = k.delegationWitness(r.Name)
	}
	about := k.scene
	if r.Purpose == PurposeSPF {
		about.lookups = k.spfLookups(ctx, w)
	}
	return k.combine(r, w, about)
}

// delegationWitness is what the zone above says of a delegation, which the walk has
// found.
func (k *check) delegationWitness(name string) witnesses {
	at := k.at
	if other, ok := k.zones[name]; ok {
		at = other
	}
	if at.zone != name {
		return witnesses{direct: []answers{{}}}
	}
	return witnesses{direct: []answers{{values: at.names}}}
}

// spfLookups counts the look-ups of the record that stands there, or would when it
// is merged.
func (k *check) spfLookups(ctx context.Context, w witnesses) int {
	ask := func(ctx context.Context, name string) ([]string, error) {
		a, err := k.client.LookupTXT(ctx, name)
		return a.Records, err
	}
	most := 0
	for _, a := range w.all() {
		var records []spf
		for _, v := range a.values {
			if isSPF(v) {
				r, _ := parseSPF(v)
				records = append(records, r)
			}
		}
		if len(records) > 0 {
			return mergeSPF(records).admit(k.scene.sender()).lookups(ctx, ask)
		}
	}
	return most
}

// combine makes one finding of what all witnesses say.
func (k *check) combine(r Record, w witnesses, about scene) Finding {
	var direct []judgement
	worst := -1
	for i, a := range w.direct {
		j := judge(r, k.seen(r, a), about)
		direct = append(direct, j)
		if !j.state.Good() && (worst < 0 || severity(j.state) > severity(direct[worst].state)) {
			worst = i
		}
	}
	var cached *judgement
	if w.resolver != nil {
		j := judge(r, k.seen(r, *w.resolver), about)
		cached = &j
	}
	good := slices.ContainsFunc(direct, func(j judgement) bool { return j.state == OK })
	switch {
	case len(direct) == 0 && cached == nil:
		return Finding{Record: r, State: Unknown, Hint: "no name server could be asked: the state is looked at again by itself"}
	case len(direct) == 0:
		return finish(r, *cached, *w.resolver)
	case worst >= 0 && good:
		f := finish(r, direct[worst], w.direct[worst])
		f.State, f.Hint = Propagating, "some servers of the zone have it and others not yet: wait"
		return f
	case worst < 0 && good && cached != nil && cached.state != OK:
		f := finish(r, *cached, *w.resolver)
		f.State, f.Hint = Propagating, "the servers of the zone have it; resolvers remember what was there before: wait"
		return f
	case worst < 0:
		return finish(r, direct[0], w.direct[0])
	}
	return finish(r, direct[worst], w.direct[worst])
}

// severity orders states by how much a person should know of them.
func severity(s State) int {
	return slices.Index([]State{OK, Absent, Unknown, Propagating, Missing, Wrong, Conflict}, s)
}

func finish(r Record, j judgement, a answers) Finding {
	if j.expected != "" {
		r.Value = j.expected
	}
	f := Finding{Record: r, State: j.state, Found: a.relevant(r), Hint: j.hint}
	if j.state == OK {
		f.Hint = ""
	}
	return f
}

// seen is what one witness says, for a judgement.
func (k *check) seen(r Record, a answers) seen {
	s := seen{values: a.values, alias: a.alias}
	if wild, ok := k.wildcard[r.Type]; ok && r.Name != k.facts.Domain && !a.empty() {
		s.wildcard = slices.Equal(wild.values, a.values) && (wild.alias == "") == (a.alias == "") && (r.Type != "CNAME" || wild.alias == a.alias)
	}
	return s
}
