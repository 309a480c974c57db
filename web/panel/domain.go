package panel

import (
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"
	"postern/dns/zone"

	"postern/server/control"
	"postern/server/directory"
	"postern/web/ui"
)

var domainRoutes = []route{
	{"GET /domains", false, (*visit).domains},
	{"GET /domains/new", false, (*visit).newDomain},
	{"POST /domains", false, (*visit).addDomain},
	{"GET /domains/{domain}", false, (*visit).domain},
	{"GET /domains/{domain}/zone", false, (*visit).zoneFile},
	{"GET /domains/{domain}/watch", false, (*visit).watchDomain},
	{"POST /domains/{domain}/check", false, (*visit).checkDomain},
	{"POST /domains/{domain}/rotate", false, (*visit).rotateKeys},
	{"POST /domains/{domain}/remove", false, (*visit).removeDomain},
}

// domains lists what mail is received and sent for.
func (v *visit) domains() error {
	id := func(d *control.Domain) uuid.UUID { return d.ID }
	all, next, err := paged(v, "/domains", nil, id, func(p control.Page) iter.Seq2[control.Domain, error] { return v.c.Domains(v.r.Context(), p) })
	if err != nil {
		return err
	}
	return v.page("Domains", "/domains", "postern domain list", domainsPage(v, all, next))
}

func (v *visit) newDomain() error {
	if err := v.needs(directory.ActOperate); err != nil {
		return err
	}
	return v.page("Add a domain", "/domains", "postern domain add DOMAIN", newDomainPage(v))
}

func (v *visit) addDomain() error {
	d, err := v.c.AddDomain(v.r.Context(), control.DomainAdd{Name: v.form("name")})
	if err != nil {
		return v.again(err, (*visit).newDomain)
	}
	return v.done(domainPath(d.Name), d.Name+" is added. Publish these records next.")
}

// plan is a domain with the records that it should publish, as far as anybody looked.
type plan struct {
	control.Domain
	check   control.DomainCheck // zero before the first
	records []control.CheckedRecord
	keys    []control.SigningKey
	ladder  *control.ReportSummary // nil: no reports yet
}

func (v *visit) plan(name string) (p plan, err error) {
	ctx := v.r.Context()
	if p.Domain, err = v.c.Domain(ctx, name); err != nil {
		return p, err
	}
	p.check, err = v.c.DomainChecked(ctx, name)
	var no *control.Error
	if errors.As(err, &no) && no.Code == control.State {
		err = v.unchecked(&p)
	}
	if err != nil {
		return p, err
	}
	if p.records == nil {
		p.records = p.check.Records
	}
	if p.keys, err = collect(v.c.KeysOf(ctx, name)); err != nil {
		return p, err
	}
	summary, err := v.c.ReportSummary(ctx, control.ReportQuery{Domain: name})
	if err == nil && summary.Ladder != nil {
		p.ladder = &summary
	}
	return p, err
}

// unchecked has the records of a domain at which nobody looked yet.
func (v *visit) unchecked(p *plan) error {
	want, err := v.c.DomainRecords(v.r.Context(), p.Name)
	for _, r := range want.Records {
		p.records = append(p.records, control.CheckedRecord{Record: r, State: zone.Unknown})
	}
	return err
}

// domain shows a domain with its record plan.
func (v *visit) domain() error {
	p, err := v.plan(v.r.PathValue("domain"))
	if err != nil {
		return err
	}
	stopped, err := v.frozen(p.ID)
	if err != nil {
		return err
	}
	return v.page(p.Name, "/domains", "postern domain records "+p.Name+" -o table", domainPage(v, p, stopped.domain(p.Name)))
}

// zoneFile gives the records as lines to paste.
func (v *visit) zoneFile() error {
	want, err := v.c.DomainRecords(v.r.Context(), v.r.PathValue("domain"))
	if err != nil {
		return err
	}
	var records []zone.Record
	for _, r := range want.Records {
		records = append(records, r.Zone())
	}
	v.w.Header().Set("Content-Type", "text/dns; charset=utf-8") // RFC 4027
	v.w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", want.Domain+".zone"))
	return zone.WriteFile(v.w, want.Zone, records)
}

// watchEvery is how long a page waits for the next look at a domain that it watches.
const watchEvery = 10 * time.Second

// watchDomain looks at the domain again and again while its page is open, and sends
// the plan each time.
func (v *visit) watchDomain() error {
	if !v.may(directory.ActOperate) {
		return &control.Error{Code: control.Refused, Message: "Your roles do not allow to ask the DNS."}
	}
	out := v.events()
	for {
		if _, err := v.c.CheckDomain(v.r.Context(), v.r.PathValue("domain")); err != nil {
			return err
		}
		p, err := v.plan(v.r.PathValue("domain"))
		if err != nil {
			return err
		}
		v.clock.Now = v.Now()
		if err := out.send("plan", planTable(v, p)); err != nil {
			return err
		}
		if !out.wait(watchEvery) {
			return nil
		}
	}
}

func (v *visit) checkDomain() error {
	name := v.r.PathValue("domain")
	check, err := v.c.CheckDomain(v.r.Context(), name)
	if err != nil {
		return v.again(err, (*visit).domain)
	}
	said := "Everything is in order."
	if !check.Good {
		said = ui.Count(len(open(check.Records)), "record") + " to mend."
	}
	return v.done(domainPath(name), said)
}

func (v *visit) rotateKeys() error {
	name := v.r.PathValue("domain")
	if _, err := collect(v.c.RotateKeys(v.r.Context(), control.KeyOrder{Domain: name, Reason: v.form("reason")})); err != nil {
		return v.again(err, (*visit).domain)
	}
	return v.done(domainPath(name), "New keys are made. They sign once everybody can find them.")
}

