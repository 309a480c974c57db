package zone

import (
	"fmt"
	"slices"
	"strings"
)

// State says how a record stands in the DNS.
type State string

// The states.
const (
	OK          State = "ok"
	Missing     State = "missing"     // there is no such record
	Wrong       State = "wrong"       // there is one, and it does not do what it should
	Conflict    State = "conflict"    // something else stands in the way: a person must choose
	Propagating State = "propagating" // some servers have it, and the others will
	Absent      State = "optional"    // there is no such record, and mail works without
	Unknown     State = "unknown"     // nobody could be asked
)

// Good reports whether nothing is to be done about a record in this state.
func (s State) Good() bool { return s == OK || s == Absent }

// seen is what stands at the name of a record.
type seen struct {
	values   []string // of the record's type, in the form of Record.Value
	alias    string   // where a CNAME at the name leads to; empty: there is none
	wildcard bool     // the same stands at names that nobody made
}

// scene is what a judgement takes into account beside the record.
type scene struct {
	facts   Facts
	mx      bool     // the domain's mail comes here already
	hosts   []string // addresses of the host
	lookups int      // of the SPF record that is proposed; 0: not counted
	parents []string // CAA records of the closest name above the domain that has any
}

// judgement is what was found of one record, and what should be there instead.
type judgement struct {
	state    State
	expected string // where it differs from the plan: merged with what is there
	hint     string // for a person: what to do, in one sentence or two
}

func ok() judgement { return judgement{state: OK} }

func no(state State, hint string, args ...any) judgement {
	return judgement{state: state, hint: fmt.Sprintf(hint, args...)}
}

// judge reads what stands in the DNS as those do whom it is for.
func judge(r Record, s seen, about scene) judgement {
	if apexAlias := s.alias != "" && r.Name == about.facts.Domain; apexAlias {
		// RFC 1034, section 3.6.2: beside a CNAME there is nothing else.
		return no(Conflict, "%s is an alias (CNAME) of %s, and an alias has no records of its own: replace the alias by the address records that it leads to", r.Name, s.alias)
	}
	j := judgeType(r, s, about)
	switch {
	case s.wildcard && !j.state.Good():
		return judgement{state: absent(r), expected: j.expected,
			hint: "what was found comes from a wildcard record (*): make a record of exactly this name, which takes precedence"}
	case j.state == Missing:
		j.state = absent(r)
	}
	return j
}

// absent is the state of a record that is not there.
func absent(r Record) State {
	if r.Group == Optional {
		return Absent
	}
	return Missing
}

func judgeType(r Record, s seen, about scene) judgement {
	switch r.Purpose {
	case PurposeMX:
		return judgeMX(s, about)
	case PurposeSPF:
		return judgeSPF(s, about)
	case PurposeDKIM:
		return judgeDKIM(r, s)
	case PurposeDMARC:
		return judgeDMARC(s, about.facts)
	case PurposeMTASTS:
		return judgeMTASTS(r, s)
	case PurposeTLSRPT:
		return judgeTLSRPT(r, s, about.facts)
	case PurposeCAA:
		return judgeCAA(r, s, about)
	case PurposeDelegation:
		return judgeDelegation(r, s)
	case PurposeMTASTSHost, PurposeAutoconfig, PurposeAutodiscover:
		return judgeAlias(r, s, about)
	}
	return judgePresent(r, s)
}

// judgePresent asks that the record is there, whatever else is.
func judgePresent(r Record, s seen) judgement {
	same := func(v string) bool { return strings.EqualFold(v, r.Value) }
	if r.Type == "TXT" {
		same = func(v string) bool { return strings.TrimSpace(v) == r.Value }
	}
	switch {
	case slices.ContainsFunc(s.values, same):
		return ok()
	case len(s.values) == 0:
		return no(Missing, "make this record")
	case r.Purpose == PurposePTR:
		return no(Wrong, "whoever gave you the address sets its reverse name: ask for %s", r.Value)
	case r.Purpose == PurposeHost:
		return no(Wrong, "the name leads elsewhere: replace it, or say the addresses of this server in its configuration (addresses)")
	case r.Purpose == PurposeTLSA:
		return no(Wrong, "senders that use DANE refuse the certificate of this server: replace the record")
	}
	return no(Wrong, "replace the record by this one")
}

func judgeMX(s seen, about scene) judgement {
	var here bool
	var others []string
	for _, v := range s.values {
		_, host, _ := strings.Cut(v, " ")
		switch {
		case host == about.facts.Host:
			here = true
		case host == ".":
			return no(Conflict, "the domain says that it takes no mail (a null MX): replace it by this record")
		default:
			others = append(others, host)
		}
	}
	switch {
	case here && len(others) == 0:
		return ok()
	case here:
		return no(Conflict, "some mail goes to %s: remove what is not this server, unless it hands the mail on to here", list(others))
	case len(others) > 0:
		return no(Conflict, "mail goes to %s: when you are ready to receive it here, replace all MX records by this one; until then the domain sends, and receives what is sent to this server", list(others))
	}
	return no(Missing, "make this record; mail finds the domain once it is there")
}

