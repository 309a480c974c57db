package report

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/msgauth"
	"postern/storage"
)

// Evaluation is how one message fared here.
type Evaluation struct {
	Results     msgauth.Results
	Remote      netip.Addr
	Envelope    string // domain of the return path; empty for the null path
	Disposition string // none, quarantine, reject
	Override    string // why it is another than the domain asked for; RFC 7489, appendix C
}

// CountMail counts a message for the report to the domain in From, if that one asks
// for reports by mail. It stands in the transaction that says what became of the
// message.
func CountMail(u *storage.Upkeep, org uuid.UUID, e Evaluation) error {
	p := e.Results.DMARC.Published
	if p == nil || !asksByMail(p.Reports) {
		return nil
	}
	policy, err := json.Marshal(published(p))
	if err != nil {
		return err
	}
	row, err := json.Marshal(e.row())
	if err != nil {
		return err
	}
	f := storage.Feedback{Org: org, Kind: storage.ReportDMARC, Domain: p.Domain, Day: dayOf(u.Now()), Policy: policy}
	return u.CountFeedback(f, row, 1)
}

// WantsMail says whether the domain in From asks to be told by mail how a message
// fared.
func WantsMail(r msgauth.Results) bool {
	return r.DMARC.Published != nil && asksByMail(r.DMARC.Published.Reports)
}

func asksByMail(uris []string) bool {
	for _, uri := range uris {
		if _, ok := mailto(uri); ok {
			return true
		}
	}
	return false
}

// mailto is what stands behind the scheme of a mailto URI.
func mailto(uri string) (string, bool) {
	const scheme = "mailto:"
	if len(uri) <= len(scheme) || !strings.EqualFold(uri[:len(scheme)], scheme) {
		return "", false
	}
	return uri[len(scheme):], true
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

func published(p *msgauth.Published) Published {
	alignment := map[bool]string{true: "s", false: "r"}
	return Published{Domain: p.Domain, Policy: p.Policy.String(), Subdomains: p.Subdomains.String(), Absent: p.Absent.String(),
		DKIM: alignment[p.StrictDKIM], SPF: alignment[p.StrictSPF], Percent: p.Percent, Reports: p.Reports}
}

// row is what messages like this one have in common.
func (e *Evaluation) row() Row {
	d := e.Results.DMARC
	row := Row{Source: e.Remote.Unmap().WithZone(""), Disposition: e.Disposition, DKIM: d.DKIM, SPF: d.SPF, Override: e.Override,
		From: d.Domain, Envelope: e.Envelope}
	for _, s := range e.Results.DKIM {
		if s.Domain != "" {
			row.Signatures = append(row.Signatures, Signature{Domain: s.Domain, Selector: s.Selector, Result: s.Value.String()})
		}
	}
	if s := e.Results.SPF; s.Domain != "" {
		row.Sender = Result{Domain: s.Domain, Scope: "mfrom", Result: s.Value.String()}
		if s.Helo {
			row.Sender.Scope = "helo"
		}
	}
	return row
}

// Session is one connection to one host of a domain, and what came of TLS.
type Session struct {
	Policy  string   // sts, tlsa; anything else is no-policy-found
	Text    []string // of the policy
	Domain  string   // whose policy it is
	Host    string   // mail exchanger; empty: none was found
	Remote  netip.Addr
	Failure string // RFC 8460, section 4.3; empty: TLS was made, as the policy asks
}

// tlsRow is what sessions of one kind have in common.
type tlsRow struct {
	Type    string   `json:"type"`
	Text    []string `json:"text,omitempty"`
	Host    string   `json:"host,omitempty"`
	Remote  string   `json:"remote,omitempty"`
	Failure string   `json:"failure,omitempty"`
}

// CountTLS counts sessions for the reports to the domains to which they went. Who
// wants a report is found out when the day is over.
func CountTLS(u *storage.Upkeep, org uuid.UUID, sessions []Session) error {
	for _, s := range sessions {
		name := domain(s.Domain)
		if name == "" {
			continue
		}
		r := tlsRow{Type: word(s.Policy, tlsPolicies), Text: s.Text, Failure: s.Failure}
		if r.Type == "" {
			r.Type = "no-policy-found"
			if strings.HasPrefix(r.Failure, "certificate-") {
				r.Failure = "" // TLS was made, and without a policy nobody asks with whom
			}
		}
		if r.Failure != "" { // where all is well, which host it was counts for nothing
			r.Host = s.Host
			if s.Remote.IsValid() {
				r.Remote = s.Remote.Unmap().String()
			}
		}
		row, err := json.Marshal(r)
		if err != nil {
			return err
		}
		f := storage.Feedback{Org: org, Kind: storage.ReportTLS, Domain: name, Day: dayOf(u.Now()), Policy: json.RawMessage("null")}
		if err := u.CountFeedback(f, row, 1); err != nil {
			return err
		}
	}
	return nil
}