func (v *visit) removeDomain() error {
	name := v.r.PathValue("domain")
	if err := v.sure(name); err != nil {
		return v.again(err, (*visit).domain)
	}
	if err := v.c.RemoveDomain(v.r.Context(), name); err != nil {
		return v.again(err, (*visit).domain)
	}
	return v.done("/domains", name+" is removed, and its keys are gone.")
}

func domainPath(name string) string { return "/domains/" + url.PathEscape(name) }

// open are the records that somebody must mend.
func open(all []control.CheckedRecord) (left []control.CheckedRecord) {
	for _, r := range all {
		if r.State != zone.OK && r.State != zone.Absent {
			left = append(left, r)
		}
	}
	return left
}

// inOrder counts how many of the needed records are as they should be.
func inOrder(all []control.CheckedRecord) (good, needed int) {
	for _, r := range all {
		if r.Required {
			needed++
			if r.State == zone.OK {
				good++
			}
		}
	}
	return good, needed
}

// groups are the records in the order of a plan.
func groups(all []control.CheckedRecord) [][]control.CheckedRecord {
	var list [][]control.CheckedRecord
	for _, g := range []zone.Group{zone.Receive, zone.Send, zone.Trust, zone.Optional} {
		of := slices.DeleteFunc(slices.Clone(all), func(r control.CheckedRecord) bool { return r.Group != g })
		if len(of) > 0 {
			list = append(list, of)
		}
	}
	return list
}

// groupWords name the groups of a plan.
var groupWords = map[zone.Group]string{zone.Receive: "Receive", zone.Send: "Send", zone.Trust: "Trust", zone.Optional: "Optional"}

// groupNote says how far a group is.
func groupNote(of []control.CheckedRecord) string {
	if of[0].Group == zone.Optional {
		return "None is needed to send or receive"
	}
	good := 0
	for _, r := range of {
		if r.State == zone.OK {
			good++
		}
	}
	return fmt.Sprintf("%d of %d in order", good, len(of))
}

// recordState is the state of a record as a page shows it.
func recordState(s zone.State) ui.State {
	switch s {
	case zone.OK:
		return ui.State{Class: "ok", Word: "OK"}
	case zone.Missing:
		return ui.State{Class: "bad", Icon: "missing", Word: "Missing"}
	case zone.Wrong:
		return ui.State{Class: "bad", Word: "Wrong"}
	case zone.Conflict:
		return ui.State{Class: "warn", Icon: "conflict", Word: "Conflict"}
	case zone.Propagating:
		return ui.State{Class: "wait", Word: "Propagating"}
	case zone.Absent:
		return ui.State{Class: "none", Word: "Optional"}
	}
	return ui.State{Class: "none", Icon: "dot", Word: "Not known"}
}

// lead says in a sentence what a domain can do.
func (p *plan) lead() string {
	does := "Does not receive yet"
	if p.DNS.Receives {
		does = "Receives"
	}
	if p.Owned {
		does += " and may send"
	}
	return does + "."
}

// progress says how far the records are, and when somebody looked.
func (p *plan) progress(c ui.Clock) string {
	if p.check.Checked.IsZero() {
		return "Nobody has looked yet."
	}
	good, needed := inOrder(p.records)
	return fmt.Sprintf("%d of %d needed records are in order; asked the zone’s own name servers %s.", good, needed, c.Relative(p.check.Checked))
}

// purposeNames name records for people who do not know the protocols.
var purposeNames = map[zone.Purpose]string{
	zone.PurposeDelegation: "Delegation", zone.PurposeMX: "Mail exchanger", zone.PurposeHost: "Address", zone.PurposeSPF: "Sender policy (SPF)",
	zone.PurposeDKIM: "Signing key (DKIM)", zone.PurposePTR: "Reverse name", zone.PurposeDMARC: "Policy for forged mail (DMARC)",
	zone.PurposeMTASTS: "Require TLS (MTA-STS)", zone.PurposeMTASTSHost: "Where that policy is", zone.PurposeTLSRPT: "TLS reports",
	zone.PurposeTLSA: "TLS pinning (DANE)", zone.PurposeChallenge: "Proof of ownership", zone.PurposeCAA: "Certificate issuers (CAA)",
	zone.PurposeAutoconfig: "Set-up for mail programs", zone.PurposeAutodiscover: "Set-up for Outlook", zone.PurposeService: "Services for mail programs",
}

// keyState is the state of a signing key as a page shows it.
func keyState(k *control.SigningKey) ui.State {
	switch k.State {
	case "signing":
		return ui.State{Class: "ok", Icon: "key", Word: "Signs"}
	case "prepared":
		return ui.State{Class: "wait", Word: "Waits for its record"}
	case "published":
		return ui.State{Class: "wait", Word: "Spreads"}
	case "retiring":
		return ui.State{Class: "none", Icon: "wait", Word: "Stays readable"}
	case "revoked":
		return ui.State{Class: "bad", Word: "Revoked"}
	}
	return ui.State{Class: "none", Word: "Retired"}
}

// domainState sums a domain up for the list.
func domainState(d *control.Domain) ui.State {
	switch {
	case d.DNS.State == "ok":
		return ui.State{Class: "ok", Word: "In order"}
	case d.DNS.State == "problems":
		return ui.State{Class: "warn", Word: ui.Count(d.DNS.Problems, "problem")}
	}
	return ui.State{Class: "none", Icon: "dot", Word: "Not checked"}
}

// rungWords name the policies for forged mail, the mildest first.
var rungWords = map[string]string{"none": "None: reports only", "quarantine": "Quarantine", "reject": "Reject"}

// before reports whether a policy is milder than another.
func before(a, b string) bool {
	order := map[string]int{"none": 0, "quarantine": 1, "reject": 2}
	return order[a] < order[b]
}