// list names some of several things.
func list(names []string) string {
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + " and others"
	}
	return strings.Join(names, " and ")
}

func judgeSPF(s seen, about scene) judgement {
	who := about.sender()
	var records []spf
	var bad error
	for _, v := range s.values {
		if isSPF(v) {
			r, err := parseSPF(v)
			if err != nil {
				bad = err
			}
			records = append(records, r)
		}
	}
	if len(records) == 0 {
		return no(Missing, "make this record")
	}
	merged := mergeSPF(records)
	j := judgement{state: Wrong, expected: merged.admit(who).String()}
	everybody := merged.all() >= 0 && merged.terms[merged.all()].qualifier == '+'
	switch {
	case len(records) > 1:
		j.state, j.hint = Conflict, fmt.Sprintf("there are %d SPF records, and receivers then take none: replace them all by this one", len(records))
	case bad != nil:
		j.hint = fmt.Sprintf("receivers cannot read the record (%v): replace it by this one", bad)
	case everybody:
		j.hint = "the record lets everybody send for the domain (+all): replace it by this one, which keeps the senders that it names"
	case !merged.permits(who):
		j.hint = "the record does not let this server send: replace it by this one, which keeps the other senders; never make a second one"
	case about.lookups > maxSPFLookups:
		j.expected, j.hint = "", fmt.Sprintf("receivers stop after %d look-ups and this record needs more: take out includes of services that you do not use", maxSPFLookups)
	default:
		return ok()
	}
	if j.expected != "" && about.lookups > maxSPFLookups {
		j.hint += fmt.Sprintf("; it needs more than %d look-ups, after which receivers stop: take out includes of services that you do not use", maxSPFLookups)
	}
	return j
}

// sender is this server, as an SPF record speaks of it.
func (about scene) sender() sender {
	f := about.facts
	return sender{domain: f.Domain, host: f.Host, addresses: f.Addresses, mx: about.mx}
}

func judgeDKIM(r Record, s seen) judgement {
	want, _ := parseTags(r.Value)
	var keys []string
	for _, v := range s.values {
		if t, err := parseTags(v); err == nil && t.has("p") {
			keys = append(keys, v)
		}
	}
	if len(keys) == 0 && len(s.values) > 0 {
		return no(Wrong, "what stands there is no DKIM key: replace it by this record")
	}
	switch len(keys) {
	case 0:
		return no(Missing, "make this record")
	case 1:
	default:
		return no(Conflict, "there are %d keys under one selector, and receivers take any of them: leave this one only", len(keys)) // RFC 6376, section 3.6.2.2
	}
	have, _ := parseTags(keys[0])
	kind := have.get("k")
	if kind == "" {
		kind = "rsa" // RFC 6376, section 3.6.1
	}
	switch found, wanted := noSpace(have.get("p")), noSpace(want.get("p")); {
	case found == wanted && kind == want.get("k"):
		return ok()
	case found == "":
		return no(Wrong, "the key is revoked (p= is empty): replace the record by this one")
	case wanted == "":
		return no(Wrong, "the key is not to be believed any more: replace the record by this one, which revokes it")
	case found != "" && strings.HasPrefix(wanted, found):
		return no(Wrong, "the key is cut off at its end: paste the whole text, in strings of at most 255 characters where the form asks for that")
	}
	return no(Wrong, "it is another key: replace the record by this one")
}

func noSpace(s string) string { return strings.Join(strings.Fields(s), "") }

// strictness is the order of DMARC policies.
func strictness(policy string) int {
	return slices.Index([]string{"none", "quarantine", "reject"}, strings.ToLower(policy))
}

func judgeDMARC(s seen, f Facts) judgement {
	var records []string
	for _, v := range s.values {
		if version, _, _ := strings.Cut(v, ";"); noSpace(version) == "v=DMARC1" {
			records = append(records, v)
		}
	}
	switch len(records) {
	case 0:
		return no(Missing, "make this record")
	case 1:
	default:
		return no(Conflict, "there are %d DMARC records, and receivers then take none: leave one", len(records)) // RFC 7489, section 6.6.3
	}
	have, err := parseTags(records[0])
	mailto := "mailto:" + f.Reports
	silent := f.Reports != "" && !asks(have.get("rua"), mailto)
	found := strictness(have.get("p"))
	if err != nil || found < 0 {
		return no(Wrong, "receivers cannot read the record: replace it by this one")
	}
	if found >= strictness(f.DMARC) && !silent {
		return ok()
	}
	j := judgement{state: Wrong}
	if found < strictness(f.DMARC) {
		have = have.set("p", f.DMARC)
		j.hint = "the policy asks for less than was decided here (postern policy show): replace the record by this one"
	}
	if silent {
		have = have.set("rua", strings.Join(append(addresses(have.get("rua")), mailto), ","))
		if j.hint == "" {
			j.hint = "reports do not come here, so that nobody sees what a stricter policy would do: replace the record by this one"
		}
	}
	j.expected = have.String()
	return j
}

func judgeMTASTS(r Record, s seen) judgement {
	want, _ := parseTags(r.Value)
	var records []tags
	for _, v := range s.values {
		if t, err := parseTags(v); err == nil && t.get("v") == "STSv1" {
			records = append(records, t)
		}
	}
	switch {
	case len(records) == 0 && len(s.values) > 0:
		return no(Wrong, "what stands there is no MTA-STS record: replace it by this one")
	case len(records) == 0:
		return no(Missing, "make this record")
	case len(records) > 1:
		return no(Conflict, "there are %d MTA-STS records, and senders then take none: leave this one", len(records)) // RFC 8461, section 3.1
	case records[0].get("id") != want.get("id"):
		return no(Wrong, "the policy is another one since: with this id senders fetch it anew")
	}
	return ok()
}

func judgeTLSRPT(r Record, s seen, f Facts) judgement {
	var records []tags
	for _, v := range s.values {
		if t, err := parseTags(v); err == nil && t.get("v") == "TLSRPTv1" {
			records = append(records, t)
		}
	}
	mailto := "mailto:" + f.Reports
	switch {
	case len(records) == 0 && len(s.values) > 0:
		return no(Wrong, "what stands there is no record for TLS reports: replace it by this one")
	case len(records) == 0:
		return no(Missing, "make this record")
	case len(records) > 1:
		return no(Conflict, "there are %d records for TLS reports, and senders then take none: leave one", len(records)) // RFC 8460, section 3
	case !asks(records[0].get("rua"), mailto):
		t := records[0]
		t = t.set("rua", strings.Join(append(addresses(t.get("rua")), mailto), ","))
		return judgement{state: Wrong, expected: t.String(), hint: "reports do not come here: replace the record by this one"}
	}
	return ok()
}

// judgeCAA: with any issue property at the name or the closest one above that has
// CAA records, only those that are named may issue (RFC 8659, section 3).
func judgeCAA(r Record, s seen, about scene) judgement {
	values := s.values
	if len(values) == 0 {
		values = about.parents
	}
	restricted := false
	for _, v := range values {
		_, property, _ := strings.Cut(v, " ")
		name, value, _ := strings.Cut(property, " ")
		if name != "issue" {
			continue
		}
		restricted = true
		ca, _, _ := strings.Cut(strings.Trim(value, `"`), ";")
		if strings.EqualFold(`0 issue "`+strings.TrimSpace(ca)+`"`, r.Value) {
			return ok()
		}
	}
	if restricted {
		return no(Conflict, "this authority may not issue certificates for the domain: add this record beside those that are there")
	}
	return no(Missing, "make this record if only this authority is to issue certificates for the domain; others that you use then need one, too")
}

func judgeDelegation(r Record, s seen) judgement {
	if r.Type == "CNAME" {
		if s.alias == r.Value {
			return ok()
		}
		if s.alias != "" || len(s.values) > 0 {
			return no(Wrong, "replace what is there by this alias")
		}
		return no(Missing, "make this record")
	}
	var others []string
	here := false
	for _, v := range s.values {
		if v == r.Value {
			here = true
		} else {
			others = append(others, v)
		}
	}
	switch {
	case here && len(others) == 0:
		return ok()
	case here:
		return no(Conflict, "%s is named as a server of these names too, and does not get them from here: leave this server only", list(others))
	case len(others) > 0:
		return no(Wrong, "these names are handed to %s: replace that by this record", list(others))
	}
	return no(Missing, "make this record where the zone above is kept")
}

// judgeAlias asks that a name leads to this server, as an alias or by its addresses.
func judgeAlias(r Record, s seen, about scene) judgement {
	if s.alias == r.Value {
		return ok()
	}
	if s.alias != "" {
		return no(Wrong, "the name leads to %s: replace the alias by this one", s.alias)
	}
	if len(s.values) == 0 {
		return no(Missing, "make this record")
	}
	for _, ip := range s.values {
		if !slices.Contains(about.hosts, ip) {
			return no(Wrong, "the name leads to another server: replace its records by this one")
		}
	}
	return ok()
}
